"""The execution agent: which style it advises, and at which price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.execution import Execution, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.depth import split_even
from parley.messages import (
    Book,
    Counter,
    MarketBatch,
    Message,
    PlanLeg,
    Proposal,
    Review,
    StateView,
)
from parley.risk.limits import Limits
from parley.tactics import Tactics
from parley.view import FirmView
from tests.kit.builders import (
    T0,
    make_bar,
    make_book,
    make_decision,
    make_instrument,
    make_leg,
    make_proposal,
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


@pytest.mark.parametrize(
    ("book", "bid", "style", "code"),
    [
        (deep_book(), order(), "market", "tight_book"),
        (deep_book(ask=60_050.0), order(), "limit", "limit"),
        (deep_book(ask=60_050.0), replace(order(), urgency="urgent"), "market", "urgent"),
        (deep_book(), replace(order(), urgency="patient"), "post_only", "post_only"),
        (deep_book(), order(post_only=True), "post_only", "post_only"),
        (deep_book(), order(qty="40"), "twap", "twap"),
        (deep_book(), order(qty="5.5"), "twap", "twap"),
        (deep_book(ask=60_050.0), order(qty="4.9"), "limit", "limit"),
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
    st.sampled_from(["buy", "sell"]),
    st.decimals("0.001", 100, places=5),
    st.decimals(59_000, 61_000, places=2),
    st.floats(0, 50),
    st.sampled_from(["patient", "normal", "urgent"]),
    st.floats(60_001, 60_400),
)
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
    agent = make_agent(large_share=0.5)
    see(agent, deep_book())

    counter = advise(agent, order(qty="70.00007"))

    assert sum((c.qty for c in counter.split), Decimal(0)) == Decimal("70.00007")
    assert [c.delay_ms for c in counter.split] == [60_000 * i for i in range(len(counter.split))]
    assert len(counter.split) == 3  # 70 of 50 in the book, at most half of it at a time
    assert all(make_instrument().qty(c.qty) == c.qty for c in counter.split)


def test_by_default_an_order_the_gate_would_refuse_is_cut_into_children_it_passes() -> None:
    agent = make_agent()
    see(agent, deep_book())
    share = float(Limits().max_book_share)

    whole, split = 1.5 * share * 50, advise(agent, order(qty=f"{1.5 * share * 50:.5f}")).split

    assert Tactics().large_share <= share / 2
    assert whole / 50 > share
    assert len(split) > 1
    assert all(float(child.qty) / 50 <= share / 2 for child in split)


def exits(side: str, qty: str, limit: str | None = None, slippage: float = 150.0) -> Proposal:
    bid = order(side, qty, reduce_only=True, tif="IOC", limit_px=None if limit is None else Decimal(limit))
    return replace(bid, urgency="urgent", max_slippage_bps=slippage)


@pytest.mark.parametrize(
    ("bid", "code", "px"),
    [
        (exits("sell", "1"), "urgent_exit", None),
        (exits("buy", "1", "60100"), "urgent_exit", None),
        # the book holds 50, and twice the order has to be there
        (exits("sell", "26"), "urgent", Decimal(59_965)),
        # twice the order reaches the second level, which its limit, or its slippage, forbids
        (exits("sell", "4", "60000"), "urgent", Decimal(60_000)),
        (exits("sell", "4", slippage=0.0), "urgent", Decimal(60_000)),
        (replace(exits("sell", "1"), legs=(make_leg(side="sell", qty="1"),)), "urgent", None),
    ],
)
def test_an_urgent_exit_goes_without_a_price_only_where_the_book_holds_twice_as_much(
    bid: Proposal, code: str, px: Decimal | None
) -> None:
    agent = make_agent()
    see(agent, deep_book())

    counter = advise(agent, bid)

    assert (counter.style, counter.tif, counter.code) == ("market", "IOC", code)
    if code == "urgent_exit":
        assert counter.px_limit is None
    else:
        assert counter.px_limit is not None
        assert px is None or abs(counter.px_limit - px) <= 10


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
    bids: tuple[tuple[float, float], ...],
    asks: tuple[tuple[float, float], ...],
    slippage: float,
    size: float,
    urgency: str,
) -> None:
    agent = make_agent()
    plan = PlanLeg(
        symbol="BTC/USDT",
        side="buy",
        qty=Decimal("0.3"),
        style="post_only",
        px=Decimal(60_000),
        tif="GTC",
        reduce_only=False,
    )
    agent.handle(make_decision(round=ROUND, pid=PID, plan=(plan,), t=T0), context())
    see(agent, make_book(bids=bids, asks=asks), 1)
    see(agent, make_book(bids=bids, asks=asks), 9)

    counter = advise(agent, replace(order(), max_slippage_bps=slippage, urgency=urgency), size)

    assert counter.px_limit is None or (counter.px_limit.is_finite() and counter.px_limit > 0)
