"""Legs being worked: what they reserve, what they may still send, and when they end."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.legs import Leg, Legs
from orchestrator.orders import Orders
from parley.agent import Context
from parley.messages import (
    CancelIntent,
    CancelRequest,
    Child,
    Fill,
    Intent,
    MarketBatch,
    Message,
    NotUnderstood,
    OrderEvent,
    OrderRequest,
    PlanLeg,
    ScheduleDone,
    VenueReject,
    Verdict,
)  # fmt: skip
from parley.messages import Leg as Wanted
from tests.kit.builders import make_fill, make_proposal
from tests.kit.desk_cases import (
    BTC,
    StepDesk,
    ack,
    advises,
    bids,
    event,
    make_order,
    refused,
    unknown,
    unless,
)
from tests.kit.firm_kit import D, spot

ONE = D(1)
BUY = Wanted(symbol=BTC, side="buy", qty=D("0.2"))
SPLIT = tuple(Child(qty=D(1), delay_ms=60_000 * n) for n in range(4))
TWAP = {"style": "twap", "px_limit": D(50_050), "tif": "IOC", "split": SPLIT}
VERDICT = Verdict(
    pid=b"p" * 16,
    agent="risk/a",
    ok=True,
    max_qty=D(1),
    breached=(),
    state_version=1,
    risk_epoch=0,
    valid_until=1,
)


def leg(style: str = "twap", qty: Decimal = ONE) -> Leg:
    plan = PlanLeg(symbol=BTC, side="buy", qty=qty, style=style, px=D(100), tif="IOC", reduce_only=False)
    return Leg(
        round=b"r" * 16, proposal=make_proposal(), agent="strategy/a", index=0, plan=plan, worst_px=D(100),
        reservation_id=b"v" * 16, verdict=VERDICT, last_word=0,
    )  # fmt: skip


# the fold, without a desk


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5), st.booleans(), st.integers(0, 2)), max_size=6)
)
def test_what_can_still_trade_is_always_reserved_and_room_is_never_negative(
    children: list[tuple[int, int, bool, int]],
) -> None:
    orders = Orders()
    legs = Legs(orders)
    worked = leg(qty=D(10))
    legs.open(worked)
    for n, (qty, part, gone, late) in enumerate(children):
        wanted = min(D(qty), legs.room(worked))
        if wanted <= 0:
            continue
        intent = make_order(iid=n.to_bytes(16, "big"), qty=wanted, px=D(100))
        legs.attach(worked, orders.open(intent, "strategy/a", 0))
        filled = min(D(part), wanted)
        if filled:
            orders.apply(make_fill(iid=intent.iid, trade_id=f"{n}a", qty=filled, px=D(100)))
        if gone:
            orders.apply(event(intent, "canceled", filled))
        # the venue reports a fill nobody counted on any more
        if gone and late and filled + late <= wanted:
            orders.apply(make_fill(iid=intent.iid, trade_id=f"{n}b", qty=D(late), px=D(100)))
        room, reserved = legs.room(worked), legs.reservation(worked, spot(BTC))
        working = sum((o.left for o in legs.orders(worked)), Decimal(0))
        assert room >= 0
        assert reserved.qty_left >= working
        assert reserved.amount >= working * 100
        assert reserved.qty_left >= room


def test_an_immediate_leg_ends_with_its_order_and_a_worked_one_with_its_schedule() -> None:
    for style, ends in (("market", True), ("twap", False)):
        orders = Orders()
        legs = Legs(orders)
        worked = leg(style)
        legs.open(worked)
        legs.attach(worked, orders.open(make_order(), "strategy/a", 0))
        assert legs.finish() == ()
        orders.apply(refused(make_order()))
        assert bool(legs.finish()) is ends
        assert bool(legs.all()) is not ends


def test_an_unknown_order_keeps_its_leg_and_its_whole_reservation() -> None:
    orders = Orders()
    legs = Legs(orders)
    worked = leg("market")
    legs.open(worked)
    legs.attach(worked, orders.open(make_order(qty=D(1)), "strategy/a", 0))
    orders.apply(unknown(make_order()))
    worked.closed = True
    assert legs.finish() == ()
    assert legs.reservation(worked, spot(BTC)).amount == 100


# a desk with an execution agent that asks for what the test says


def worker(asks: dict[int, Sequence[tuple[int, str]]], **advice: object):
    """Make an execution agent: at a step it asks for (child, quantity)s of the leg being worked."""
    advise = advises(**advice)

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, MarketBatch):
            return advise(msg, ctx, me)
        found: list[Message] = []
        for child, what in asks.get(msg.step, ()):
            r = ctx.view.state.reservations[0] if ctx.view.state.reservations else last["r"]
            last["r"] = r
            if what == "done":
                found.append(ScheduleDone(agent=me, round=r.round, pid=r.pid, leg=0, why="over"))
            elif what.startswith("cancel"):
                found += [CancelRequest(agent=me, iid=o.iid, why="behind") for o in ctx.view.state.orders]
            else:
                qty, _, px = what.partition("@")
                found.append(
                    OrderRequest(
                        agent=me, round=r.round, pid=r.pid, leg=0, child=child, qty=D(qty), style="limit",
                        px=D(px or "50050"), tif="IOC", why="slice",
                    )
                )  # fmt: skip
        return found

    last: dict[str, object] = {}
    return unless(say)


def twap_desk(asks: dict[int, Sequence[tuple[int, str]]], **over: object) -> StepDesk:
    desk = StepDesk(
        {"strategy/a": bids(BUY), "execution/a": worker(asks, **(TWAP | over.pop("advice", {})))}, **over
    )
    desk.first = desk.close()
    return desk


def codes(desk: StepDesk) -> list[str]:
    return [n.code for n in desk.said(NotUnderstood)]


def test_children_of_a_split_sum_to_the_decided_quantity_whatever_is_asked() -> None:
    desk = twap_desk({
        2: [(0, "0.025"), (1, "0.025"), (1, "0.025"), (2, "0.1")],  # reused, right, reused, too much
        3: [(3, "0.025"), (4, "0.0250000001"), (5, "0"), (6, "-1"), (7, "NaN"), (8, "0.03")],
        4: [(9, "0.025"), (10, "0.00001")],
    }, max_strikes=100)  # fmt: skip
    for _ in range(4):
        desk.close()
    sent = desk.said(Intent)
    assert [m.qty for m in sent] == [D("0.025")] * 4
    assert sum((m.qty for m in sent), D(0)) == desk.said(type(desk.last))[0].qty == D("0.1")
    assert codes(desk) == [
        "child_reused", "child_reused", "more_than_decided", "bad_quantity", "bad_quantity", "bad_quantity",
        "bad_quantity", "more_than_decided", "more_than_decided",
    ]  # fmt: skip
    assert desk.view.state.reservations[0].qty_left == D("0.1")


def test_a_child_beyond_the_worst_price_or_off_the_grid_is_not_sent() -> None:
    desk = twap_desk(
        {2: [(1, "0.025@50050.01"), (2, "0.025@50049.999"), (3, "0.025@NaN"), (4, "0.025@50040")]}
    )
    orders = desk.close()
    assert codes(desk) == ["beyond_limit", "bad_price", "bad_price"]
    assert desk.firm.table.awake("execution") == ()  # three strikes
    assert [o.px for o in orders] == [D(50_040)]


def test_nothing_is_sent_for_a_leg_after_its_schedule_is_over() -> None:
    desk = twap_desk({2: [(0, "done"), (1, "0.025")], 3: [(2, "0.025")]})
    (first,) = desk.first
    assert desk.close() == []
    assert desk.close() == []
    assert codes(desk) == []
    # the order still lives: its worst case stays reserved until it is final
    assert desk.view.state.reservations[0].qty_left == D("0.1")
    desk.tell(event(first, "expired"))
    assert desk.view.state.reservations == ()
    assert desk.firm.rounds == {}


def test_a_schedule_that_ends_on_a_fact_frees_its_reservation_at_once() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, OrderEvent):
            r = ctx.view.state.reservations[0]
            return (ScheduleDone(agent=me, round=r.round, pid=r.pid, leg=0, why="unfilled"),)
        return advises(**TWAP)(msg, ctx, me)

    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": unless(say)})
    (first,) = desk.close()
    desk.tell(event(first, "expired"))
    assert desk.view.state.reservations == ()


def test_a_later_child_of_an_exit_goes_out_although_its_own_leg_reserves_the_holding() -> None:
    sell = {"twap": False}

    def execution(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, MarketBatch):
            own = [r for r in ctx.view.state.reservations if r.side == "sell"]
            return [
                OrderRequest(
                    agent=me, round=r.round, pid=r.pid, leg=0, child=msg.step, qty=D("0.02"), style="limit",
                    px=D(49_950), tif="IOC", why="slice",
                )
                for r in own
            ]  # fmt: skip
        if sell["twap"]:
            return advises(style="twap", px_limit=D(49_950), tif="IOC", split=SPLIT)(msg, ctx, me)
        return None

    desk = StepDesk({"execution/a": unless(execution)})
    (first,) = desk.close()
    desk.tell(desk.filled(first))
    sell["twap"] = True
    (exit_,) = desk.close()
    assert (exit_.side, exit_.reduce_only) == ("sell", True)
    desk.tell(desk.filled(exit_))
    (second,) = desk.close()
    assert (second.child, second.qty, second.reduce_only) == (3, D("0.02"), True)


def test_a_post_only_order_is_requoted_higher_after_its_cancel_came_back() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        state = ctx.view.state
        if isinstance(msg, MarketBatch) and msg.step == 2:
            return [CancelRequest(agent=me, iid=o.iid, why="behind") for o in state.orders]
        if isinstance(msg, OrderEvent) and msg.status == "canceled":
            r = state.reservations[0]
            return (
                OrderRequest(
                    agent=me, round=r.round, pid=r.pid, leg=0, child=1, qty=D("0.1"), style="post_only",
                    px=D(50_090), tif="GTC", why="requote",
                ),
            )  # fmt: skip
        return advises(style="post_only", px_limit=D(49_990), tif="IOC")(msg, ctx, me)

    desk = StepDesk({"strategy/a": bids(BUY), "execution/a": unless(say)})
    (first,) = desk.close()
    assert (first.style, first.px, first.tif) == ("post_only", D(49_990), "GTC")
    desk.tell(ack(first))
    (cancel,) = desk.close({BTC: 50_100.0})
    assert isinstance(cancel, CancelIntent)
    assert cancel.iid == first.iid
    assert desk.close({BTC: 50_100.0}) == []  # asked once, not again
    (second,) = desk.tell(event(cancel, "canceled"))
    assert (second.px, second.child, second.qty) == (D(50_090), 1, D("0.1"))
    reserved = desk.view.state.reservations[0]
    assert reserved.amount >= second.qty * second.px


def test_a_forgotten_leg_is_cancelled_and_released() -> None:
    desk = twap_desk({}, settle_bars=3)
    (first,) = desk.first
    sent = [desk.close() for _ in range(8)]
    cancels = [o for group in sent for o in group]
    assert [type(o) for o in cancels] == [CancelIntent]
    desk.tell(ack(cancels[0]), event(first, "canceled"))
    assert desk.view.state.reservations == ()
    assert desk.firm.rounds == {}


def test_an_order_in_doubt_is_asked_to_go_once_and_again_when_it_was_found() -> None:
    desk = twap_desk({}, settle_bars=1)
    (first,) = desk.first
    desk.tell(unknown(first))
    cancels = [o for _ in range(8) for o in desk.close()]
    assert len(cancels) == 1
    desk.tell(unknown(cancels[0]))
    assert [o for _ in range(3) for o in desk.close()] == []
    desk.tell(event(first, "open"))
    (again,) = desk.close()
    assert (again.iid, again.n) == (first.iid, 2)


def test_a_child_the_venue_refuses_leaves_the_rest_of_the_leg_to_its_schedule() -> None:
    desk = twap_desk({2: [(1, "0.025")]})
    desk.tell(refused(desk.first[0]))
    assert desk.view.state.reservations[0].qty_left == D("0.1")
    (second,) = desk.close()
    assert second.child == 1
    assert [type(m) for m in desk.said(VenueReject)] == [VenueReject]
    desk.tell(desk.filled(second))
    assert desk.view.state.reservations[0].qty_left == D("0.075")
    assert [f.qty for f in desk.said(Fill)] == [D("0.025")]
