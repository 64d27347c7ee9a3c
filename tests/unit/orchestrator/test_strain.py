"""What a strained desk still does: fewer agents, fewer symbols, only exits, nothing."""

from __future__ import annotations

import pytest

from parley.bus import MISSED, Ask, InProc
from parley.messages import (
    AgentFaulted,
    Breaker,
    CancelIntent,
    Cfp,
    Decision,
    Intent,
    Late,
    Review,
    Shed,
    Silence,
    Strain,
    decode,
    decode_envelope,
)
from tests.kit.desk_cases import BTC, StepDesk, ack, advises, unless
from tests.kit.firm_kit import MINUTE, T0, D, Script, TestDesk, polite

ETH = "ETH/USDT"


def strained(level: int, source: str = "load", *resting: str) -> Strain:
    return Strain(source=source, level=level, why="test", resting=resting)


def told(desk: TestDesk, *strains: Strain) -> list[Intent | CancelIntent]:
    return [order for each in strains for order in desk.admit(each, "clock")]


def test_resting_agents_are_not_asked_until_the_strain_is_over() -> None:
    desk = TestDesk({})

    told(desk, strained(1, "load", "strategy/a"))
    desk.bar()
    assert desk.said(Cfp)[-1].to_agents == ("strategy/b",)
    told(desk, strained(0))
    desk.bar()
    assert desk.said(Cfp)[-1].to_agents == ("strategy/a", "strategy/b")


def test_only_the_busiest_symbols_open_rounds_and_the_others_say_why_not() -> None:
    desk = TestDesk(symbols=(BTC, ETH), best_symbols=1)
    desk.bar()  # 50,000 each: equal turnover, the first by name is the best

    told(desk, strained(2))
    before = len(desk.said(Decision))
    for name in ("strategy/a", "strategy/b"):
        desk.transport._hosts[name].agent._script = lambda m, c, me: ()
    engaged = {h.symbol for h in desk.firm.account.view()[0].state.holdings if h.qty}
    desk.bar()

    shed = desk.said(Shed)
    opened = {d.symbol for d in desk.said(Decision)[before:]}
    assert opened == {BTC} | engaged
    assert {s.symbol for s in shed} == {BTC, ETH} - opened
    assert {s.code for s in shed} <= {"strained"}


def test_unengaged_symbol_is_shed_with_its_reason() -> None:
    desk = StepDesk(symbols=(BTC, ETH), best_symbols=1)
    for name in ("strategy/a", "strategy/b"):
        desk.transport._hosts[name].agent._script = lambda m, c, me: ()
    told(desk, strained(2))

    desk.close()

    assert [(s.symbol, s.kind, s.code) for s in desk.said(Shed)] == [(ETH, "bar", "strained")]
    assert [d.symbol for d in desk.said(Decision)] == [BTC]


def test_at_level_three_exits_go_on_and_nothing_opens_whatever_source_said_it() -> None:
    desk = TestDesk()
    desk.bar()
    assert [d.action for d in desk.said(Decision)] == ["accept"]

    told(desk, strained(3, "backlog"), strained(0, "load"))
    for _ in range(3):
        desk.bar()

    later = desk.said(Decision)[1:]
    assert [d.plan[0].side for d in later if d.action == "accept"] == ["sell"]
    assert desk.firm.account.trading == "REDUCING"
    told(desk, strained(0, "backlog"))
    assert desk.firm.account.trading == "ACTIVE"


def test_without_room_at_the_venue_no_round_opens_for_what_is_not_held_and_it_says_why() -> None:
    desk = StepDesk(symbols=(BTC, ETH))
    told(desk, Strain(source="venue", level=3, why="no room in the venue's limit orders for 3.20 s"))

    assert desk.close() == []
    assert [(s.symbol, s.code) for s in desk.said(Shed)] == [(BTC, "strained"), (ETH, "strained")]
    assert {s.detail for s in desk.said(Shed)} == {"venue: no room in the venue's limit orders for 3.20 s"}

    told(desk, strained(0, "venue"))
    assert {o.symbol for o in desk.close() if isinstance(o, Intent)} == {BTC, ETH}


def test_strain_that_is_said_again_is_no_news_and_its_end_is_none_before_it_began() -> None:
    firm = TestDesk().firm
    assert not firm.is_news(Strain(source="venue", level=0))
    assert firm.is_news(strained(3, "venue"))
    firm.account.strain(strained(3, "venue"))
    assert not firm.is_news(strained(3, "venue"))
    assert firm.is_news(strained(0, "venue"))


def test_at_level_four_resting_orders_are_cancelled_and_nothing_trades() -> None:
    desk = StepDesk({"execution/a": advises(style="post_only", px_limit=D(49_990))})
    (order,) = desk.close()
    assert isinstance(order, Intent)
    desk.tell(ack(order))

    orders = told(desk, strained(4))

    assert [type(each) for each in orders] == [CancelIntent]
    assert desk.firm.account.trading == "HALTED"
    assert desk.close() == []


def test_strain_never_loosens_what_a_person_halted() -> None:
    desk = TestDesk()
    desk.firm.account.halt = "HALTED"

    told(desk, strained(3), strained(0))

    assert desk.firm.account.trading == "HALTED"


def test_a_round_is_not_opened_for_an_order_that_could_not_be_sent() -> None:
    desk = StepDesk(symbols=(BTC, ETH), max_in_flight=1)
    first = desk.close()
    assert len(first) == 1  # the second symbol's round was shed: the first order is not answered
    assert [(s.symbol, s.code) for s in desk.said(Shed)] == [(ETH, "in_flight")]

    desk.tell(ack(first[0]))

    assert [o.symbol for o in desk.close() if isinstance(o, Intent)] == [ETH]


def test_rounds_beyond_the_rate_are_shed_and_the_bucket_fills_again() -> None:
    desk = StepDesk(symbols=(BTC, ETH), max_rounds_per_s=1.0)
    for name in ("strategy/a", "strategy/b"):
        desk.transport._hosts[name].agent._script = lambda m, c, me: ()

    desk.close()
    assert [(s.symbol, s.code) for s in desk.said(Shed)] == [(ETH, "rate")]
    desk.mono += 1_000_000_000
    desk.close()

    assert len(desk.said(Decision)) == 2


@pytest.mark.parametrize("has_line", [True, False])
def test_agent_that_keeps_the_desk_waiting_sleeps_and_one_that_is_away_does_not(has_line: bool) -> None:
    waited = 5 if has_line else 0
    desk = TestDesk()
    hosts = desk.transport._hosts
    desk.transport = InProc(
        hosts,
        late=lambda ask: MISSED - waited if ask.agent == "strategy/a" and isinstance(ask.message, Cfp) else 0,
    )

    for _ in range(7):
        desk.bar()

    found = [f for f in desk.said(Late) if f.agent == "strategy/a"]
    asleep = [f for f in desk.said(AgentFaulted) if f.agent == "strategy/a"]
    assert {f.by_ns for f in found} == {waited}
    assert (len(found), len(asleep)) == ((5, 1) if has_line else (7, 0))
    assert [f.strikes for f in asleep] == [0] * len(asleep)
    assert len([s for s in desk.said(Silence) if s.agent == "strategy/a"]) == len(found)
    assert replayed(desk).records == desk.records


def replayed(desk: TestDesk, scripts: dict[str, Script] | None = None) -> TestDesk:
    recorded = {}
    for record in desk.records:
        envelope = decode_envelope(record)
        body = decode(envelope.body)
        if isinstance(body, Late):
            recorded[body.agent, envelope.cause] = body.by_ns if body.msg_hash else MISSED - body.by_ns
    again = TestDesk(scripts)
    again.transport = InProc(again.transport._hosts, late=lambda ask: recorded.get((ask.agent, ask.seq), 0))
    while again.step < desk.step:
        again.bar()
    return again


@pytest.mark.parametrize("breaks", [False, True])
def test_one_that_is_late_with_nothing_to_say_is_on_record_and_comes_out_again(breaks: bool) -> None:
    """It lets the desk wait like any other, so it is sent to sleep, and a replay has to find why."""

    def say(message, context, me):
        if breaks and isinstance(message, Cfp):
            raise RuntimeError("a bug")
        return ()

    desk = TestDesk({"strategy/a": say})
    desk.transport = InProc(
        desk.transport._hosts,
        late=lambda ask: 5 if ask.agent == "strategy/a" and isinstance(ask.message, Cfp) else 0,
    )

    for _ in range(7):
        desk.bar()

    found = [f for f in desk.said(Late) if f.agent == "strategy/a"]
    assert {f.by_ns for f in found} == {5}
    assert all(f.msg_hash for f in found)
    faults = [f.error for f in desk.said(AgentFaulted) if f.agent == "strategy/a"]
    assert len(found) == (3 if breaks else 5)
    assert sum("asleep for" in each for each in faults) == (0 if breaks else 1)
    assert replayed(desk, {"strategy/a": say}).records == desk.records


def test_a_breaker_that_comes_too_late_for_its_stage_still_trips() -> None:
    def say(msg, ctx, me):
        if isinstance(msg, Review) and ctx.now == T0 + MINUTE:
            found = Breaker(
                agent=me, name="late", action="pause", until=1 << 62, value="1", cap="0", symbol=""
            )
            return (found, *polite(msg, ctx, me))
        return None

    desk = TestDesk({"risk/a": unless(say)})
    desk.transport = InProc(desk.transport._hosts, late=lambda ask: late_review(ask))

    for _ in range(3):
        desk.bar()

    assert [b.name for b in desk.said(Breaker)] == ["late"]
    assert desk.firm.account.trading == "REDUCING"
    assert not [d for d in desk.said(Decision) if d.action == "accept"]


def late_review(ask: Ask) -> int:
    return 9 if ask.agent == "risk/a" and isinstance(ask.message, Review) else 0
