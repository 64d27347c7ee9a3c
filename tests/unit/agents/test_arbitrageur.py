"""The arbitrage agent: when it asks, what it bids, what it confirms and what it leaves alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.arbitrageur import Arbitrageur, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.messages import (
    AnalysisReady,
    Book,
    Cash,
    Cfp,
    Counter,
    CounterReply,
    Holding,
    MarketBatch,
    Message,
    Proposal,
    Refuse,
    Reservation,
    Review,
)
from parley.view import FirmView
from tests.kit.builders import T0, make_book, make_instrument, make_leg, make_proposal, make_state

ME = "arbitrage/tri"
MINUTE = 60_000_000_000
CYCLE = ("ETH/USDT", "ETH/BTC", "BTC/USDT")


def make_agent(**params: object) -> Arbitrageur:
    plain = {"tick": "0.01", "lot": "0.0001", "min_qty": "0.0001", "min_notional": 5}
    instruments = {
        "BTC/USDT": make_instrument("BTC/USDT", **plain),
        "ETH/USDT": make_instrument("ETH/USDT", **plain),
        "ETH/BTC": make_instrument(
            "ETH/BTC", tick="0.000001", lot="0.0001", min_qty="0.0001", min_notional="0.0001"
        ),
    }
    env = AgentEnv(
        tenant="t",
        account="main",
        quote="USDT",
        symbols=("BTC/USDT", "ETH/USDT"),
        instruments=instruments,
        tf_ns=MINUTE,
    )
    return make(AgentSpec(id=ME, role="arbitrage", factory="", params=params), env)


def context(seq: int = 1, **state: object) -> Context:
    return Context(now=T0, view=FirmView(make_state(**state)), seq=seq, seed=1, agent=ME)


def book(symbol: str, bid: float, ask: float, qty: float = 50.0) -> Book:
    return make_book(symbol=symbol, bids=((bid, qty),), asks=((ask, qty),))


def batch(cross_bid: float = 0.0502, cross_ask: float = 0.0503, t: int = T0) -> MarketBatch:
    return MarketBatch(
        step=1,
        t=t,
        books=(
            book("BTC/USDT", 59_999.0, 60_000.0),
            book("ETH/BTC", cross_bid, cross_ask),
            book("ETH/USDT", 2_999.9, 3_000.0),
        ),
    )


def call(symbols: tuple[str, ...] = CYCLE, to: tuple[str, ...] = (ME,), **over: object) -> Cfp:
    plain: dict[str, object] = {"budget_hint": Decimal(1_000), "horizon_ms": 60_000, "min_edge_bps": 0.0}
    return Cfp(symbols=symbols, to_agents=to, state_version=1, t=T0, **(plain | over))  # type: ignore[arg-type]


def review(bid: Proposal) -> Review:
    return Review(
        round=b"r" * 16, pid=bid.pid, stage="arbitrage", proposal=bid, size=1.0, state_version=1, t=T0
    )


def only(messages: object) -> Message:
    (message,) = messages  # type: ignore[misc]
    return message


def bid_of(agent: Arbitrageur, **over: object) -> Proposal:
    agent.handle(batch(), context())
    bid = only(agent.handle(call(**over), context(2)))
    assert isinstance(bid, Proposal)
    return bid


def test_a_paying_cycle_asks_for_a_round_on_its_three_symbols() -> None:
    ready = only(make_agent().handle(batch(), context()))

    assert isinstance(ready, AnalysisReady)
    assert ready.symbol == "ETH/BTC"
    assert ready.symbols == CYCLE


def test_a_cycle_that_does_not_pay_after_fees_stays_silent() -> None:
    assert make_agent().handle(batch(0.05015, 0.0503), context()) == ()


def test_the_same_cycle_is_not_asked_for_twice_within_its_cooldown() -> None:
    agent = make_agent(cooldown_ms=120_000)
    agent.handle(batch(), context())

    assert agent.handle(batch(t=T0 + MINUTE), context(2)) == ()
    assert len(agent.handle(batch(t=T0 + 2 * MINUTE), context(3))) == 1


def test_nothing_is_asked_for_while_openings_are_stopped() -> None:
    assert make_agent().handle(batch(), context(trading="REDUCING")) == ()


def test_the_bid_is_three_coupled_immediate_legs_each_covered_by_the_one_before() -> None:
    bid = bid_of(make_agent())

    assert bid.coupled
    assert [(x.symbol, x.side, x.tif) for x in bid.legs] == [
        ("ETH/USDT", "buy", "IOC"),
        ("ETH/BTC", "sell", "IOC"),
        ("BTC/USDT", "sell", "IOC"),
    ]
    eth, cross, btc = bid.legs
    fee = Decimal("0.001")
    assert cross.qty <= eth.qty * (1 - fee)
    assert btc.qty <= cross.qty * (cross.limit_px or 0) * (1 - fee)
    assert eth.qty * (eth.limit_px or 0) <= Decimal(1_000)
    assert 30 < bid.edge_bps < 45


def test_the_bid_spends_no_more_than_is_free() -> None:
    agent = make_agent()
    agent.handle(batch(), context())
    cash = (Cash(asset="USDT", total=Decimal(10_000), reserved=Decimal(9_900)),)

    bid = only(agent.handle(call(), context(2, cash=cash)))

    assert isinstance(bid, Proposal)
    assert bid.legs[0].qty * (bid.legs[0].limit_px or 0) <= Decimal(100)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (call(to=("strategy/ema",)), "not_asked"),
        (call(to=()), "not_asked"),
        (call(reduce_only=True), "reduce_only"),
        (call(("BTC/USDT", "ETH/USDT", "XRP/USDT")), "no_cycle"),
        (call(budget_hint=Decimal(2)), "too_small"),
        (call(budget_hint=Decimal(0)), "no_money"),
    ],
)
def test_a_call_it_cannot_answer_is_refused_with_a_code(asked: Cfp, code: str) -> None:
    agent = make_agent()
    agent.handle(batch(), context())

    refusal = only(agent.handle(asked, context(2)))

    assert isinstance(refusal, Refuse)
    assert refusal.code == code


def test_a_cycle_that_closed_before_the_call_is_refused() -> None:
    agent = make_agent()
    agent.handle(batch(), context())
    agent.handle(batch(0.05, 0.0501), context(2))

    refusal = only(agent.handle(call(), context(3)))

    assert isinstance(refusal, Refuse)
    assert refusal.code == "edge_gone"


def test_its_own_fresh_cycle_is_confirmed() -> None:
    agent = make_agent()
    bid = bid_of(agent)

    answer = only(agent.handle(review(bid), context(3)))

    assert isinstance(answer, Counter)
    assert (answer.code, answer.reject, answer.binding) == ("coupled_ok", False, False)


def test_a_cycle_whose_book_moved_is_rejected() -> None:
    agent = make_agent()
    bid = bid_of(agent)
    agent.handle(batch(0.0501, 0.0503), context(3))

    answer = only(agent.handle(review(bid), context(4)))

    assert isinstance(answer, Counter)
    assert (answer.code, answer.reject) == ("edge_gone", True)


def test_a_leg_that_sells_more_than_was_delivered_is_rejected() -> None:
    agent = make_agent()
    bid = bid_of(agent)
    greedy = replace(bid, legs=(bid.legs[0], replace(bid.legs[1], qty=bid.legs[0].qty), bid.legs[2]))

    answer = only(agent.handle(review(greedy), context(3)))

    assert isinstance(answer, Counter)
    assert answer.code == "uncovered_leg"


def test_coupled_legs_that_are_no_cycle_are_rejected() -> None:
    agent = make_agent()
    bid = bid_of(agent)
    pair = replace(bid, legs=bid.legs[:2])

    answer = only(agent.handle(review(pair), context(3)))

    assert isinstance(answer, Counter)
    assert (answer.code, answer.reject) == ("no_cycle", True)


def test_a_smaller_allocation_is_answered_with_a_cycle_laid_out_anew() -> None:
    agent = make_agent()
    bid = bid_of(agent)
    limit = Decimal("0.1")

    reply = only(
        agent.handle(Counter(pid=bid.pid, agent="desk", code="cap", binding=True, qty_max=limit), context(5))
    )

    assert isinstance(reply, CounterReply)
    assert reply.action == "revise"
    revised = reply.proposal
    assert revised is not None
    assert revised.legs[0].qty <= limit
    assert revised.parent_pid == bid.pid
    assert revised.pid != bid.pid
    assert revised.legs[1].qty <= revised.legs[0].qty * Decimal("0.999")
    answer = only(agent.handle(review(revised), context(6)))
    assert isinstance(answer, Counter)
    assert answer.code == "coupled_ok"


def test_an_allocation_too_small_for_a_cycle_is_answered_by_withdrawing() -> None:
    agent = make_agent()
    bid = bid_of(agent)

    reply = only(
        agent.handle(
            Counter(pid=bid.pid, agent="desk", code="cap", binding=True, qty_max=Decimal("0.0005")),
            context(5),
        )
    )

    assert isinstance(reply, CounterReply)
    assert reply.action == "withdraw"


def held(symbol: str = "ETH/USDT", qty: str = "0.5", agent: str = ME) -> Holding:
    return Holding(
        agent=agent, symbol=symbol, qty=Decimal(qty), avg_px=Decimal(3_000), opened=T0, round=b"r", pid=b"p"
    )


def test_what_an_incomplete_cycle_left_is_sold() -> None:
    agent = make_agent()
    ready = only(agent.handle(batch(), context(holdings=(held(),))))
    bid = only(agent.handle(call(("ETH/USDT",), reduce_only=True), context(2, holdings=(held(),))))

    assert isinstance(ready, AnalysisReady)
    assert ready.symbols == ("ETH/USDT",)
    assert isinstance(bid, Proposal)
    assert bid.why == "unwind"
    assert bid.reduce_only
    assert (bid.legs[0].side, bid.legs[0].qty, bid.legs[0].tif) == ("sell", Decimal("0.5"), "IOC")
    assert Decimal(2_990) < (bid.legs[0].limit_px or 0) < Decimal("2999.9")


def test_a_holding_that_is_still_worked_on_small_or_anothers_is_left_alone() -> None:
    quiet = batch(0.05, 0.0501)
    working = Reservation(
        rid=b"x",
        round=b"r",
        pid=b"p",
        agent=ME,
        symbol="ETH/BTC",
        side="sell",
        asset="ETH",
        amount=Decimal(1),
        qty_left=Decimal(1),
    )

    assert make_agent().handle(quiet, context(holdings=(held(),), reservations=(working,))) == ()
    assert make_agent().handle(quiet, context(holdings=(held(qty="0.0002"),))) == ()
    assert make_agent().handle(quiet, context(holdings=(held(agent="strategy/a"),))) == ()


def test_an_ordinary_price_is_compared_with_the_way_through_two_other_pairs() -> None:
    agent = make_agent()
    # the cross sells ETH at 0.0485 BTC: ETH costs 2,910 USDT that way, 3 % less than on its own pair
    agent.handle(batch(0.0484, 0.0485), context())
    dear = make_proposal(symbol="ETH/USDT", legs=(make_leg(symbol="ETH/USDT", side="buy"),))
    sale = make_proposal(symbol="ETH/USDT", legs=(make_leg(symbol="ETH/USDT", side="sell"),))

    buying = only(agent.handle(review(dear), context(2)))
    selling = only(agent.handle(review(sale), context(3)))

    assert isinstance(buying, Counter)
    assert buying.code == "cross_price"
    assert Decimal(2_905) < (buying.px_limit or 0) < Decimal(2_915)
    assert not buying.reject
    assert isinstance(selling, Counter)
    assert (selling.code, selling.px_limit) == ("ok", None)


def test_exits_and_urgent_orders_are_never_held_up_by_a_cross_price() -> None:
    agent = make_agent()
    agent.handle(batch(0.0515, 0.0516), context())
    leg = make_leg(symbol="ETH/USDT", side="sell", reduce_only=True)
    stop = make_proposal(symbol="ETH/USDT", legs=(leg,))

    answer = only(agent.handle(review(stop), context(2)))

    assert isinstance(answer, Counter)
    assert (answer.code, answer.px_limit) == ("ok", None)


def test_without_books_there_is_no_cross_price() -> None:
    answer = only(make_agent().handle(review(make_proposal()), context()))

    assert isinstance(answer, Counter)
    assert answer.code == "no_cross"


LEVELS = st.lists(st.tuples(st.floats(), st.floats()), max_size=2).map(tuple)


@given(st.lists(st.tuples(st.sampled_from(CYCLE), LEVELS, LEVELS), max_size=6))
def test_nonsense_books_never_raise(rows: list[tuple[str, tuple[object, ...], tuple[object, ...]]]) -> None:
    agent = make_agent()
    agent.handle(batch(), context())
    books = tuple(make_book(symbol=s, bids=b, asks=a) for s, b, a in rows)
    agent.handle(MarketBatch(step=2, t=T0, books=books), context(2, holdings=(held(),)))

    assert len(agent.handle(call(), context(3))) == 1
    assert len(agent.handle(call(("ETH/USDT",)), context(3, holdings=(held(),)))) == 1
    assert len(agent.handle(review(make_proposal()), context(4))) == 1


def test_a_restored_agent_answers_like_the_original() -> None:
    original = make_agent(cooldown_ms=90_000)
    bid = bid_of(original)
    twin = make_agent(cooldown_ms=90_000)
    twin.restore(original.snapshot())

    counter = Counter(pid=bid.pid, agent="desk", code="cap", binding=True, qty_max=Decimal("0.1"))
    later: list[Message] = [
        review(bid),
        counter,
        batch(0.0503, 0.0504, t=T0 + MINUTE),
        call(),
        batch(t=T0 + 2 * MINUTE),
        review(bid),
    ]
    for seq, message in enumerate(later, 3):
        assert twin.handle(message, context(seq)) == original.handle(message, context(seq))
    assert twin.snapshot() == original.snapshot()
