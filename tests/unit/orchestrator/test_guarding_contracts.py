"""The stop that a venue holds for a long or a short of a contract; what all stops do is in test_guarding."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from parley.agent import Context
from parley.execution.protective import REACHED
from parley.messages import (
    Alarm,
    CancelIntent,
    Cfp,
    Fill,
    GateRefusal,
    Intent,
    Leg,
    Message,
    Protect,
    Refuse,
)
from tests.kit.desk_cases import StepDesk, ack, bids, event, refused, unless
from tests.kit.firm_kit import D, proposal

BTC = "BTC/USDT:USDT"
ME = "strategy/a"
QTY = D("0.2")
STOPS = {"buy": D(49_000), "sell": D(51_000)}
AGAINST = {"buy": "sell", "sell": "buy"}
Orders = list[Intent | CancelIntent]


class Wish:
    """What the strategy does: opens on a side, and then what it is told."""

    def __init__(self, side: str) -> None:
        self.side = side
        self.leaves = False
        self.share = D(1)
        self.stop: Decimal | None = None

    def __call__(self, msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        held = ctx.view.holding(me, BTC)
        if held is None or not held.qty:
            leg = Leg(symbol=BTC, side=self.side, qty=QTY)
            stop = STOPS[self.side]
            return bids(leg, stop=stop, take=D(60_000) if self.side == "buy" else D(40_000))(msg, ctx, me)
        if self.stop is not None:
            return (
                Protect(agent=me, symbol=BTC, opened=held.opened, stop=self.stop),
                Refuse(agent=me, code="x"),
            )
        if self.leaves:
            side = "sell" if held.qty > 0 else "buy"
            return (proposal(me, ctx, BTC, side, abs(held.qty) * self.share, reduce_only=True),)
        return (Refuse(agent=me, code="holding"),)


class Desk(StepDesk):
    """A desk of one contract whose price the test moves."""

    def __init__(self, wish: Wish) -> None:
        super().__init__(
            {ME: unless(wish)}, symbols=(BTC,), venue_stops=True,
            limits={"max_leverage": "3", "max_gross": "3", "max_net": "3", "max_maintenance": "0.9"},
        )  # fmt: skip
        self.price = 50_000.0

    def at(self, price: float | None = None) -> Orders:
        self.price = self.price if price is None else price
        return self.close({BTC: self.price})

    def done(self, order: Intent, qty: Decimal | None = None, px: Decimal | None = None) -> Fill:
        return replace(self.filled(order, qty, px), fee=D(0), fee_asset="USDT")


def one(orders: Orders, kind: type[Intent | CancelIntent]) -> Intent | CancelIntent:
    (order,) = orders
    assert isinstance(order, kind)
    return order


def guarded(side: str) -> tuple[Desk, Wish, Intent]:
    """A desk that holds, and the stop that stands for it."""
    wish = Wish(side)
    desk = Desk(wish)
    entry = one(desk.at(), Intent)
    assert (entry.side, entry.reduce_only) == (side, False)
    stop = one(desk.tell(desk.done(entry), ack(entry)), Intent)
    assert desk.tell(ack(stop)) == []
    return desk, wish, stop


@pytest.mark.parametrize(
    ("side", "limit", "near", "far"),
    [("buy", D("48265"), D(49_500), D(48_500)), ("sell", D("51765"), D(50_500), D(51_500))],
)
def test_a_position_has_a_stop_that_only_reduces_and_moves_nearer_only(
    side: str, limit: Decimal, near: Decimal, far: Decimal
) -> None:
    desk, wish, stop = guarded(side)
    held = desk.view.holding(ME, BTC)
    assert held is not None
    assert (stop.style, stop.side, stop.tif, stop.reduce_only) == ("stop_limit", AGAINST[side], "GTC", True)
    assert (stop.trigger, stop.px, stop.qty) == (STOPS[side], limit, abs(held.qty))
    assert (held.qty > 0) == (side == "buy")
    assert desk.said(GateRefusal) == []

    wish.stop = far
    assert desk.at() == []
    wish.stop = near
    cancel = one(desk.at(), CancelIntent)
    assert cancel.cid == stop.cid
    wish.stop = None
    moved = one(desk.tell(event(stop, "canceled"), ack(cancel)), Intent)
    assert (moved.trigger, moved.side, moved.qty) == (near, stop.side, stop.qty)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_exit_waits_until_the_stop_is_known_to_be_gone(side: str) -> None:
    desk, wish, stop = guarded(side)
    wish.leaves = True
    cancel = one(desk.at(), CancelIntent)
    assert desk.tell(ack(cancel)) == []
    part = D("0.03")
    assert desk.tell(desk.done(stop, part)) == []
    exit_ = one(desk.tell(event(stop, "canceled", part)), Intent)
    assert (exit_.side, exit_.qty, exit_.reduce_only) == (AGAINST[side], stop.qty - part, True)
    assert exit_.trigger is None


@pytest.mark.parametrize(("side", "beyond"), [("buy", 48_200.0), ("sell", 51_800.0)])
def test_a_market_that_went_through_the_limit_is_left_by_the_desk(side: str, beyond: float) -> None:
    desk, _, stop = guarded(side)
    cancel = one(desk.at(beyond), CancelIntent)
    exit_ = one(desk.tell(event(stop, "canceled"), ack(cancel)), Intent)
    assert (exit_.side, exit_.qty) == (AGAINST[side], stop.qty)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_stop_that_would_trigger_at_once_is_an_exit_at_once(side: str) -> None:
    desk = Desk(Wish(side))
    entry = one(desk.at(), Intent)
    stop = one(desk.tell(desk.done(entry), ack(entry)), Intent)
    exit_ = one(desk.tell(refused(stop, code=REACHED)), Intent)
    assert (exit_.side, exit_.qty, exit_.trigger) == (AGAINST[side], stop.qty, None)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_the_venue_took_leaves_no_stop_behind(side: str) -> None:
    desk, _, stop = guarded(side)
    forced = replace(desk.done(stop), iid=b"")
    cancel = one(desk.tell(forced), CancelIntent)
    assert cancel.cid == stop.cid
    assert desk.view.holding(ME, BTC) is None
    assert desk.tell(event(stop, "expired"), refused(cancel, code="venue:order_not_found")) == []
    assert desk.firm.account.orders.guards() == ()


def test_a_stop_that_cannot_be_taken_back_is_told_a_person() -> None:
    """The venue says that it is no open one, and never how it ended: it is being set off, for ever."""
    desk, wish, stop = guarded("buy")
    wish.leaves = True
    for n in range(1, 11):
        assert desk.said(Alarm) == []
        cancel = one(desk.at(), CancelIntent)
        assert (cancel.cid, cancel.n) == (stop.cid, n)
        assert desk.tell(refused(cancel, code="venue:order_not_found")) == []
    (alarm,) = desk.said(Alarm)
    assert isinstance(alarm, Alarm)
    assert (alarm.about, alarm.subject, alarm.n) == ("stop", stop.cid, 10)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_of_what_the_venue_took_a_part_of_the_rest_is_guarded_anew(side: str) -> None:
    desk, _, stop = guarded(side)
    cancel = one(desk.tell(replace(desk.done(stop, D("0.05")), iid=b"")), CancelIntent)
    smaller = one(desk.tell(event(stop, "canceled"), ack(cancel)), Intent)
    assert (smaller.qty, smaller.trigger) == (stop.qty - D("0.05"), stop.trigger)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_position_that_was_turned_over_keeps_no_stop_of_the_other_side(side: str) -> None:
    """A stop that was said to be gone traded all the same, as much as takes the rest beyond zero."""
    desk, wish, stop = guarded(side)
    wish.leaves, wish.share = True, D("0.5")
    cancel = one(desk.at(), CancelIntent)
    exit_ = one(desk.tell(event(stop, "canceled"), ack(cancel)), Intent)
    wish.leaves = False
    assert isinstance(exit_, Intent)
    rest = one(desk.tell(desk.done(exit_), ack(exit_)), Intent)
    assert (rest.qty, rest.side) == (stop.qty / 2, AGAINST[side])
    assert desk.tell(ack(rest)) == []

    wrong = one(desk.tell(desk.done(stop)), CancelIntent)
    held = desk.view.holding(ME, BTC)
    assert held is not None
    assert (abs(held.qty), held.qty > 0) == (rest.qty, side == "sell")
    assert wrong.cid == rest.cid
    after = desk.tell(event(rest, "canceled"), ack(wrong))
    assert all(isinstance(o, Intent) and o.side == side for o in after)
