"""The round protocol under agents that answer anything: right, wrong, twice, never, or with an exception.

Whatever they do, every trigger ends in exactly one decision, an opening is accepted only with the words of
capital, meta and risk, never above any bound, and the same messages give the same records.
"""

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from orchestrator.round import TERMINAL, TRANSITIONS, Event, Round, State
from parley.agent import Context
from parley.errors import StateError
from parley.messages import (
    AgentFaulted,
    Allocation,
    Ballot,
    Cfp,
    Counter,
    CounterReply,
    Decision,
    Intent,
    Message,
    Proposal,
    Ranking,
    Review,
    Silence,
    StateView,
    Trigger,
    Verdict,
    Vote,
    decode,
    decode_envelope,
)
from tests.kit.effort import examples
from tests.kit.firm_kit import TEAM, D, TestDesk, polite

BAD_NUMBERS = (D("NaN"), D("Infinity"), D(-1), D(0), D("0.000001"), D(10**9))


def unruly(seed: int, chaos: float):
    """Make a script that misbehaves with a probability, deterministically from the message it got."""

    def script(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        dice = Random(f"{seed}/{me}/{ctx.seq}")
        answer = list(polite(msg, ctx, me))
        if not answer or dice.random() > chaos:
            return answer
        match dice.randrange(7):
            case 0:
                return ()
            case 1:
                raise RuntimeError("a bug")
            case 2:
                return answer * 2
            case 3:
                return [_spoiled(m, dice) for m in answer]
            case 4:
                return [replace(m, agent="someone/else") if hasattr(m, "agent") else m for m in answer]
            case 5:
                return [Verdict(
                    pid=b"x" * 16, agent=me, ok=True, max_qty=D(10**6), breached=(), state_version=0,
                    risk_epoch=0, valid_until=1 << 62,
                )]  # fmt: skip
            case _:
                return [*answer, Silence(agent=me, stage="bids")]

    return script


def _spoiled(m: Message, dice: Random) -> Message:
    bad = dice.choice(BAD_NUMBERS)
    match m:
        case Proposal():
            return (
                replace(m, legs=(replace(m.legs[0], qty=bad),))
                if dice.random() < 0.5
                else replace(m, conf=float("nan"))
            )
        case Allocation():
            return replace(m, max_qty=bad)
        case Verdict():
            return (
                replace(m, max_qty=bad)
                if dice.random() < 0.5
                else replace(m, state_version=m.state_version - 1)
            )
        case Counter():
            return replace(m, px_limit=bad)
        case Ranking():
            return replace(m, margin_of_win=float("inf"))
        case Vote():
            return replace(m, score=7.0)
        case CounterReply():
            return replace(m, action="perhaps")
        case _:
            return m


def check(desk: TestDesk) -> None:
    envelopes = [decode_envelope(r) for r in desk.records]
    assert [e.seq for e in envelopes] == list(range(1, len(envelopes) + 1))
    rounds: dict[bytes, list[Message]] = {}
    for e in envelopes:
        if e.round:
            rounds.setdefault(e.round, []).append(decode(e.body))
    triggers = [m for ms in rounds.values() for m in ms if isinstance(m, Trigger)]
    decisions = desk.said(Decision)
    assert len(triggers) == len(decisions) == len({d.round for d in decisions})
    for d in decisions:
        said = rounds[d.round]
        intents = [m for m in said if isinstance(m, Intent)]
        if d.action != "accept":
            assert not intents
            assert d.reasons
            continue
        assert sum((i.qty for i in intents), Decimal(0)) <= d.qty <= d.qty_wanted
        verdicts = [m for m in said if isinstance(m, Verdict) and m.pid == d.pid and m.ok]
        assert verdicts
        assert all(d.qty <= v.max_qty for v in verdicts[-1:])
        if not intents[0].reduce_only:
            assert any(v.agent.startswith("risk/") for v in verdicts)
            assert any(isinstance(m, Ranking) for m in said)
            bounds = [
                m.max_qty
                for m in said
                if isinstance(m, Allocation) and m.pid == d.pid and m.max_qty.is_finite()
            ]
            assert bounds
            assert d.qty <= max(bounds)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]))
def test_whatever_agents_answer_each_trigger_gets_one_decision_and_no_unbounded_order(
    seed: int, chaos: float
) -> None:
    desk = TestDesk(
        {i: unruly(seed, chaos) for i, _ in TEAM}, symbols=("BTC/USDT", "ETH/USDT"), max_strikes=1000
    )
    for n in range(8):
        desk.bar(50_000.0 + 40 * n)
    check(desk)


@settings(max_examples=examples(10), deadline=None)
@given(st.integers(0, 10**6))
def test_the_same_messages_give_the_same_records(seed: int) -> None:
    def run() -> list[bytes]:
        desk = TestDesk({i: unruly(seed, 0.3) for i, _ in TEAM}, max_strikes=1000)
        for n in range(5):
            desk.bar(50_000.0 - 40 * n)
        return desk.records

    assert run() == run()


TO_THE_VENUE = (
    Event.CALLED, Event.BIDS_IN, Event.RANKED, Event.SETTLED, Event.APPROVED, Event.COMMITTED,
    Event.DISPATCHED,
)  # fmt: skip


class RoundMachine(RuleBasedStateMachine):
    """Any events at all: the round moves by its table or refuses, and ends where it cannot move."""

    def __init__(self) -> None:
        super().__init__()
        self.round = Round(b"r" * 16, "BTC/USDT")
        self.was_terminal = False
        self.path = [self.round.state]

    @initialize(steps=st.integers(0, len(TO_THE_VENUE)))
    def begin(self, steps: int) -> None:
        # most events fit no state and most that do end the round, so some walks begin further on
        for event in TO_THE_VENUE[:steps]:
            self.happen(event)

    @rule(pick=st.integers(0, 1 << 16))
    def go_on(self, pick: int) -> None:
        fitting = [event for state, event in TRANSITIONS if state is self.round.state]
        if fitting:
            self.happen(fitting[pick % len(fitting)])

    @rule(event=st.sampled_from(list(Event)))
    def happen(self, event: Event) -> None:
        before = self.round.state
        counters = self.round.counters
        try:
            after = self.round.on(event)
        except StateError:
            assert (before, event) not in TRANSITIONS or (event is Event.COUNTERED and counters >= 2)
            assert self.round.state is before
        else:
            assert TRANSITIONS[before, event] is after
            assert before not in TERMINAL
            self.path.append(after)

    @invariant()
    def terminal_is_for_good(self) -> None:
        assert not (self.was_terminal and not self.round.is_terminal)
        self.was_terminal = self.round.is_terminal

    @invariant()
    def nothing_is_committed_without_the_gate(self) -> None:
        assert self.round.state is self.path[-1]
        if self.round.state in (State.COMMITTED, State.DISPATCHED):
            at = self.path.index(State.COMMITTED)
            assert self.path[at - 1] is State.DECIDED
            assert State.RISK in self.path[:at]


TestRoundMachine = RoundMachine.TestCase
TestRoundMachine.settings = settings(max_examples=examples(60), stateful_step_count=20, deadline=None)


def test_every_state_can_be_reached_and_left_or_is_terminal() -> None:
    reached = {State.OPEN}
    while True:
        more = {to for (before, _), to in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)
    assert {before for before, _ in TRANSITIONS} == set(State) - TERMINAL


def test_a_silent_agent_of_each_role_has_its_fail_safe_result() -> None:
    def silent(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        return ()

    expected = {
        "strategy/a": ("hold", "no_bids"), "capital/a": ("reject", "silent"), "risk/a": ("reject", "silent"),
        "meta/a": ("reject", "silent"), "signal/a": ("accept", ""), "execution/a": ("accept", ""),
        "arbitrage/a": ("accept", ""),
    }  # fmt: skip
    for agent, (action, code) in expected.items():
        desk = TestDesk({agent: silent})
        desk.bar()
        (decision,) = desk.said(Decision)
        assert decision.action == action, agent
        assert not code or decision.reasons[0][1] == code, agent


def test_a_holder_gets_out_although_capital_meta_and_risk_are_silent() -> None:
    quiet = {"on": False}

    def sometimes(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        return () if quiet["on"] and isinstance(msg, Ballot | Review | Cfp) else polite(msg, ctx, me)

    desk = TestDesk({"risk/a": sometimes, "meta/a": sometimes, "capital/a": sometimes})
    desk.bar()
    quiet["on"] = True
    desk.bar()
    opened, closed = desk.said(Decision)
    assert (opened.action, closed.action) == ("accept", "accept")
    assert closed.plan[0].side == "sell"
    assert desk.said(StateView)[-1].positions == ()


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (Verdict, "ok", "no"), (Verdict, "valid_until", "later"), (Proposal, "conf", None),
        (Proposal, "symbol", None), (Proposal, "evidence", ("x",)), (Proposal, "horizon_ms", 1 << 80),
        (Proposal, "why", "\ud800"), (Allocation, "max_qty", None), (Counter, "split", None),
        (Ranking, "ranked", 7),
    ],
)  # fmt: skip
def test_an_answer_of_the_wrong_type_is_a_fault_and_no_order(
    message: type, field: str, value: object
) -> None:
    def spoil(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        return [replace(m, **{field: value}) if isinstance(m, message) else m for m in polite(msg, ctx, me)]

    desk = TestDesk({i: spoil for i, _ in TEAM}, max_strikes=1000)
    desk.bar()
    check(desk)
    assert desk.said(AgentFaulted)
    assert message in (Counter,) or not desk.said(Intent)


def test_an_agent_that_exits_does_not_take_the_desk_with_it() -> None:
    def leave(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        raise SystemExit(3)

    desk = TestDesk({"signal/a": leave})
    desk.bar()
    assert desk.said(AgentFaulted)
    assert len(desk.said(Decision)) == 1
