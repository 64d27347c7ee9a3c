"""The execution agent: how it works what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from agents.execution import Execution, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.ids import intent_id
from parley.messages import (
    UNGUARDED,
    Book,
    CancelRequest,
    Child,
    Counter,
    Decision,
    Fill,
    MarketBatch,
    Message,
    OrderEvent,
    OrderRequest,
    PlanLeg,
    Proposal,
    Reservation,
    Review,
    ScheduleDone,
    StateView,
    VenueReject,
    WorkingOrder,
)
from parley.view import FirmView
from tests.kit.builders import (
    T0,
    make_book,
    make_decision,
    make_fill,
    make_instrument,
    make_leg,
    make_proposal,
    make_state,
)

ME = "execution/main"
MINUTE = 60_000_000_000
ROUND, PID = b"r" * 16, b"p" * 16
DEEP = tuple((60_001.0 + i, 5.0) for i in range(10))
DEEP_BIDS = tuple((60_000.0 - i, 5.0) for i in range(10))


def make_agent(**params: object) -> Execution:
    env = AgentEnv(
        tenant="t",
        account="main",
        quote="USDT",
        symbols=("BTC/USDT",),
        instruments={"BTC/USDT": make_instrument()},
        tf_ns=MINUTE,
    )
    return make(AgentSpec(id=ME, role="execution", factory="", params=params), env)


def context(minute: int = 0, state: StateView = EMPTY_STATE) -> Context:
    return Context(now=T0 + minute * MINUTE, view=FirmView(state), seq=minute + 1, seed=1, agent=ME)


def deep_book(bid: float = 60_000.0, ask: float = 60_001.0, qty: float = 5.0) -> Book:
    return make_book(
        bids=tuple((bid - i, qty) for i in range(10)), asks=tuple((ask + i, qty) for i in range(10))
    )


def see(agent: Execution, book: Book, minute: int = 0, state: StateView = EMPTY_STATE) -> list[Message]:
    return list(
        agent.handle(MarketBatch(step=minute, t=T0 + minute * MINUTE, books=(book,)), context(minute, state))
    )


def advise(agent: Execution, bid: Proposal, size: float = 1.0) -> Counter:
    review = Review(
        round=ROUND, pid=bid.pid, stage="execution", proposal=bid, size=size, state_version=1, t=T0
    )
    (counter,) = agent.handle(review, context())
    assert isinstance(counter, Counter)
    return counter


def order(side: str = "buy", qty: str = "0.1", **over: object) -> Proposal:
    return make_proposal(legs=(make_leg(side=side, qty=qty, **over),), max_slippage_bps=10.0)


def decided(
    agent: Execution,
    style: str,
    qty: str = "0.3",
    children: Sequence[tuple[str, int]] = (),
    side: str = "buy",
    px: str = "60000",
    state: StateView = EMPTY_STATE,
) -> Decision:
    plan = PlanLeg(
        symbol="BTC/USDT",
        side=side,
        qty=Decimal(qty),
        style=style,
        px=Decimal(px),
        tif="IOC" if style == "twap" else "GTC",
        reduce_only=False,
        children=tuple(Child(qty=Decimal(q), delay_ms=d) for q, d in children),
    )
    decision = make_decision(round=ROUND, pid=PID, plan=(plan,), qty=Decimal(qty), t=T0)
    assert agent.handle(decision, context(0, state)) == ()
    return decision


def reviewed(agent: Execution, **over: object) -> None:
    advise(agent, replace(order(qty="0.3"), pid=PID, urgency="patient", **({"edge_bps": 50.0} | over)))


def canceled(child: int, cum: str = "0", status: str = "canceled") -> OrderEvent:
    return OrderEvent(
        iid=intent_id(ROUND, PID, 0, child),
        venue_id="v",
        symbol="BTC/USDT",
        status=status,
        cum_qty=Decimal(cum),
        avg_px=Decimal(60_000),
        t=T0,
    )


def filled(child: int, qty: str, trade: str = "t") -> Fill:
    return make_fill(iid=intent_id(ROUND, PID, 0, child), qty=qty, trade_id=f"{trade}{child}")


def tell(agent: Execution, *facts: Message) -> list[Message]:
    return [m for fact in facts for m in agent.handle(fact, context())]


def test_a_post_only_order_left_behind_is_canceled_and_quoted_anew_for_the_rest() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only")
    higher = deep_book(60_010.0, 60_011.0)

    first, second = see(agent, higher, 1), see(agent, higher, 2)
    anew = tell(agent, filled(0, "0.1"), canceled(0, "0.1"))

    assert first == [CancelRequest(agent=ME, iid=intent_id(ROUND, PID, 0, 0), why="behind")]
    assert second == []  # a cancel is not repeated at once
    (request,) = anew
    assert isinstance(request, OrderRequest)
    assert (request.child, request.qty, request.style) == (1, Decimal("0.2"), "post_only")
    assert request.px == Decimal(60_010)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_at_its_limit_keeps_its_place_in_the_queue(side: str) -> None:
    agent = make_agent()
    see(agent, deep_book())
    px = "60000" if side == "buy" else "60001"
    bid = order(side, qty="0.3", limit_px=px)
    advise(agent, replace(bid, pid=PID, urgency="patient", max_slippage_bps=100.0))
    decided(agent, "post_only", side=side, px=px)
    away = deep_book(60_100.0, 60_101.0) if side == "buy" else deep_book(59_900.0, 59_901.0)

    assert [see(agent, away, minute) for minute in range(1, 8)] == [[]] * 7


def test_a_cancel_confirmed_before_its_fill_waits_for_the_fill() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only")
    see(agent, deep_book(60_010.0, 60_011.0), 2)

    assert tell(agent, canceled(0, "0.1")) == []
    (request,) = tell(agent, filled(0, "0.1"))
    assert isinstance(request, OrderRequest)
    assert request.qty == Decimal("0.2")


def test_an_order_at_the_best_price_is_left_to_rest() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only")

    assert [see(agent, deep_book(), minute) for minute in range(1, 8)] == [[]] * 7
    (cancel,) = see(agent, deep_book(), 8)
    assert isinstance(cancel, CancelRequest)
    assert cancel.why == "rested"


def test_a_sell_left_behind_is_quoted_lower_but_not_below_its_limit() -> None:
    agent = make_agent()
    see(agent, deep_book())
    sale = order("sell", qty="0.3")
    advise(agent, replace(sale, pid=PID, urgency="patient", edge_bps=50.0, max_slippage_bps=2.0))
    decided(agent, "post_only", side="sell", px="60001")
    see(agent, deep_book(59_900.0, 59_901.0), 1)
    see(agent, deep_book(59_900.0, 59_901.0), 2)

    (request,) = tell(agent, canceled(0))

    assert isinstance(request, OrderRequest)
    assert request.px == Decimal("59988.00")  # 2 bps below the bid of the review


def test_after_its_requotes_it_crosses_with_what_is_left_and_then_gives_up() -> None:
    agent = make_agent(max_requotes=1)
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only")
    book = deep_book(60_010.0, 60_011.0)
    see(agent, book, 1)
    see(agent, book, 2)
    tell(agent, canceled(0))

    (cross,) = tell(agent, canceled(1))
    (done,) = tell(agent, filled(2, "0.1"), canceled(2, "0.1", "expired"))

    assert isinstance(cross, OrderRequest)
    assert (cross.child, cross.style, cross.tif) == (2, "limit", "IOC")
    assert (cross.px or 0) >= Decimal(60_011)
    assert done == ScheduleDone(agent=ME, round=ROUND, pid=PID, leg=0, why="unfilled")


def test_it_does_not_chase_a_move_that_has_already_happened() -> None:
    agent = make_agent(max_requotes=0)
    see(agent, deep_book())
    reviewed(agent, edge_bps=5.0)
    decided(agent, "post_only")
    see(agent, deep_book(60_050.0, 60_051.0), 1)

    (done,) = tell(agent, canceled(0))

    assert isinstance(done, ScheduleDone)
    assert done.why == "edge_gone"


def test_a_post_only_order_that_would_cross_is_quoted_anew_with_the_next_book() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only")
    refusal = VenueReject(iid=intent_id(ROUND, PID, 0, 0), code="would_cross", definitive=True)

    assert tell(agent, refusal) == []
    (request,) = see(agent, deep_book(59_990.0, 59_991.0), 1)
    assert isinstance(request, OrderRequest)
    assert (request.child, request.px) == (1, Decimal(59_990))


def test_an_order_that_may_not_rest_unguarded_is_given_up_and_neither_asked_again_nor_taken() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only")
    refusal = VenueReject(iid=intent_id(ROUND, PID, 0, 0), code=UNGUARDED, definitive=True)

    (done,) = tell(agent, refusal)

    assert isinstance(done, ScheduleDone)
    assert done.why == "unguarded"
    assert see(agent, deep_book(59_990.0, 59_991.0), 1) == []


def test_a_filled_order_ends_its_schedule_once() -> None:
    agent = make_agent()
    see(agent, deep_book())
    decided(agent, "post_only")

    (done,) = tell(agent, filled(0, "0.3"))

    assert isinstance(done, ScheduleDone)
    assert done.why == "filled"
    assert tell(agent, filled(0, "0.3"), canceled(0, "0.3", "closed")) == []
    assert see(agent, deep_book(), 1) == []


TWAP = [("0.1", 0), ("0.1", 60_000), ("0.1", 120_000)]


def test_a_twap_spreads_what_a_child_missed_over_those_to_come() -> None:
    agent = make_agent()
    see(agent, deep_book())
    decided(agent, "twap", children=TWAP, px="60060")
    tell(agent, filled(0, "0.04"), canceled(0, "0.04", "expired"))

    (second,) = see(agent, deep_book(), 1)
    tell(agent, filled(1, "0.13"))
    (third,) = see(agent, deep_book(), 2)
    (done,) = tell(agent, filled(2, "0.13"))

    assert isinstance(second, OrderRequest)
    assert (second.child, second.qty, second.tif) == (1, Decimal("0.13"), "IOC")
    assert (second.px or 0) <= Decimal(60_060)
    assert isinstance(third, OrderRequest)
    assert third.qty == Decimal("0.13")
    assert isinstance(done, ScheduleDone)
    assert done.why == "filled"


def test_a_twap_does_not_take_twice_from_the_same_book() -> None:
    agent = make_agent()
    see(agent, deep_book())
    decided(agent, "twap", children=TWAP, px="60060")

    assert tell(agent, canceled(0, "0", "expired")) == []


def test_a_twap_waits_while_the_market_is_beyond_its_limit_and_then_ends() -> None:
    agent = make_agent()
    see(agent, deep_book())
    decided(agent, "twap", children=TWAP, px="60060")
    tell(agent, filled(0, "0.1"))
    away = deep_book(60_100.0, 60_101.0)

    said = [m for minute in range(1, 8) for m in see(agent, away, minute)]

    assert [type(m) for m in said] == [ScheduleDone]


def test_an_order_waiting_for_its_limit_is_taken_back_after_a_while() -> None:
    agent = make_agent(rest_after=2)
    see(agent, deep_book())
    decided(agent, "limit", px="59000")

    said = [m for minute in range(1, 3) for m in see(agent, deep_book(), minute)]
    (done,) = tell(agent, canceled(0))

    assert [type(m) for m in said] == [CancelRequest]
    assert isinstance(done, ScheduleDone)


def test_immediate_and_coupled_orders_are_left_to_the_desk() -> None:
    agent = make_agent()
    see(agent, deep_book())
    plan = PlanLeg(
        symbol="BTC/USDT",
        side="buy",
        qty=Decimal(1),
        style="limit",
        px=Decimal(1),
        tif="IOC",
        reduce_only=False,
    )
    agent.handle(make_decision(round=ROUND, pid=PID, plan=(plan,)), context())
    agent.handle(make_decision(round=b"x", pid=PID, plan=(replace(plan, tif="GTC"),) * 3), context())

    assert tell(agent, canceled(0)) == []
    assert see(agent, deep_book(), 1) == []


# the account's word


def account(
    version: int, left: str, amount: str = "18000", working: tuple[WorkingOrder, ...] = ()
) -> StateView:
    reservation = Reservation(
        rid=b"x",
        round=ROUND,
        pid=PID,
        agent="strategy/ema",
        symbol="BTC/USDT",
        side="buy",
        asset="USDT",
        amount=Decimal(amount),
        qty_left=Decimal(left),
    )
    return make_state(state_version=version, reservations=(reservation,), orders=working)


def test_a_leg_the_desk_has_ended_is_forgotten() -> None:
    agent = make_agent()
    see(agent, deep_book())
    decided(agent, "post_only", state=account(3, "0.3"))

    assert see(agent, deep_book(60_010.0, 60_011.0), 1, make_state(state_version=4)) == []
    assert tell(agent, canceled(0)) == []


def test_what_the_account_says_bounds_what_is_sent() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only", state=account(1, "0.3"))
    see(agent, deep_book(60_010.0, 60_011.0), 2, account(1, "0.3"))

    (request,) = agent.handle(canceled(0), context(2, account(2, "0.12", "7200")))

    assert isinstance(request, OrderRequest)
    assert request.qty == Decimal("0.11998")  # 7,200 USDT are reserved, at 60,010 a piece


def test_a_request_the_desk_refused_does_not_block_the_leg() -> None:
    agent = make_agent()
    see(agent, deep_book())
    reviewed(agent)
    decided(agent, "post_only", state=account(1, "0.3"))
    see(agent, deep_book(60_010.0, 60_011.0), 2, account(1, "0.3"))
    agent.handle(canceled(0), context(2, account(2, "0.3")))

    said = [see(agent, deep_book(60_010.0, 60_011.0), m, account(m, "0.3")) for m in (3, 4)]

    assert said[0] == []
    (request,) = said[1]
    assert isinstance(request, OrderRequest)
    assert request.child == 2


@pytest.mark.parametrize("cut", range(6))
def test_a_restored_agent_answers_like_the_original(cut: int) -> None:
    messages: list[tuple[Message, int]] = [
        (MarketBatch(step=1, t=T0 + MINUTE, books=(deep_book(60_010.0, 60_011.0),)), 1),
        (MarketBatch(step=2, t=T0 + 2 * MINUTE, books=(deep_book(60_010.0, 60_011.0),)), 2),
        (filled(0, "0.1"), 2),
        (canceled(0, "0.1"), 2),
        (filled(1, "0.05", "u"), 3),
        (MarketBatch(step=5, t=T0 + 5 * MINUTE, books=(deep_book(60_020.0, 60_021.0),)), 5),
        (MarketBatch(step=6, t=T0 + 6 * MINUTE, books=(deep_book(60_020.0, 60_021.0),)), 6),
        (canceled(1, "0.05"), 6),
    ]
    original, twin = make_agent(), make_agent()
    see(original, deep_book())
    reviewed(original)
    decided(original, "post_only")
    for message, minute in messages[:cut]:
        original.handle(message, context(minute))

    twin.restore(original.snapshot())

    for message, minute in messages[cut:]:
        assert list(twin.handle(message, context(minute))) == list(original.handle(message, context(minute)))
    assert twin.snapshot() == original.snapshot()
