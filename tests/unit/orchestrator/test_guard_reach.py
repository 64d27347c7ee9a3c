"""A stop at the venue and another agent's resting bid: the stop never finds an own order to trade with.

Not here: which prices a stop reaches (tests/unit/parley/test_risk_stops.py), the stops themselves
(test_guarding.py).
"""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from parley.agent import Context
from parley.messages import (
    Alarm,
    CancelIntent,
    Cfp,
    GateRefusal,
    Intent,
    Leg,
    MarketBatch,
    Message,
    Protect,
    Refuse,
    Review,
)
from tests.kit.desk_cases import BTC, StepDesk, ack, advises, event, refused, unless
from tests.kit.firm_kit import MINUTE, T0, D, proposal

HOLDER, BIDDER = "strategy/a", "strategy/b"
STOP = D(49_000)  # may sell down to 48,265


class Wishes:
    """What the two strategies do next."""

    buys = False
    stop: Decimal | None = STOP
    bid: Decimal | None = None

    def holder(self, msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        held = ctx.view.holding(me, BTC)
        if held is not None and self.stop is not None:
            moved = Protect(agent=me, symbol=BTC, opened=held.opened, stop=self.stop)
            return (moved, Refuse(agent=me, code="holding"))
        if held is None and self.buys:
            return (replace(proposal(me, ctx, BTC, "buy", D("0.2")), stop=self.stop),)
        return (Refuse(agent=me, code="nothing"),)

    def bidder(self, msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        if self.bid is None:
            return (Refuse(agent=me, code="nothing"),)
        rests = Leg(symbol=BTC, side="buy", qty=D("0.2"), limit_px=self.bid, tif="GTC", post_only=True)
        return (replace(proposal(me, ctx, BTC, "buy", D("0.2")), legs=(rests,)),)

    def worker(self, msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and msg.stage == "execution" and msg.proposal.agent == BIDDER:
            return advises(style="post_only", tif="GTC")(msg, ctx, me)
        return None


def desk_of(wishes: Wishes) -> StepDesk:
    scripts = {HOLDER: wishes.holder, BIDDER: wishes.bidder, "execution/a": wishes.worker}
    return StepDesk({who: unless(say) for who, say in scripts.items()}, venue_stops=True)


def bid(desk: StepDesk, wishes: Wishes, px: Decimal) -> Intent:
    """Rest another agent's bid in the book."""
    wishes.bid = px
    (order,) = desk.close()
    wishes.bid = None
    assert isinstance(order, Intent)
    assert (order.agent, order.px, order.tif) == (BIDDER, px, "GTC")
    assert desk.tell(ack(order)) == []
    return order


def buy(desk: StepDesk, wishes: Wishes) -> list[Intent | CancelIntent]:
    """Let the holder buy; give what the desk sends thereupon."""
    wishes.buys = True
    (order,) = desk.close()
    wishes.buys = False
    assert isinstance(order, Intent)
    return desk.tell(desk.filled(order), ack(order))


@pytest.mark.parametrize("px", [D(49_000), D(48_900), D(48_265)])
def test_a_bid_that_a_new_stop_would_sell_into_is_taken_back(px: Decimal) -> None:
    wishes = Wishes()
    desk = desk_of(wishes)
    resting = bid(desk, wishes, px)
    stop, cancel = buy(desk, wishes)
    assert isinstance(stop, Intent)
    assert (stop.trigger, stop.px, stop.agent) == (STOP, D(48_265), HOLDER)
    assert isinstance(cancel, CancelIntent)
    assert cancel.iid == resting.iid
    assert desk.tell(ack(stop), event(cancel, "canceled"), ack(cancel)) == []
    assert [o.trigger for o in desk.view.orders(BTC)] == [STOP]
    assert desk.close() == []


@pytest.mark.parametrize("px", [D("49000.01"), D("48264.99")])
def test_a_bid_beyond_its_reach_stays(px: Decimal) -> None:
    wishes = Wishes()
    desk = desk_of(wishes)
    resting = bid(desk, wishes, px)
    (stop,) = buy(desk, wishes)
    assert isinstance(stop, Intent)
    assert desk.tell(ack(stop)) == []
    assert resting.iid in {o.iid for o in desk.view.orders(BTC)}


def test_beside_a_stop_no_bid_is_placed_within_its_reach() -> None:
    wishes = Wishes()
    desk = desk_of(wishes)
    (stop,) = buy(desk, wishes)
    desk.tell(ack(stop))
    wishes.bid = D(48_900)
    assert desk.close() == []
    (no,) = desk.said(GateRefusal)
    assert isinstance(no, GateRefusal)
    assert (no.code, no.value, no.cap) == ("stop_reach", "48900", "49000..48265")
    bid(desk, wishes, D("49100"))


def test_a_stop_that_moves_takes_back_what_comes_within_its_reach() -> None:
    wishes = Wishes()
    wishes.stop = D(47_000)
    desk = desk_of(wishes)
    (stop,) = buy(desk, wishes)
    desk.tell(ack(stop))
    resting = bid(desk, wishes, D(48_900))
    wishes.stop = STOP
    (lift,) = desk.close()
    assert lift.iid == stop.iid
    moved, cancel = desk.tell(event(lift, "canceled"), ack(lift))
    assert isinstance(moved, Intent)
    assert moved.trigger == STOP
    assert isinstance(cancel, CancelIntent)
    assert cancel.iid == resting.iid


def test_a_cancel_that_nobody_answers_is_asked_for_again_when_the_market_moves() -> None:
    wishes = Wishes()
    desk = desk_of(wishes)
    resting = bid(desk, wishes, D(48_900))
    stop, cancel = buy(desk, wishes)
    assert isinstance(stop, Intent)
    assert isinstance(cancel, CancelIntent)
    desk.tell(ack(stop))
    assert desk.close() == []  # it may still be answered
    assert desk.tell(refused(cancel, code="venue:busy")) == []
    (again,) = desk.close()
    assert isinstance(again, CancelIntent)
    assert (again.iid, again.n) == (resting.iid, 2)
    # a venue that says no is not asked again with every tick, but a person hears of it
    desk.tell(refused(again, code="venue:busy"))
    for n in range(3, 11):
        (more,) = desk.close()
        assert desk.said(Alarm) == []
        assert isinstance(more, CancelIntent)
        assert more.n == n
        t = T0 + desk.step * MINUTE + 1_000_000
        assert (
            desk.admit(MarketBatch(step=9_000 + n, t=t, books=(desk.depth(BTC, t, 50_000.0),)), "hub") == []
        )
        desk.tell(refused(more, code="venue:busy"))
    (alarm,) = desk.said(Alarm)
    assert isinstance(alarm, Alarm)
    assert (alarm.iid, alarm.n) == (resting.iid, 10)
