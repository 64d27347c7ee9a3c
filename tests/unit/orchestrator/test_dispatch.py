"""From decision to order and back: cycles leg by leg, orders nobody knows of, commits that came too late."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from orchestrator.round import State
from parley.agent import Context
from parley.messages import (
    Alarm,
    Allocation,
    AnalysisReady,
    CancelIntent,
    Cfp,
    Decision,
    GateRefusal,
    Intent,
    Leg,
    MarketBatch,
    Message,
    OrderEvent,
    OrderRequest,
    Refuse,
    Review,
    Void,
)  # fmt: skip
from tests.kit.builders import make_fill
from tests.kit.desk_cases import BTC, StepDesk, ack, advises, bids, event, refused, unknown, unless
from tests.kit.firm_kit import MINUTE, T0, D, polite, proposal

CROSS = "ETH/BTC"
ETH = "ETH/USDT"
CYCLE = (
    Leg(symbol=BTC, side="buy", qty=D("0.2"), limit_px=D("50010"), tif="IOC"),
    Leg(symbol=CROSS, side="buy", qty=D("3.9"), limit_px=D("0.05"), tif="IOC"),
    Leg(symbol=ETH, side="sell", qty=D("3.9"), limit_px=D("2490"), tif="IOC"),
)
BUY = Leg(symbol=BTC, side="buy", qty=D("0.2"))


def cycle_desk(*legs: Leg, **over: object) -> StepDesk:
    """A desk that decided half of a cycle; ETH/BTC is quoted finer than the kit's spot."""
    desk = StepDesk({"strategy/a": bids(*(legs or CYCLE))}, symbols=(BTC,), crosses=(CROSS, ETH), **over)
    instruments = desk.firm.table.env.instruments
    assert isinstance(instruments, dict)
    instruments[CROSS] = replace(instruments[CROSS], tick=D("0.00001"), min_notional=D("0.0001"))
    # a round is about what it was asked for: the strategy answers as an analysis agent does
    desk.firm.hearing._ready["strategy/a", BTC] = _analysis()
    return desk


def _analysis() -> AnalysisReady:
    return AnalysisReady(
        agent="strategy/a", symbol=BTC, tf_ns=MINUTE, t_candle=T0, result_hash=b"", symbols=(BTC, CROSS, ETH)
    )


def start(desk: StepDesk) -> Intent:
    """Close the first bar; give the cycle's first order."""
    orders = desk.close({CROSS: 0.04995})
    (first,) = orders
    assert isinstance(first, Intent)
    return first


# coupled legs


def test_the_legs_of_a_cycle_go_one_after_the_other_each_with_what_the_last_delivered() -> None:
    desk = cycle_desk()
    first = start(desk)
    assert (first.symbol, first.qty, first.leg) == (BTC, D("0.1"), 0)
    (second,) = desk.tell(desk.filled(first))
    # 0.1 BTC less the fee of 0.1 % pays for ETH at the limit, its own fee included
    most = D("0.0999") / (D("0.05") * D("1.001"))
    assert (second.symbol, second.leg) == (CROSS, 1)
    assert second.qty == min(D("1.95"), most.quantize(D("0.00001")))
    assert desk.tell(ack(first)) == []
    (third,) = desk.tell(desk.filled(second))
    assert (third.symbol, third.side, third.leg) == (ETH, "sell", 2)
    assert third.qty == (second.qty * D("0.999")).quantize(D("0.00001"), rounding="ROUND_FLOOR")
    assert desk.tell(desk.filled(third)) == []
    assert desk.view.state.reservations == ()
    assert desk.firm.rounds == {}
    assert desk.firm.dispatch._following == {}
    desk.firm.attribution.report(desk.firm.account.ledger)


def test_a_first_leg_that_fills_partly_shrinks_the_others_and_leaves_foreign_holdings_alone() -> None:
    desk = cycle_desk()
    desk.tell(
        make_fill(
            trade_id="other",
            iid=b"elsewhere",
            symbol=BTC,
            qty=D("0.3"),
            px=D(50_000),
            account="main",
            venue="binance",
            t=T0,
        )
    )  # the account holds BTC that is not the cycle's
    first = start(desk)
    desk.tell(desk.filled(first, D("0.04"), fee="none"))
    (second,) = desk.tell(event(first, "expired", D("0.04")))
    assert second.symbol == CROSS
    assert second.qty * D("0.05") <= D("0.04")
    assert second.qty > D("0.75")


def test_a_refused_first_leg_ends_the_cycle_and_frees_its_reservation() -> None:
    desk = cycle_desk()
    first = start(desk)
    assert desk.view.state.reservations[0].asset == "USDT"
    assert desk.tell(refused(first)) == []
    assert desk.view.state.reservations == ()
    assert [m.leg for m in desk.said(Intent)] == [0]
    assert desk.firm.rounds == desk.firm.dispatch._following == {}


def test_a_later_leg_needs_a_book_and_the_risk_agents_word() -> None:
    for case in ("no_book", "risk_refuses"):
        desk = cycle_desk()
        first = start(desk)
        if case == "no_book":
            empty = desk.depth(CROSS, 0, 0.05)
            desk.firm.market.books[CROSS] = type(empty)(symbol=CROSS, t=0, seq=0, bids=(), asks=())
        else:
            for _ in range(desk.firm.table.config.max_strikes):
                desk.firm.table.strike("risk/a", 0, "broken")
        assert desk.tell(desk.filled(first)) == []
        assert desk.view.state.reservations == ()
        assert desk.firm.dispatch._following == {}


def test_a_cycle_of_which_a_leg_would_be_less_than_a_lot_is_not_begun() -> None:
    tiny = (
        CYCLE[0],
        Leg(symbol=CROSS, side="buy", qty=D("0.00001"), limit_px=D("0.05"), tif="IOC"),
        CYCLE[2],
    )
    desk = cycle_desk(*tiny)
    assert desk.close({CROSS: 0.04995}) == []
    decision = next(d for d in desk.said(Decision) if d.reasons[0][1] == "leg_too_small")
    assert (decision.action, decision.reasons[0][0]) == ("reject", "desk")


# orders nobody knows of


def test_an_unknown_order_blocks_openings_on_its_symbol_and_keeps_its_money() -> None:
    desk = StepDesk({"strategy/b": bids(Leg(symbol=BTC, side="buy", qty=D("0.05")), once=False)})
    (first,) = desk.close()
    desk.tell(unknown(first))
    state = desk.view.state
    assert state.blocked == (BTC,)
    assert state.reservations[0].qty_left == first.qty
    assert [m for m in desk.close({BTC: 50_010.0}) if isinstance(m, Intent)] == []
    assert desk.view.state.reservations[0].qty_left == first.qty


def test_the_gate_names_the_blocked_symbol() -> None:
    desk = StepDesk({"strategy/b": _second_buyer})
    (first,) = desk.close()
    desk.tell(unknown(first))
    assert desk.close() == []
    assert desk.last.reasons[0][:2] == ("gate", "symbol_blocked")
    assert [g.code for g in desk.said(GateRefusal)] == ["symbol_blocked"]


def _second_buyer(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    if isinstance(msg, Cfp):
        if ctx.now == T0 + MINUTE:
            return (Refuse(agent=me, code="not_yet"),)
        return (proposal(me, ctx, BTC, "buy", D("0.05")),)
    return polite(msg, ctx, me)


@pytest.mark.parametrize("how", ["ack", "fill", "event"])
def test_a_sign_of_life_ends_the_doubt(how: str) -> None:
    desk = StepDesk()
    (first,) = desk.close()
    desk.tell(unknown(first))
    sign = {"ack": ack(first), "fill": desk.filled(first, D("0.01")), "event": event(first, "open")}[how]
    desk.tell(sign)
    assert desk.view.state.blocked == ()
    assert desk.view.state.orders[0].state in ("OPEN", "PARTIALLY_FILLED")
    assert desk.view.state.reservations[0].qty_left == first.qty - (D("0.01") if how == "fill" else 0)


def test_a_definitive_refusal_frees_what_was_reserved() -> None:
    for doubt in (False, True):
        desk = StepDesk()
        (first,) = desk.close()
        if doubt:
            desk.tell(unknown(first))
        desk.tell(refused(first))
        state = desk.view.state
        assert (state.reservations, state.orders, state.blocked) == ((), (), ())
        assert state.cash[0].reserved == 0
        assert desk.firm.rounds == {}


def test_a_refusal_that_is_not_definitive_frees_nothing() -> None:
    desk = StepDesk()
    (first,) = desk.close()
    desk.tell(refused(first, definitive=False))
    assert desk.view.state.blocked == (BTC,)
    assert desk.view.state.reservations[0].qty_left == first.qty


# commits that came back too late


@pytest.mark.parametrize("style", ["market", "post_only"])
def test_a_void_frees_the_reservation_and_ends_the_round_void(style: str) -> None:
    desk = StepDesk({"execution/a": advises(style=style, px_limit=None if style == "market" else D(49_990))})
    (first,) = desk.close()
    (rnd,) = desk.firm.rounds.values()
    desk.admit(Void(round=first.round, iids=(first.iid,), why="late"), "clock")
    assert rnd.state is State.VOID
    assert desk.view.state.reservations == desk.view.state.orders == ()
    assert desk.firm.rounds == {}
    assert desk.tell(ack(first)) == []


def test_a_void_of_a_later_child_ends_its_leg_and_not_the_desk() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, MarketBatch) and msg.step == 2:
            r = ctx.view.state.reservations[0]
            return (
                OrderRequest(
                    agent=me,
                    round=r.round,
                    pid=r.pid,
                    leg=0,
                    child=1,
                    qty=D("0.05"),
                    style="limit",
                    px=D(49_990),
                    tif="GTC",
                    why="x",
                ),
            )
        return advises(style="limit", tif="GTC", px_limit=D(49_990))(msg, ctx, me)

    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": unless(say)})
    (first,) = desk.close()
    desk.tell(desk.filled(first, D("0.05")), event(first, "canceled", D("0.05")))
    (second,) = desk.close()
    desk.admit(Void(round=second.round, iids=(second.iid,), why="late"), "clock")
    assert desk.view.state.reservations == ()
    assert desk.firm.rounds == {}
    assert desk.view.holding("strategy/a", BTC) is not None


# the gate's reasons, and what was sent


def test_what_a_decision_says_is_what_was_sent() -> None:
    desk = StepDesk()
    for n in range(6):
        for order in desk.close({BTC: 50_000.0 + n}):
            assert isinstance(order, Intent)
            desk.tell(desk.filled(order), ack(order))
    accepts = [d for d in desk.said(Decision) if d.action == "accept"]
    sent = desk.said(Intent)
    assert len(accepts) == len(sent) == 6
    for decision, order in zip(accepts, sent, strict=True):
        (plan,) = decision.plan
        assert (decision.round, decision.pid, decision.qty) == (order.round, order.pid, order.qty)
        assert (plan.symbol, plan.side, plan.qty, plan.px, plan.tif, plan.style, plan.reduce_only) == (
            order.symbol, order.side, order.qty, order.px, order.tif, order.style, order.reduce_only,
        )  # fmt: skip
    report = desk.firm.attribution.report(desk.firm.account.ledger)
    assert report.total == sum((pnl for _, pnl in report.by_round), Decimal(0)) + report.opening
    assert report.total == desk.view.state.equity - 100_000


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"age_ms": 6000.0}, "stale_data"),
        ({"beat": False}, "gateway_silent"),
        ({"offset_ms": -1.0}, "clock_offset"),
        ({"offset_ms": 500.0}, "clock_offset"),
    ],
)
def test_an_opening_without_fresh_facts_is_refused_with_the_reason(
    how: dict[str, float | bool], code: str
) -> None:
    desk = StepDesk()
    assert desk.close(**how) == []  # type: ignore[arg-type]
    assert desk.last.action == "reject"
    assert desk.last.reasons[0][:2] == ("gate", code)
    assert desk.close() != []


def test_an_unknown_clock_offset_does_not_keep_a_holder_in() -> None:
    desk = StepDesk()
    (first,) = desk.close()
    desk.tell(desk.filled(first))
    (exit_,) = desk.close(offset_ms=-1.0)
    assert (exit_.side, exit_.reduce_only) == ("sell", True)


def test_a_crossed_book_is_refused_by_the_gate() -> None:
    desk = StepDesk()
    book = desk.depth(BTC, 0, 50_000.0)
    crossed = type(book)(symbol=BTC, t=0, seq=0, bids=((50_010.0, 5.0),), asks=((50_000.0, 5.0),))
    assert desk.close(books={BTC: crossed}) == []
    assert desk.last.reasons[0][:2] == ("gate", "bad_book")


def test_a_book_of_no_numbers_counts_as_none() -> None:
    desk = StepDesk()
    desk.close(bars=False)
    book = desk.depth(BTC, 0, 50_000.0)
    for bad in (float("nan"), float("inf"), -1e9):
        assert (
            desk.close(
                books={BTC: type(book)(symbol=BTC, t=0, seq=0, bids=((bad, 1.0),), asks=((1.0, 1.0),))}
            )
            == []
        )
    assert {d.action for d in desk.said(Decision)} == {"hold"}


def test_data_grow_old_between_batches() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, OrderEvent):
            r = ctx.view.state.reservations[0]
            return (
                OrderRequest(
                    agent=me,
                    round=r.round,
                    pid=r.pid,
                    leg=0,
                    child=1,
                    qty=D("0.1"),
                    style="limit",
                    px=D(50_020),
                    tif="IOC",
                    why="x",
                ),
            )
        return advises(style="limit", tif="GTC", px_limit=D(50_020))(msg, ctx, me)

    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": unless(say)})
    (first,) = desk.close()
    desk.mono += 6_000_000_000  # the feed says nothing for six seconds
    assert desk.tell(event(first, "expired")) == []
    assert [g.code for g in desk.said(GateRefusal)] == ["stale_data"]


def test_an_allocation_off_the_grid_is_cut_to_it() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Review):
            return None
        return (
            Allocation(
                pid=msg.pid,
                agent=me,
                max_qty=D("0.0333333333"),
                margin_reserved=D(1),
                reservation_id=b"",
                version=1,
                bounds=(),
                code="x",
            ),
        )

    desk = StepDesk({"capital/a": unless(say)})
    (first,) = desk.close()
    assert first.qty == desk.last.qty == D("0.03333")


def test_every_order_is_in_a_group_after_its_decision() -> None:
    desk = StepDesk()
    desk.close()
    kinds = [type(m).__name__ for m in desk.said(Decision | Intent | CancelIntent)]
    assert kinds == ["Decision", "Intent"]


def test_an_alarm_changes_nothing_and_the_symbol_stays_closed_for_hours() -> None:
    desk = StepDesk({"strategy/b": _second_buyer})
    (first,) = desk.close()
    desk.tell(unknown(first))
    before = desk.view.state
    for n in range(1, 60):
        desk.tell(
            Alarm(about="doubt", subject=first.cid, detail="down", n=n, t=T0, iid=first.iid, symbol=BTC)
        )
        assert [order for order in desk.close() if isinstance(order, Intent)] == []
    assert desk.view.state.blocked == before.blocked == (BTC,)
    assert desk.view.state.reservations == before.reservations
    assert desk.last.reasons[0][:2] == ("gate", "symbol_blocked")
    assert len(desk.said(Alarm)) == 59
