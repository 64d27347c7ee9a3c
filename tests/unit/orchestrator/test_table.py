"""The table: strikes and quarantine, late and outdated answers, talk without end."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from parley.agent import Context
from parley.bus import AgentHost, Ask, InProc
from parley.messages import (
    AgentFaulted,
    Ballot,
    Cfp,
    Decision,
    Intent,
    Late,
    MarketBatch,
    Message,
    NotUnderstood,
    Opinion,
    Ranking,
    Review,
    Silence,
    Stale,
    StateView,
    Verdict,
    decode,
    decode_envelope,
)  # fmt: skip
from tests.kit.desk_cases import StepDesk, unless
from tests.kit.firm_kit import MINUTE, TestDesk, polite


def broken(*kinds: type, after: int = 0):
    """Make a script that raises on these messages once it heard ``after`` of them."""
    heard = {"n": 0}

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, kinds):
            heard["n"] += 1
            if heard["n"] > after:
                raise RuntimeError("a bug")
        return None

    return unless(say)


def test_three_faults_quarantine_an_agent_and_it_is_asked_no_more() -> None:
    asked = []

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Cfp):
            asked.append(ctx.now)
            raise RuntimeError("a bug")
        return None

    desk = TestDesk({"strategy/b": unless(say)})
    for _ in range(5):
        desk.bar()
    faults = [f for f in desk.said(AgentFaulted) if f.agent == "strategy/b"]
    assert [(f.strikes, f.quarantined) for f in faults] == [(1, False), (2, False), (3, True)]
    assert len(asked) == 3
    assert all(d.action == "accept" for d in desk.said(Decision))


def test_a_quarantined_risk_agent_stops_openings_but_not_exits() -> None:
    desk = TestDesk({"risk/a": broken(MarketBatch, after=1)})
    desk.bar()  # opens
    for _ in range(5):
        desk.bar()
    assert desk.firm.table.awake("risk") == ()
    decisions = [(d.action, d.plan[0].side if d.plan else d.reasons[0][1]) for d in desk.said(Decision)]
    assert decisions[0] == ("accept", "buy")
    assert ("accept", "sell") in decisions
    assert decisions[-1] == ("reject", "silent")
    assert desk.said(Decision)[-1].reasons[0][0] == "risk"


def test_a_holder_gets_out_after_the_risk_agent_was_quarantined() -> None:
    desk = TestDesk({"risk/a": broken(MarketBatch, StateView, Ballot, after=1)}, max_strikes=1)
    desk.bar()
    desk.bar()
    assert desk.firm.table.awake("risk") == ()
    assert [d.plan[0].side for d in desk.said(Decision) if d.action == "accept"] == ["buy", "sell"]
    assert desk.said(Verdict)[-1].agent == "desk"


def test_a_fault_in_the_state_handler_is_a_strike_and_the_desk_goes_on() -> None:
    desk = TestDesk()
    host = desk.transport._hosts["signal/a"]
    spec = replace(host.agent.spec, subscriptions=(*host.agent.spec.subscriptions, "StateView"))
    host.agent.spec = spec
    host.agent._script = broken(StateView)
    desk.transport._hosts["signal/a"] = AgentHost(host.agent, 1)
    for _ in range(3):
        desk.bar()
    faults = [f for f in desk.said(AgentFaulted) if f.agent == "signal/a"]
    assert [f.strikes for f in faults][:3] == [1, 2, 3]
    assert desk.firm.table.awake("signal") == ()
    assert desk.said(Decision)[0].action == "accept"


def late_desk(late) -> TestDesk:
    desk = TestDesk()
    desk.transport = InProc(desk.transport._hosts, late=late)
    return desk


def test_late_answers_are_recorded_and_ignored_and_come_out_again_in_a_replay() -> None:
    def late(ask: Ask) -> int:
        return (
            7 if ask.agent == "strategy/a" and isinstance(ask.message, Cfp) and ask.now % (2 * MINUTE) else 0
        )

    desk = late_desk(late)
    for _ in range(4):
        desk.bar()
    found = desk.said(Late)
    assert {(f.agent, f.stage, f.by_ns) for f in found} == {("strategy/a", "bids", 7)}
    actions = [d.action for d in desk.said(Decision)]
    assert sorted(set(actions)) == ["accept", "hold"]
    assert [s.agent for s in desk.said(Silence)] == ["strategy/a"] * len(found)

    recorded = {}
    for record in desk.records:
        e = decode_envelope(record)
        body = decode(e.body)
        if isinstance(body, Late):
            recorded[body.agent, e.cause] = body.by_ns
    again = late_desk(lambda ask: recorded.get((ask.agent, ask.seq), 0))
    for _ in range(4):
        again.bar()
    assert again.records == desk.records


def test_being_late_with_nothing_to_say_is_not_recorded() -> None:
    desk = late_desk(lambda ask: 5 if isinstance(ask.message, MarketBatch) else 0)
    desk.bar()
    assert desk.said(Late) == []


def test_an_agent_that_is_behind_gets_the_state_again_without_a_strike() -> None:
    behind = {"n": 2}

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and behind["n"]:
            behind["n"] -= 1
            return (Stale(agent=me, have=0),)
        return None

    desk = TestDesk({"risk/a": unless(say)})
    desk.bar()
    assert desk.said(Decision)[0].action == "accept"
    assert [s.agent for s in desk.said(Stale)] == ["risk/a"] * 2
    assert desk.said(AgentFaulted) == []
    versions = [s.state_version for s in desk.said(StateView)]
    assert len(versions) > len(set(versions))


def test_an_agent_that_stays_behind_ends_the_round_expired() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        return (Stale(agent=me, have=0),) if isinstance(msg, Review) else None

    desk = TestDesk({"risk/a": unless(say)})
    for _ in range(4):
        desk.bar()
    assert {(d.action, d.reasons[0][:2]) for d in desk.said(Decision)} == {
        ("expired", ("risk", "stale_version"))
    }
    assert desk.firm.table.awake("risk") == ("risk/a",)


def test_verdicts_on_another_state_are_asked_again_twice_then_the_round_expires() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Review):
            return None
        (verdict,) = polite(msg, ctx, me)
        return (replace(verdict, state_version=msg.state_version - 1),)

    desk = TestDesk({"risk/a": unless(say)})
    desk.bar()
    assert desk.said(Decision)[0].action == "expired"
    assert len(desk.said(Verdict)) == 3
    assert {n.code for n in desk.said(NotUnderstood)} == {"stale_version"}
    assert desk.said(AgentFaulted) == []


def test_agents_that_answer_each_other_for_ever_are_stopped() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, MarketBatch | Opinion):
            return None
        return (
            Opinion(
                oid=ctx.seq.to_bytes(16, "big"),
                agent=me,
                symbol="BTC/USDT",
                direction=1.0,
                conf=1.0,
                horizon_ms=1,
                valid_from=ctx.now,
                valid_to=ctx.now + MINUTE,
                model_version="1",
                why="",
            ),
        )

    desk = TestDesk({"signal/a": unless(say)})
    desk.bar()
    assert [n.code for n in desk.said(NotUnderstood)] == ["endless_talk"]
    assert desk.said(Decision)[0].action == "accept"


def test_a_second_answer_is_a_strike_whatever_the_first_was() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        return tuple(polite(msg, ctx, me)) * 2 if isinstance(msg, Cfp | Ballot) else None

    desk = TestDesk({"strategy/a": unless(say), "strategy/b": unless(say), "meta/a": unless(say)})
    desk.bar()
    struck = {(n.agent, n.code) for n in desk.said(NotUnderstood)}
    assert struck == {(a, "second_answer") for a in ("strategy/a", "strategy/b", "meta/a")}
    assert len(desk.said(Decision)) == len(desk.said(Ranking)) - 1 == 1
    assert desk.said(Decision)[0].action == "accept"


def test_a_proposal_about_a_symbol_nobody_asked_about_or_under_anothers_name_is_not_understood() -> None:
    def elsewhere(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        (bid,) = polite(replace(msg, symbols=("ETH/USDT",)), ctx, me)
        return (bid,)

    desk = StepDesk({"strategy/a": unless(elsewhere)}, symbols=("BTC/USDT", "ETH/USDT"))
    desk.close()
    codes = [(d.symbol, d.action) for d in desk.said(Decision)]
    assert codes == [("BTC/USDT", "hold"), ("ETH/USDT", "accept")]
    assert ("strategy/a", "not_asked", "proposal") in desk.said(Decision)[0].reasons


def test_two_proposals_of_one_name_are_not_understood() -> None:
    def same(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        (bid,) = polite(msg, ctx, "strategy/a")
        return (replace(bid, pid=b"p" * 16, agent=me),)

    desk = StepDesk({"strategy/a": unless(same), "strategy/b": unless(same)})
    desk.close()
    assert ("strategy/b", "pid_taken", "proposal") in desk.said(Decision)[0].reasons
    assert len(desk.said(Intent)) == 1


def test_a_market_without_a_book_is_nobodys_fault() -> None:
    desk = StepDesk()
    empty = replace(desk.depth("BTC/USDT", 0, 50_000.0), asks=())
    for _ in range(5):
        assert desk.close(books={"BTC/USDT": empty}) == []
    assert {(d.action, d.reasons[0]) for d in desk.said(Decision)} == {("hold", ("desk", "no_bids", ""))}
    assert ("strategy/a", "no_book", "proposal") in desk.said(Decision)[0].reasons
    assert desk.said(AgentFaulted) == []


def test_only_what_the_gate_approved_can_be_ordered() -> None:
    desk = TestDesk()
    desk.bar()
    (intent,) = [order for order in desk.sent if isinstance(order, Intent)]

    with pytest.raises(AttributeError, match="'Intent' object has no attribute 'intent'"):
        desk.firm.table.order(intent, 0)  # type: ignore[arg-type]

    assert desk.firm.table.flush().orders == ()
