"""The stop that a venue holds for a holding: when it stands, when it moves, and who waits for its end."""

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
    Decision,
    GateRefusal,
    Halt,
    Intent,
    Killed,
    Leg,
    Message,
    Protect,
    Refuse,
    Shutdown,
    Strain,
    Trigger,
    Void,
)
from tests.kit.desk_cases import BTC, PRICES, StepDesk, ack, bids, event, refused, unknown, unless
from tests.kit.firm_kit import T0, D, proposal

STOP = D("49000")
BUY = Leg(symbol=BTC, side="buy", qty=D("0.2"))
Orders = list[Intent | CancelIntent]


class Wish:
    """What the strategy says when it is asked while it holds something."""

    leaves = False
    buys = False
    stop: Decimal | None = None


def holder(wish: Wish, stop: Decimal | None = STOP):
    """A strategy that buys once with a stop, and then does what it is told."""
    enters = bids(BUY, stop=stop, take=None if stop is None else D("60000"))

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        held = ctx.view.holding(me, BTC)
        if held is None or held.qty < D("0.0001"):
            return enters(msg, ctx, me)
        said: list[Message] = []
        if wish.stop is not None:
            said.append(Protect(agent=me, symbol=BTC, opened=held.opened, stop=wish.stop))
        if wish.buys:
            said.append(replace(proposal(me, ctx, BTC, "buy", D("0.1")), stop=D("47000")))
        elif wish.leaves:
            qty = D("0.00001") * (held.qty // D("0.00001"))
            said.append(proposal(me, ctx, BTC, "sell", qty, reduce_only=True))
        else:
            said.append(Refuse(agent=me, code="holding"))
        return tuple(said)

    return unless(say)


def desk_of(wish: Wish, **over: object) -> StepDesk:
    given: dict[str, object] = {"venue_stops": True, **over}
    return StepDesk({"strategy/a": holder(wish)}, **given)  # type: ignore[arg-type]


def bought(wish: Wish, **over: object) -> tuple[StepDesk, Intent]:
    """A desk that holds, and the stop that it asked the venue for."""
    desk = desk_of(wish, **over)
    (buy,) = desk.close()
    assert isinstance(buy, Intent)
    (stop,) = desk.tell(desk.filled(buy), ack(buy))
    assert isinstance(stop, Intent)
    return desk, stop


def guarded(wish: Wish, **over: object) -> tuple[StepDesk, Intent]:
    desk, stop = bought(wish, **over)
    assert desk.tell(ack(stop)) == []
    return desk, stop


def gone(cancel: Intent | CancelIntent) -> list[Message]:
    return [event(cancel, "canceled"), ack(cancel)]


def one(orders: Orders, kind: type[Intent | CancelIntent]) -> Intent | CancelIntent:
    (order,) = orders
    assert isinstance(order, kind)
    return order


def test_what_was_bought_gets_its_stop_at_the_venue() -> None:
    desk, stop = guarded(Wish())
    held = desk.view.holding("strategy/a", BTC)
    assert held is not None

    assert (stop.style, stop.side, stop.tif, stop.reduce_only) == ("stop_limit", "sell", "GTC", True)
    assert (stop.trigger, stop.px) == (STOP, D("48265"))  # 150 bps beyond
    assert 0 <= held.qty - stop.qty < D("0.00001")
    assert (stop.round, stop.pid, stop.agent) == (held.round, held.pid, "strategy/a")
    assert desk.view.reserved("strategy/a", BTC) == ()  # no decision is worked
    assert desk.view.free("BTC") == held.qty - stop.qty  # but the venue has it tied up
    assert [o.trigger for o in desk.view.orders(BTC)] == [STOP]
    assert desk.said(GateRefusal) == []


def test_without_the_setting_nothing_is_asked_of_the_venue() -> None:
    desk = desk_of(Wish(), venue_stops=False)
    (buy,) = desk.close()
    assert desk.tell(desk.filled(buy), ack(buy)) == []
    assert desk.close() == []


def test_a_holding_without_a_stop_is_left_alone() -> None:
    desk = StepDesk({"strategy/a": holder(Wish(), stop=None)}, venue_stops=True)
    (buy,) = desk.close()
    assert desk.tell(desk.filled(buy), ack(buy)) == []
    assert desk.close() == []


def test_a_fill_of_the_stop_is_its_holders() -> None:
    desk, stop = guarded(Wish())
    assert desk.tell(desk.filled(stop, px=D("48990")), event(stop, "closed", stop.qty)) == []

    held = desk.view.holding("strategy/a", BTC)
    assert held is None or held.qty < D("0.00001")
    assert all(h.agent == "strategy/a" for h in desk.view.state.holdings)
    report = desk.firm.attribution.report(desk.firm.account.ledger)
    assert [round_ for round_, _ in report.by_round] == [stop.round]
    assert report.total < 0


def test_an_exit_waits_until_the_stop_is_known_to_be_gone() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    wish.leaves = True

    cancel = one(desk.close(), CancelIntent)
    assert cancel.cid == stop.cid
    assert (desk.last.action, desk.last.reasons[0][:2]) == ("hold", ("desk", "guarded"))
    assert desk.tell(ack(cancel)) == []  # the venue took the cancel; what became of the order comes now
    exit_ = one(desk.tell(event(stop, "canceled")), Intent)
    assert (exit_.side, exit_.qty, exit_.reduce_only, exit_.trigger) == ("sell", stop.qty, True, None)
    assert desk.last.action == "accept"
    assert [t.source for t in desk.said(Trigger) if t.kind == "cmd"] == ["stop_lifted"]
    assert desk.tell(desk.filled(exit_), ack(exit_)) == []


def test_what_the_stop_sold_meanwhile_is_not_sold_again() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    wish.leaves = True
    cancel = one(desk.close(), CancelIntent)

    part = D("0.04")
    assert desk.tell(desk.filled(stop, part)) == []
    exit_ = one(desk.tell(event(stop, "canceled", part), ack(cancel)), Intent)
    assert exit_.qty == stop.qty - part


def test_an_exit_ends_when_the_stop_sold_everything() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    wish.leaves = True
    cancel = one(desk.close(), CancelIntent)
    assert desk.tell(desk.filled(stop), event(stop, "closed", stop.qty), refused(cancel)) == []
    assert desk.close() == []


def test_a_stop_in_doubt_lets_nothing_else_sell() -> None:
    wish = Wish()
    desk, stop = bought(wish)
    assert desk.tell(unknown(stop)) == []
    wish.leaves = True
    for _ in range(3):
        # asked for once a candle, as of every order in doubt; nothing sells
        assert all(isinstance(o, CancelIntent) for o in desk.close())
        desk.tell(*[unknown(o) for o in desk.sent[-1:] if isinstance(o, CancelIntent)])
    assert BTC in desk.view.state.blocked

    exit_ = one(desk.tell(refused(stop, code="not_accepted")), Intent)
    assert exit_.trigger is None


def test_a_stop_that_would_trigger_at_once_is_an_exit_at_once() -> None:
    desk, stop = bought(Wish())
    exit_ = one(desk.tell(refused(stop, code=REACHED)), Intent)
    assert (exit_.side, exit_.qty, exit_.trigger, exit_.px) == ("sell", stop.qty, None, None)
    assert [t.source for t in desk.said(Trigger) if t.kind == "cmd"] == ["stop_reached"]


def test_a_stop_refused_for_another_reason_is_told_and_tried_again_later() -> None:
    desk, stop = bought(Wish())
    assert desk.tell(refused(stop, code="venue:invalid_order")) == []
    (alarm,) = desk.said(Alarm)
    assert isinstance(alarm, Alarm)
    assert (alarm.about, alarm.subject, alarm.symbol) == ("stop", stop.cid, BTC)

    again = one(desk.close(), Intent)  # a minute later
    assert (again.trigger, again.iid != stop.iid) == (STOP, True)
    assert desk.tell(refused(again, code="last_look:rate")) == []
    assert len(desk.said(Alarm)) == 1  # the gateway's own refusals are no news of the venue


def test_a_market_that_is_beyond_the_stop_when_it_is_placed_is_left() -> None:
    desk = desk_of(Wish())
    (buy,) = desk.close()
    assert isinstance(buy, Intent)
    desk.close({BTC: 48_900.0})
    exit_ = one(desk.tell(desk.filled(buy), ack(buy)), Intent)
    assert (exit_.trigger, exit_.side) == (None, "sell")


def test_a_market_that_fell_through_the_limit_is_left_by_the_desk() -> None:
    desk, stop = guarded(Wish())
    assert desk.close({BTC: 48_500.0}) == []  # between trigger and limit the venue does it
    cancel = one(desk.close({BTC: 48_200.0}), CancelIntent)
    exit_ = one(desk.tell(*gone(cancel)), Intent)
    assert (exit_.qty, exit_.side) == (stop.qty, "sell")


def test_a_stop_that_came_nearer_moves_and_one_that_went_away_does_not() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    wish.stop = D("48000")
    assert desk.close() == []
    wish.stop = D("49010")  # 2 bps: not worth a moment without
    assert desk.close() == []
    wish.stop = D("49500")
    cancel = one(desk.close(), CancelIntent)
    assert cancel.cid == stop.cid
    wish.stop = None
    moved = one(desk.tell(*gone(cancel)), Intent)
    assert (moved.trigger, moved.qty) == (D("49500"), stop.qty)


def test_what_is_bought_beside_it_is_guarded_too_and_no_looser() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    wish.buys = True
    buy = one(desk.close(), Intent)
    wish.buys = False
    assert (buy.side, desk.firm.account.holdings()[0].stop) == ("buy", D("47000"))
    cancel = one(desk.tell(desk.filled(buy), ack(buy)), CancelIntent)
    grown = one(desk.tell(*gone(cancel)), Intent)
    assert grown.qty > stop.qty
    assert grown.trigger == STOP


def test_a_stop_that_never_left_is_not_asked_for_at_every_batch() -> None:
    desk, stop = bought(Wish())
    assert desk.admit(Void(round=stop.round, iids=(stop.iid,), why="late"), "clock") == []
    assert desk.close(minutes=0) == []  # the same moment of the market
    again = one(desk.close(), Intent)
    assert (again.trigger, again.iid != stop.iid) == (STOP, True)


def test_a_stop_somebody_else_ended_comes_back_after_a_while() -> None:
    desk, stop = bought(Wish())
    assert desk.tell(event(stop, "expired"), ack(stop)) == []
    again = one(desk.close(), Intent)
    assert again.trigger == STOP


def test_what_is_bought_while_a_stop_sells_is_guarded_with_the_rest() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    part = D("0.04")
    assert desk.tell(desk.filled(stop, part)) == []
    wish.buys = True
    buy = one(desk.close(), Intent)
    wish.buys = False
    cancel = one(desk.tell(desk.filled(buy), ack(buy)), CancelIntent)
    left = one(desk.tell(event(stop, "canceled", part), ack(cancel)), Intent)
    assert left.qty > stop.qty - part


@pytest.mark.parametrize("mode", ["CANCEL_ONLY", "REDUCE_ONLY"])
def test_a_halt_leaves_the_stop_where_it_is(mode: str) -> None:
    desk, _ = guarded(Wish())
    assert desk.admit(Halt(scope="*", mode=mode, by="me", why=""), "user") == []
    assert desk.close() == []
    assert len(desk.view.orders(BTC)) == 1


@pytest.mark.parametrize("mode", ["block", "cancel"])
def test_a_kill_leaves_the_stop_where_it_is_and_none_stands_anew(mode: str) -> None:
    desk, stop = guarded(Wish())
    assert desk.admit(Killed(standing=(("firm:main", mode, "odd"),), t=T0), "gateway") == []
    assert desk.close() == []
    assert desk.tell(event(stop, "canceled")) == []
    assert desk.close() == []


@pytest.mark.parametrize(
    "why",
    [
        Halt(scope="*", mode="FLATTEN", by="me", why=""),
        Killed(standing=(("firm:main", "flatten", "odd"),), t=T0),
        Killed(standing=((f"symbol:{BTC}", "flatten", "odd"),), t=T0),
        Killed(standing=(("bot:strategy/a", "flatten", "odd"),), t=T0),
    ],
    ids=["halt", "firm", "symbol", "bot"],
)
def test_a_flatten_takes_the_stop_back_and_then_leaves(why: Message) -> None:
    desk, stop = guarded(Wish())
    found = desk.admit(why, "user" if isinstance(why, Halt) else "gateway")
    cancel = one(found or desk.close(), CancelIntent)
    assert cancel.cid == stop.cid
    exit_ = one(desk.tell(*gone(cancel)), Intent)
    assert (exit_.side, exit_.qty, exit_.trigger) == ("sell", stop.qty, None)
    # a try that fails is repeated; no stop stands in its way meanwhile
    (again,) = desk.tell(refused(exit_)) or desk.close()
    assert isinstance(again, Intent)
    assert again.trigger is None


@pytest.mark.parametrize("says", ["nearer", "leaves"])
@pytest.mark.parametrize(
    "why",
    [
        Halt(scope="account", mode="HALT", by="test", why="test"),
        Strain(source="load", level=4, why="test"),
        Killed(standing=(("firm:main", "block", "test"),), t=T0),
        Killed(standing=((f"symbol:{BTC}", "cancel", "test"),), t=T0),
    ],
)
def test_a_strategy_takes_no_stop_back_while_no_exit_could_leave(why: Message, says: str) -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    assert desk.admit(why, "gateway") == []

    wish.leaves, wish.stop = says == "leaves", D("49500") if says == "nearer" else None
    orders = [order for _ in range(3) for order in desk.close()]

    assert orders == []
    order = desk.firm.account.orders.get(stop.iid)
    assert order is not None
    assert not order.is_final
    assert not order.cancelling


def test_the_end_of_a_run_leaves_the_stop_unless_everything_is_left() -> None:
    desk, _ = guarded(Wish())
    assert desk.admit(Shutdown(why="stopped", flatten=False, t=0), "user") == []
    desk, stop = guarded(Wish())
    cancel = one(desk.admit(Shutdown(why="stopped", flatten=True, t=0), "user"), CancelIntent)
    exit_ = one(desk.tell(*gone(cancel)), Intent)
    assert exit_.qty == stop.qty


def test_what_an_agent_in_quarantine_holds_is_left_after_its_stop_is_gone() -> None:
    desk, stop = guarded(Wish())

    def raises(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        raise RuntimeError("dead")

    desk.transport._hosts["strategy/a"].agent._script = raises
    orders: Orders = []
    for _ in range(4):
        orders = orders or desk.close()
    cancel = one(orders, CancelIntent)
    assert cancel.cid == stop.cid
    exit_ = one(desk.tell(*gone(cancel)), Intent)
    assert exit_.agent == "strategy/a"


def test_a_cancel_without_an_answer_is_asked_for_again_with_the_market_only() -> None:
    wish = Wish()
    desk, stop = guarded(wish)
    wish.leaves = True
    cancel = one(desk.close(), CancelIntent)
    assert desk.tell(refused(cancel, code="venue:order_not_found")) == []
    again = one(desk.close(), CancelIntent)
    assert (again.cid, again.n) == (stop.cid, 2)
    one(desk.tell(*gone(again)), Intent)


def test_the_price_of_a_stop_is_the_books_and_not_a_wish() -> None:
    desk, stop = guarded(Wish())
    assert stop.ref_px == D(repr(PRICES[BTC]))
    assert desk.said(Decision)[-1].action == "accept"
