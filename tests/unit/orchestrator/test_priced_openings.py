"""What opens never leaves a desk without a price, whatever execution says or does not say; exits may."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from parley.agent import Context
from parley.messages import (
    Decision,
    GateRefusal,
    Halt,
    Intent,
    Leg,
    MarketBatch,
    Message,
    NotUnderstood,
    OrderRequest,
    Review,
)
from tests.kit.desk_cases import BTC, Say, StepDesk, ack, advises, bids, event, silent, unless
from tests.kit.firm_kit import D, Script, spot

OPEN = Leg(symbol=BTC, side="buy", qty=D("0.1"))
WORST = D("50251.01")  # 50 bps above the best ask, up to the tick


def deaf(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    """An execution agent that has no book."""
    if isinstance(msg, Review):
        return advises()(msg, ctx, me)
    return ()


def one(orders: Sequence[object]) -> Intent:
    (order,) = orders
    assert isinstance(order, Intent)
    return order


@pytest.mark.parametrize(
    "execution", [silent, deaf, advises(style="market", tif="IOC"), advises(style="limit")]
)
def test_opening_without_a_price_goes_as_an_immediate_limit_at_the_price_of_its_reservation(
    execution: Script,
) -> None:
    desk = StepDesk({"strategy/a": bids(OPEN), "execution/a": execution})
    order = one(desk.close())
    assert (order.style, order.px, order.tif, order.reduce_only) == ("limit", WORST, "IOC", False)
    (kept,) = desk.view.state.reservations
    assert kept.amount == order.qty * WORST
    assert kept.amount == spot(BTC).tied_up("buy", order.qty, WORST, reduces=False)[1]


def test_opening_of_wide_slippage_is_bounded_by_the_limits_of_a_price_that_was_named() -> None:
    named = {"strategy/a": bids(Leg(symbol=BTC, side="buy", qty=D("0.1"), limit_px=D("51001.02")))}
    wide = {"strategy/a": bids(OPEN, max_slippage_bps=200.0)}
    found = []
    for strategy in (named, wide):
        desk = StepDesk({**strategy, "execution/a": silent})
        assert desk.close() == []
        found.append([(m.code, D(m.value)) for m in desk.said(GateRefusal) if isinstance(m, GateRefusal)])
    assert found[0] == found[1] == [("slippage", D("200.204"))]


def test_opening_sale_that_would_take_any_price_is_refused_and_nobody_falls_over() -> None:
    any_price = Leg(symbol=BTC, side="sell", qty=D("0.1"))
    desk = StepDesk({"strategy/a": bids(any_price, max_slippage_bps=10_000.0), "execution/a": silent})
    assert desk.close() == []
    (refusal,) = desk.said(GateRefusal)
    assert isinstance(refusal, GateRefusal)
    assert refusal.code == "not_finite"


def asks_again(px: Decimal | None, style: str) -> Say:
    """An execution agent that asks for another child of whatever is reserved."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, MarketBatch) and msg.step == 2:
            (r,) = ctx.view.state.reservations
            again = OrderRequest(
                agent=me, round=r.round, pid=r.pid, leg=0, child=1, qty=D("0.02"), style=style, px=px,
                tif="IOC", why="x",
            )  # fmt: skip
            return (again,)
        return advises(style="limit", tif="GTC", px_limit=D(49_990))(msg, ctx, me)

    return say


@pytest.mark.parametrize(("px", "style"), [(None, "market"), (None, "limit"), (WORST, "limit")])
def test_later_child_of_an_opening_cannot_shed_its_price(px: Decimal | None, style: str) -> None:
    desk = StepDesk({"strategy/a": bids(OPEN), "execution/a": unless(asks_again(px, style))})
    first = one(desk.close())
    assert first.px == D(49_990)
    desk.tell(desk.filled(first, D("0.02")), event(first, "canceled", D("0.02")))
    assert desk.close() == []
    assert [m.code for m in desk.said(NotUnderstood) if isinstance(m, NotUnderstood)] == ["beyond_limit"]


def test_exit_of_a_desk_that_leaves_everything_still_needs_no_price() -> None:
    desk = StepDesk({"strategy/a": bids(OPEN), "execution/a": silent})
    first = one(desk.close())
    desk.tell(desk.filled(first, px=D(50_001), fee="none"), ack(first))
    desk.admit(Halt(scope="firm", mode="FLATTEN", by="ann", why="test"), "user")
    leaving = one(desk.close())
    assert (leaving.style, leaving.px, leaving.tif, leaving.reduce_only) == ("market", None, "IOC", True)
    assert [m.plan[0].px for m in desk.said(Decision) if isinstance(m, Decision) and m.plan] == [WORST, None]
