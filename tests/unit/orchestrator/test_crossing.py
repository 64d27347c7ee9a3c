"""What two agents wish the other way round meets inside: quantities, money, levels, and what is left of both.

Not here: when it must not be (test_crossing_refused.py), the ledger's own arithmetic
(tests/property/test_ledger_crossed.py), journals (tests/integration/test_crossing_journal.py).
"""

from collections.abc import Sequence

import pytest

from parley.agent import Context
from parley.messages import Cfp, Decision, Intent, Message, Outcome, Proposal
from parley.messages import Trigger as RoundTrigger
from tests.kit import firm_kit
from tests.kit.desk_cases import BTC, StepDesk, ack, event, silent
from tests.kit.firm_kit import MINUTE, D
from tests.kit.opposed import (
    LEAVER,
    STOP,
    TAKE,
    TAKER,
    crossings,
    desk_of,
    fill,
    holding,
    leaver,
    taker,
)

THIRD = "strategy/c"
MET = {BTC: 51_000.0}


def decided(desk: StepDesk) -> list[Decision]:
    return [d for d in desk.said(Decision) if isinstance(d, Decision)]


def accepted(desk: StepDesk) -> list[tuple[str, str]]:
    return [(d.agent, str(d.qty)) for d in decided(desk) if d.action == "accept"][1:]  # but the purchase


def held(desk: StepDesk) -> dict[str, object]:
    return {h.agent: h.qty for h in desk.view.state.holdings}


def test_equal_wishes_change_hands_at_the_mid_without_an_order() -> None:
    desk = holding()
    before, fees = desk.view.state, desk.firm.account.ledger.fees

    assert desk.close(MET) == []

    (met,) = crossings(desk)
    assert (met.seller, met.buyer, met.symbol, met.qty, met.px) == (LEAVER, TAKER, BTC, D("0.1"), D(51_000))
    state = desk.view.state
    assert held(desk) == {TAKER: D("0.1")}
    assert [c.total for c in state.cash] == [c.total for c in before.cash]
    assert [(p.symbol, p.qty) for p in state.positions] == [(p.symbol, p.qty) for p in before.positions]
    assert state.equity == before.equity + 100  # the market's doing
    assert desk.firm.account.ledger.fees == fees == 0
    assert accepted(desk) == [(TAKER, "0.1")]
    assert [reason for reason in decided(desk)[-1].reasons if reason[0] == LEAVER] == [
        (LEAVER, "gave_way", "")
    ]
    assert desk.close(MET) == []  # and nobody has anything left to do


def test_what_it_saved_is_the_spread_and_a_takers_fee_of_each() -> None:
    desk = holding()
    desk.close(MET)
    (met,) = crossings(desk)
    spread = D(2) * D(51_000) / D(50_000)
    assert met.saved == D("0.1") * spread + 2 * D("0.1") * D(51_000) * D("0.001")


def test_each_has_its_own_result_and_they_sum_to_the_accounts() -> None:
    desk = holding()
    desk.close(MET)
    ledger, view = desk.firm.account.ledger, desk.view
    assert ledger.results() == {LEAVER: D(100), TAKER: D(0)}
    assert (ledger.realised_of(LEAVER), ledger.unrealised(TAKER)) == (D(100), D(0))
    desk.close({BTC: 51_500.0})
    assert ledger.results() == {LEAVER: D(100), TAKER: D(50)}
    assert sum(ledger.results().values()) == desk.view.state.equity - ledger.opening
    report = desk.firm.attribution.report(ledger)
    assert report.by_agent == ((LEAVER, D(100)), (TAKER, D(50)))
    assert report.total == D(150)
    assert view.standings.results[LEAVER] == D(100)


def test_it_is_a_trade_of_each_of_them_and_none_of_the_account() -> None:
    desk = holding()
    desk.close(MET)
    assert desk.view.state.trades_today == 1  # the purchase
    assert dict(desk.view.standings.trades) == {LEAVER: 2, TAKER: 1}


def test_the_buyer_holds_with_its_own_stop_and_take_and_the_leaver_has_none() -> None:
    desk = holding()
    desk.close(MET)
    (mine,) = desk.view.state.holdings
    (d,) = [d for d in decided(desk) if d.agent == TAKER and d.action == "accept"]
    assert (mine.stop, mine.take, mine.avg_px) == (STOP, TAKE, D(51_000))
    assert (mine.round, mine.pid) == (d.round, d.pid)


def test_a_buyer_gets_a_stop_at_the_venue_for_what_it_took() -> None:
    desk = holding(venue_stops=True)
    (stop,) = desk.close(MET)
    assert isinstance(stop, Intent)
    assert (stop.agent, stop.trigger, stop.qty) == (TAKER, STOP, D("0.1"))


def test_the_rest_of_a_larger_purchase_is_ordered_and_reserved() -> None:
    desk = holding(b=taker("0.15"))
    (order,) = desk.close(MET)
    assert isinstance(order, Intent)
    assert (order.agent, order.side, order.qty) == (TAKER, "buy", D("0.05"))
    (met,) = crossings(desk)
    assert met.qty == D("0.1")
    assert held(desk) == {TAKER: D("0.1")}
    (reserved,) = desk.view.state.reservations
    assert (reserved.agent, reserved.qty_left) == (TAKER, D("0.05"))
    (d,) = [d for d in decided(desk) if d.agent == TAKER and d.action == "accept"]
    assert (d.qty, d.plan[0].qty) == (D("0.15"), D("0.05"))
    fill(desk, [order])
    (mine,) = desk.view.state.holdings
    assert (mine.agent, mine.qty, mine.stop) == (TAKER, D("0.15"), STOP)
    assert desk.firm.rounds == {}


def test_the_rest_of_a_larger_exit_leaves_at_once_and_nobody_is_asked_again() -> None:
    asked: list[bool] = []

    def counts(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        asked.extend([msg.reduce_only] if isinstance(msg, Cfp) and me == LEAVER else [])
        return leaver()(msg, ctx, me)

    desk = holding(a=counts, b=taker("0.04"))
    (order,) = desk.close(MET)
    assert isinstance(order, Intent)
    assert (order.agent, order.side, order.qty, order.reduce_only) == (LEAVER, "sell", D("0.06"), True)
    assert asked == [False, False]
    assert held(desk) == {LEAVER: D("0.06"), TAKER: D("0.04")}
    assert accepted(desk) == [(TAKER, "0.04"), (LEAVER, "0.06")]
    fill(desk, [order])
    assert held(desk) == {TAKER: D("0.04")}
    ledger = desk.firm.account.ledger
    assert desk.firm.attribution.report(ledger).total == ledger.realised + ledger.unrealised()


def test_a_proposal_decided_for_its_agent_is_on_record_in_its_round() -> None:
    desk = holding(b=taker("0.04"))
    desk.close(MET)
    bid = [p for p in desk.said(Proposal) if isinstance(p, Proposal)][-1]
    last = decided(desk)[-1]
    assert (bid.agent, bid.pid, bid.legs[0].qty) == (LEAVER, last.pid, D("0.06"))
    triggers = [t for t in desk.said(RoundTrigger) if isinstance(t, RoundTrigger)]
    assert [(t.t - triggers[0].t, t.nth) for t in triggers] == [(0, 0), (MINUTE, 0), (MINUTE, 1)]


def test_one_purchase_meets_the_exits_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firm_kit, "TEAM", (*firm_kit.TEAM, (THIRD, "strategy")))
    one, other = leaver("0.1", at=3), leaver("0.1", at=3, me=TAKER)
    desk = desk_of(one, silent, scripts={THIRD: taker("0.15", at=3, me=THIRD)})
    fill(desk, desk.close())
    desk.transport._hosts[LEAVER].agent._script = silent
    desk.transport._hosts[TAKER].agent._script = taker("0.1")
    fill(desk, desk.close())
    assert held(desk) == {LEAVER: D("0.1"), TAKER: D("0.1")}
    for who, script in ((LEAVER, one), (TAKER, other)):
        desk.transport._hosts[who].agent._script = script

    (order,) = desk.close(MET)

    met = [(c.seller, c.buyer, c.qty) for c in crossings(desk)]
    assert met == [(LEAVER, THIRD, D("0.1")), (TAKER, THIRD, D("0.05"))]
    assert isinstance(order, Intent)
    assert (order.agent, order.side, order.qty) == (TAKER, "sell", D("0.05"))
    assert held(desk) == {TAKER: D("0.05"), THIRD: D("0.15")}


def test_who_was_right_is_learned_as_of_any_other_purchase() -> None:
    desk = holding()
    desk.close(MET)
    desk.close({BTC: 52_000.0})
    found = [o for o in desk.said(Outcome) if isinstance(o, Outcome) and o.agent == TAKER]
    assert [(o.kind, o.symbol, o.markout_bps_net > 100) for o in found][:1] == [("proposal", BTC, True)]


def test_where_nobody_is_opposed_every_record_is_the_same_with_and_without() -> None:
    records = []
    for crossing in (False, True):
        desk = StepDesk(symbols=(BTC, "ETH/USDT"), crossing=crossing)
        for _ in range(6):
            for order in desk.close():
                assert isinstance(order, Intent)
                desk.tell(desk.filled(order), ack(order), event(order, "closed", order.qty))
        assert len(desk.sent) == 12
        records.append(desk.records)
    assert records[0] == records[1]


def test_without_the_setting_the_exit_leaves_and_the_purchase_is_lost() -> None:
    desk = holding(crossing=False)
    (order,) = desk.close(MET)
    assert isinstance(order, Intent)
    assert (order.agent, order.side, order.qty) == (LEAVER, "sell", D("0.1"))
    assert crossings(desk) == []
    assert accepted(desk) == [(LEAVER, "0.1")]
