"""Who leaves what is held longer than it may be: the desk, in one exit at a time, unless another does."""

from collections.abc import Sequence

import pytest

from parley.agent import Context
from parley.messages import (
    CancelIntent,
    Cfp,
    Halt,
    Intent,
    Killed,
    LimitChange,
    MarketBatch,
    Message,
    Proposal,
    Refuse,
    Shutdown,
    Trigger,
    decode,
    decode_envelope,
)
from runtime.explain import Teller
from runtime.history import Entry
from tests.kit.desk_cases import BTC, StepDesk, ack, event, refused, unless
from tests.kit.firm_kit import MINUTE, T0, D, proposal

ME = "strategy/a"
DAY = 24 * 60
AGE = {"max_position_age_h": 24}


class Mind:
    """What the strategy does while it holds something."""

    leaves = False


def desk_of(
    tree: dict[str, object] | None, mind: Mind | None = None, stop: str | None = None, **over: object
) -> StepDesk:
    """A desk whose bot has held 0.12 BTC since the first minute, and buys no more."""
    mind = mind or Mind()

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        held = ctx.view.holding(me, BTC)
        if me != ME or ctx.view.reserved(me, BTC):
            return (Refuse(agent=me, code="done"),)
        if held is not None:
            if not mind.leaves:
                return (Refuse(agent=me, code="holds"),)
            return (proposal(me, ctx, BTC, "sell", D("0.05"), reduce_only=True),)
        if ctx.now > T0 + 60_000_000_000:
            return (Refuse(agent=me, code="once"),)
        bid = proposal(me, ctx, BTC, "buy", D("0.24"))
        if stop is None:
            return (bid,)
        return (Proposal(**{n: getattr(bid, n) for n in bid.__struct_fields__} | {"stop": D(stop)}),)

    limits = {"max_repeats": 1000, "tree": tree or {}}
    desk = StepDesk({ME: unless(say)}, limits=limits, **over)  # type: ignore[arg-type]
    (order,) = desk.close()
    assert isinstance(order, Intent)
    desk.tell(desk.filled(order, px=D(50_000), fee="none"), ack(order))
    return desk


def exits(orders: Sequence[Intent | CancelIntent]) -> list[tuple[str, str, object]]:
    return [(o.agent, o.side, o.qty) for o in orders if isinstance(o, Intent) and o.trigger is None]


def why(desk: StepDesk) -> list[str]:
    return [m.source for m in desk.said(Trigger) if m.kind == "cmd"]  # type: ignore[attr-defined]


ALL = [(ME, "sell", D("0.12"))]


@pytest.mark.parametrize(
    ("node", "left"),
    [
        ("platform", True), ("account", True), (f"bot:{ME}", True), (f"symbol:{BTC}", True),
        ("bot:strategy/b", False), ("symbol:ETH/USDT", False),
    ],
)  # fmt: skip
def test_what_is_held_too_long_is_left_once_and_says_why(node: str, left: bool) -> None:
    desk = desk_of({node: AGE})
    assert desk.close(minutes=DAY) == []  # a day exactly
    orders = desk.close()
    assert exits(orders) == (ALL if left else [])
    assert desk.close() == []  # it is on its way
    for order in orders:
        assert isinstance(order, Intent)
        assert order.reduce_only
        desk.tell(desk.filled(order), ack(order))
    assert [desk.close() for _ in range(3)] == [[], [], []]
    assert why(desk) == ["max_position_age"] * left


def test_without_the_limit_nothing_is_left_for_its_age() -> None:
    for tree in (None, {"account": {"max_gross": "0.9"}}):
        desk = desk_of(tree)
        assert desk.close(minutes=30 * DAY) == []
        assert why(desk) == []


def test_explain_tells_why_it_was_left() -> None:
    desk = desk_of({"account": AGE})
    (order,) = desk.close(minutes=DAY + 1)
    teller = Teller(order.round, "USDT")
    for record in desk.records:
        e = decode_envelope(record)
        if e.round == order.round:
            teller.take(Entry(e.seq, e.round, e.sender, e.cause, e.t_recv, e.body, decode(e.body)))
    assert teller.story.trigger.startswith("cmd of max_position_age")
    assert teller.story.outcome == "accept"


def test_an_exit_that_came_to_nothing_is_tried_again_a_candle_later_and_not_before() -> None:
    desk = desk_of({"account": AGE})
    (order,) = desk.close(minutes=DAY + 1)
    desk.tell(refused(order))
    t = T0 + desk.step * MINUTE + MINUTE // 2  # news of the market within the same candle
    assert desk.admit(MarketBatch(step=9_999, t=t, books=(desk.depth(BTC, t, 50_000.0),)), "hub") == []
    (again,) = desk.close()
    assert isinstance(again, Intent)
    desk.tell(desk.filled(again, D("0.05")), event(again, "canceled", D("0.05")))
    assert exits(desk.close()) == [(ME, "sell", D("0.07"))]


def test_own_exit_of_its_holder_is_not_disturbed() -> None:
    mind = Mind()
    mind.leaves = True
    desk = desk_of({"account": AGE}, mind)
    own = desk.close(minutes=DAY)
    assert exits(own) == [(ME, "sell", D("0.05"))]
    assert desk.close() == []  # a day and a minute, and its own exit still works
    assert why(desk) == []
    assert isinstance(own[0], Intent)
    desk.tell(desk.filled(own[0]), ack(own[0]))
    mind.leaves = False
    assert exits(desk.close()) == [(ME, "sell", D("0.07"))]


def test_stop_at_the_venue_makes_way_first() -> None:
    desk = desk_of({"account": AGE}, stop="45000", venue_stops=True)
    guard = next(o for o in desk.sent if isinstance(o, Intent) and o.trigger is not None)
    desk.tell(ack(guard))
    (cancel,) = desk.close(minutes=DAY + 1)
    assert isinstance(cancel, CancelIntent)
    assert desk.close() == []
    assert exits(desk.tell(event(guard, "canceled"))) == ALL
    assert why(desk) == ["max_position_age/stop_lifted"]


def test_own_exit_that_waits_for_its_stop_is_not_replaced() -> None:
    mind = Mind()
    desk = desk_of({"account": AGE}, mind, stop="45000", venue_stops=True)
    guard = next(o for o in desk.sent if isinstance(o, Intent) and o.trigger is not None)
    desk.tell(ack(guard))
    mind.leaves = True
    (cancel,) = desk.close(minutes=DAY)
    assert isinstance(cancel, CancelIntent)
    mind.leaves = False
    assert desk.close() == []  # a day and a minute
    assert exits(desk.tell(event(guard, "canceled"))) == [(ME, "sell", D("0.05"))]
    assert why(desk) == ["stop_lifted"]


def test_where_no_exit_may_leave_none_is_proposed() -> None:
    desk = desk_of({"account": AGE})
    desk.admit(Halt(scope="*", mode="HALT", by="me", why=""), "user")
    assert desk.close(minutes=DAY + 1) == []
    for scope in (f"symbol:{BTC}", f"bot:{ME}"):
        killed = desk_of({"account": AGE})
        killed.admit(Killed(standing=((scope, "block", "test"),), t=T0), "gateway")
        assert killed.close(minutes=DAY + 1) == []
        assert why(killed) == []
    stopping = desk_of({"account": AGE})
    stopping.admit(Shutdown(why="stopped", flatten=False, t=0), "user")
    assert stopping.close(minutes=DAY + 1) == []
    assert why(desk) == why(stopping) == []


def test_it_leaves_also_while_the_firm_only_reduces_and_from_the_limit_on_that_a_person_sets() -> None:
    desk = desk_of(None)
    desk.admit(Halt(scope="*", mode="REDUCE_ONLY", by="me", why=""), "user")
    assert desk.close(minutes=DAY + 1) == []
    key = f"tree.symbol:{BTC}.max_position_age_h"
    desk.admit(LimitChange(n=1, key=key, old="none", new="24", by="ann", why="test", t=1), "gateway")
    assert exits(desk.close()) == ALL
