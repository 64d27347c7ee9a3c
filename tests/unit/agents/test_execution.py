"""The execution agent: which style it advises at which price, and how it works what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.execution import Execution, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.depth import split_even
from parley.ids import intent_id
from parley.messages import (
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
    make_bar,
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
        tenant="t", account="main", quote="USDT", symbols=("BTC/USDT",),
        instruments={"BTC/USDT": make_instrument()}, tf_ns=MINUTE,
    )  # fmt: skip
    return make(AgentSpec(id=ME, role="execution", factory="", params=params), env)


def context(minute: int = 0, state: StateView = EMPTY_STATE) -> Context:
    return Context(now=T0 + minute * MINUTE, view=FirmView(state), seq=minute + 1, seed=1, agent=ME)


def deep_book(bid: float = 60_000.0, ask: float = 60_001.0, qty: float = 5.0) -> Book:
    return make_book(
        bids=tuple((bid - i, qty) for i in range(10)), asks=tuple((ask + i, qty) for i in range(10))
    )


def see(agent: Execution, book: Book, minute: int = 0, state: StateView = EMPTY_STATE) -> list[Message]:
    return list(agent.handle(MarketBatch(step=minute, t=T0 + minute * MINUTE, books=(book,)), context(minute, state)))


def advise(agent: Execution, bid: Proposal, size: float = 1.0) -> Counter:
    review = Review(round=ROUND, pid=bid.pid, stage="execution", proposal=bid, size=size, state_version=1, t=T0)
    (counter,) = agent.handle(review, context())
    assert isinstance(counter, Counter)
    return counter


def order(side: str = "buy", qty: str = "0.1", **over: object) -> Proposal:
    return make_proposal(legs=(make_leg(side=side, qty=qty, **over),), max_slippage_bps=10.0)


# advice


@pytest.mark.parametrize(
    ("book", "bid", "style", "code"),
    [
        (deep_book(), order(), "market", "tight_book"),
        (deep_book(ask=60_050.0), order(), "limit", "limit"),
        (deep_book(ask=60_050.0), replace(order(), urgency="urgent"), "market", "urgent"),
        (deep_book(), replace(order(), urgency="patient"), "post_only", "post_only"),
        (deep_book(), order(post_only=True), "post_only", "post_only"),
        (deep_book(), order(qty="40"), "twap", "twap"),
        (deep_book(), replace(order(qty="40"), urgency="urgent"), "market", "urgent"),
        (deep_book(), order(limit_px="59000"), "limit", "resting"),
        (deep_book(), order(limit_px="60100", tif="FOK"), "limit", "fill_or_kill"),
        (make_book(asks=()), order(), None, "no_book"),
    ],
)
def test_style_follows_urgency_spread_and_depth(book: Book, bid: Proposal, style: str, code: str) -> None:
    agent = make_agent()
    see(agent, book)

    counter = advise(agent, bid)

    assert (counter.style, counter.code, counter.binding) == (style, code, False)


def test_a_resting_price_stays_on_its_own_side_of_the_book() -> None:
    agent = make_agent()
    see(agent, deep_book())

    buying = advise(agent, replace(order("buy"), urgency="patient"))
    selling = advise(agent, replace(order("sell"), urgency="patient"))

    assert buying.px_limit == Decimal(60_000)
    assert selling.px_limit == Decimal(60_001)
    assert buying.tif == selling.tif == "GTC"


def test_a_crossing_limit_reaches_the_book_and_keeps_within_the_slippage() -> None:
    agent = make_agent(tight_spread_bps=0.0)
    see(agent, deep_book())

    buying = advise(agent, replace(order("buy", qty="8"), max_slippage_bps=2.0)).px_limit or Decimal(0)
    selling = advise(agent, replace(order("sell", qty="8"), max_slippage_bps=2.0)).px_limit or Decimal(0)

    assert Decimal(60_002) <= buying <= Decimal("60001") * Decimal("1.0002")
    assert Decimal("60000") * Decimal("0.9998") <= selling <= Decimal(59_999)


def test_a_slippage_below_one_tick_still_reaches_the_best_price() -> None:
    agent = make_agent()
    see(agent, make_book(bids=((100.0, 50.0),), asks=((100.005, 50.0),)))

    assert advise(agent, replace(order("buy"), max_slippage_bps=0.0)).px_limit == Decimal("100.01")


@given(
    st.sampled_from(["buy", "sell"]), st.decimals("0.001", 100, places=5), st.decimals(59_000, 61_000, places=2),
    st.floats(0, 50), st.sampled_from(["patient", "normal", "urgent"]), st.floats(60_001, 60_400),
)  # fmt: skip
def test_advice_is_never_worse_than_the_proposals_own_limit(
    side: str, qty: Decimal, limit: Decimal, slippage: float, urgency: str, ask: float
) -> None:
    agent = make_agent()
    see(agent, deep_book(ask=ask))
    bid = replace(order(side, str(qty), limit_px=limit), max_slippage_bps=slippage, urgency=urgency)

    counter = advise(agent, bid)

    assert counter.px_limit is not None
    assert counter.px_limit <= limit if side == "buy" else counter.px_limit >= limit
    best = Decimal(repr(ask)) if side == "buy" else Decimal(60_000)
    allowed = best * (1 + (1 if side == "buy" else -1) * Decimal(repr(slippage)) / 10_000)
    tick = Decimal("0.01")
    assert counter.px_limit <= allowed + tick if side == "buy" else counter.px_limit >= allowed - tick


def test_a_twaps_children_are_on_the_grid_and_sum_to_the_order() -> None:
    agent = make_agent()
    see(agent, deep_book())

    counter = advise(agent, order(qty="70.00007"))

    assert sum((c.qty for c in counter.split), Decimal(0)) == Decimal("70.00007")
    assert [c.delay_ms for c in counter.split] == [60_000 * i for i in range(len(counter.split))]
    assert len(counter.split) == 3  # 70 of 50 in the book, at most half of it at a time
    assert all(make_instrument().qty(c.qty) == c.qty for c in counter.split)


def test_a_thin_tape_makes_a_twap_too() -> None:
    agent = make_agent()
    bars = (make_bar(volume=10.0),)
    agent.handle(MarketBatch(step=1, t=T0, bars=bars, books=(deep_book(),)), context())

    assert advise(agent, order(qty="2.1")).style == "twap"
    assert advise(agent, order(qty="1.9")).style != "twap"


def test_a_twap_takes_no_longer_than_half_the_horizon() -> None:
    agent = make_agent()
    see(agent, deep_book())

    assert len(advise(agent, replace(order(qty="200"), horizon_ms=240_000)).split) == 3
    assert advise(agent, replace(order(qty="200"), horizon_ms=60_000)).style == "limit"


@given(st.integers(1, 10**9), st.integers(1, 20))
def test_an_even_split_sums_exactly(lots: int, parts: int) -> None:
    instrument = make_instrument()
    qty = lots * instrument.lot

    cut = split_even(qty, parts, instrument)

    assert sum(cut, Decimal(0)) == qty
    assert max(cut) - min(cut) <= instrument.lot
    assert len(cut) == min(parts, lots)


LEVELS = st.lists(st.tuples(st.floats(), st.floats()), max_size=3).map(tuple)


@given(LEVELS, LEVELS, st.floats(), st.floats(), st.sampled_from(["patient", "normal", "urgent"]))
def test_nonsense_in_books_and_numbers_never_raises(
    bids: tuple[tuple[float, float], ...], asks: tuple[tuple[float, float], ...], slippage: float, size: float,
    urgency: str,
) -> None:  # fmt: skip
    agent = make_agent()
    decided(agent, "post_only")
    see(agent, make_book(bids=bids, asks=asks), 1)
    see(agent, make_book(bids=bids, asks=asks), 9)

    counter = advise(agent, replace(order(), max_slippage_bps=slippage, urgency=urgency), size)

    assert counter.px_limit is None or (counter.px_limit.is_finite() and counter.px_limit > 0)


# work


def decided(
    agent: Execution, style: str, qty: str = "0.3", children: Sequence[tuple[str, int]] = (), side: str = "buy",
    px: str = "60000", state: StateView = EMPTY_STATE,
) -> Decision:  # fmt: skip
    plan = PlanLeg(
        symbol="BTC/USDT", side=side, qty=Decimal(qty), style=style, px=Decimal(px),
        tif="IOC" if style == "twap" else "GTC", reduce_only=False,
        children=tuple(Child(qty=Decimal(q), delay_ms=d) for q, d in children),
    )  # fmt: skip
    decision = make_decision(round=ROUND, pid=PID, plan=(plan,), qty=Decimal(qty), t=T0)
    assert agent.handle(decision, context(0, state)) == ()
    return decision


def reviewed(agent: Execution, **over: object) -> None:
    advise(agent, replace(order(qty="0.3"), pid=PID, urgency="patient", **({"edge_bps": 50.0} | over)))


def canceled(child: int, cum: str = "0", status: str = "canceled") -> OrderEvent:
    return OrderEvent(
        iid=intent_id(ROUND, PID, 0, child), venue_id="v", symbol="BTC/USDT", status=status, cum_qty=Decimal(cum),
        avg_px=Decimal(60_000), t=T0,
    )  # fmt: skip


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

    assert first == []
    assert second == [CancelRequest(agent=ME, iid=intent_id(ROUND, PID, 0, 0), why="behind")]
    (request,) = anew
    assert isinstance(request, OrderRequest)
    assert (request.child, request.qty, request.style) == (1, Decimal("0.2"), "post_only")
    assert request.px == Decimal(60_010)


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


def test_a_twap_sends_its_children_when_they_are_due_and_catches_up() -> None:
    agent = make_agent()
    see(agent, deep_book())
    decided(agent, "twap", children=TWAP, px="60060")
    tell(agent, filled(0, "0.04"), canceled(0, "0.04", "expired"))

    (second,) = see(agent, deep_book(), 1)
    tell(agent, filled(1, "0.16"))
    (third,) = see(agent, deep_book(), 2)
    (done,) = tell(agent, filled(2, "0.1"))

    assert isinstance(second, OrderRequest)
    assert (second.child, second.qty, second.tif) == (1, Decimal("0.16"), "IOC")
    assert (second.px or 0) <= Decimal(60_060)
    assert isinstance(third, OrderRequest)
    assert third.qty == Decimal("0.1")
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
        symbol="BTC/USDT", side="buy", qty=Decimal(1), style="limit", px=Decimal(1), tif="IOC", reduce_only=False
    )
    agent.handle(make_decision(round=ROUND, pid=PID, plan=(plan,)), context())
    agent.handle(make_decision(round=b"x", pid=PID, plan=(replace(plan, tif="GTC"),) * 3), context())

    assert tell(agent, canceled(0)) == []
    assert see(agent, deep_book(), 1) == []


# the account's word


def account(version: int, left: str, amount: str = "18000", working: tuple[WorkingOrder, ...] = ()) -> StateView:
    reservation = Reservation(
        rid=b"x", round=ROUND, pid=PID, agent="strategy/ema", symbol="BTC/USDT", side="buy", asset="USDT",
        amount=Decimal(amount), qty_left=Decimal(left),
    )  # fmt: skip
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
