"""Cycles of three trades: which there are, what they are worth, and how much the books bear."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage import Costs, Cycle, Layout, Scanner, directed_cycles, implied_price, legs_bps, size
from parley.instruments import Instrument
from parley.messages import Book
from tests.kit.builders import make_book, make_instrument

FREE = Costs(slippage_bps=0.0, fee_bps=0.0)
BUDGET = Decimal(1_000)


def pairs() -> dict[str, Instrument]:
    plain = {"tick": "0.01", "lot": "0.0001", "min_qty": "0.0001", "min_notional": 5}
    return {
        "BTC/USDT": make_instrument("BTC/USDT", **plain),
        "ETH/USDT": make_instrument("ETH/USDT", **plain),
        "ETH/BTC": make_instrument(
            "ETH/BTC", tick="0.000001", lot="0.0001", min_qty="0.0001", min_notional="0.0001"
        ),
    }


def book(symbol: str, bid: float, ask: float, qty: float = 50.0) -> Book:
    return make_book(symbol=symbol, bids=((bid, qty),), asks=((ask, qty),))


def books(cross_bid: float = 0.0502, cross_ask: float = 0.0503) -> dict[str, Book]:
    """BTC at 60,000, ETH at 3,000: the fair cross is 0.05, so a bid of 0.0502 pays 40 bps."""
    made = [
        book("BTC/USDT", 59_999.0, 60_000.0),
        book("ETH/USDT", 2_999.9, 3_000.0),
        book("ETH/BTC", cross_bid, cross_ask),
    ]
    return {b.symbol: b for b in made}


def exchange(market_data: Path) -> tuple[dict[str, Instrument], list[Book]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(market_data / "tickers/binance-spot-bookTicker-20260715.parquet").to_pylist()
    instruments, tops = {}, []
    for row in rows:
        if not (row["base"] and row["bid"] and row["ask"]):
            continue
        symbol = f"{row['base']}/{row['quote']}"
        instruments[symbol] = make_instrument(symbol, tick="1e-8", lot="1e-8")
        tops.append(
            make_book(
                symbol=symbol, bids=((row["bid"], row["bid_qty"]),), asks=((row["ask"], row["ask_qty"]),)
            )
        )
    return instruments, tops


def test_the_recorded_exchange_has_its_known_cycles_and_no_free_lunch(market_data: Path) -> None:
    instruments, tops = exchange(market_data)
    before_fees = Scanner(instruments, costs=FREE)
    after_fees = Scanner(instruments, costs=Costs(slippage_bps=0.0, fee_bps=10.0))

    before_fees.update(tops)
    after_fees.update(tops)

    assert len(before_fees.edges()) == 3_620
    assert sum(e.edge_bps > 0 for e in before_fees.edges()) == 74
    assert before_fees.edges()[0].edge_bps == pytest.approx(8.1, abs=0.05)
    assert sum(e.edge_bps > 0 for e in after_fees.edges()) == 0


def test_cycles_through_the_quote_start_there_and_go_both_ways() -> None:
    cycles = directed_cycles(pairs().values(), "USDT")

    assert cycles == (
        Cycle("USDT", ("BTC/USDT", "ETH/BTC", "ETH/USDT"), ("buy", "buy", "sell")),
        Cycle("USDT", ("ETH/USDT", "ETH/BTC", "BTC/USDT"), ("buy", "sell", "sell")),
    )
    assert len(directed_cycles(pairs().values())) == 2


def test_edge_is_what_three_trades_leave() -> None:
    scanner = Scanner(pairs(), "USDT", FREE)
    scanner.update(books().values())

    best = scanner.best()

    assert best is not None
    assert best.cycle.sides == ("buy", "sell", "sell")  # ETH is dear against BTC: buy it for USDT
    assert best.edge_bps == pytest.approx((0.0502 * 59_999 / 3_000 - 1) * 1e4)


def test_fees_and_reserve_are_taken_three_times() -> None:
    assert legs_bps(list(pairs().values()), Costs(slippage_bps=0.0)) == pytest.approx(29.97)
    assert legs_bps(list(pairs().values()), Costs(slippage_bps=1.0)) == pytest.approx(32.96, abs=0.01)


def test_only_cycles_of_a_changed_book_are_recomputed() -> None:
    scanner = Scanner(pairs(), "USDT", FREE)
    all_books = books()
    assert scanner.update(all_books.values()) == (0, 1)

    assert scanner.update(all_books.values()) == ()
    assert scanner.update([book("ETH/BTC", 0.0499, 0.05)]) == (0, 1)
    assert scanner.update([book("XRP/EUR", 1, 2)]) == ()


@pytest.mark.parametrize(
    "broken", [{"bids": ()}, {"asks": ()}, {"bids": ((float("nan"), 1.0),)}, {"asks": ((0.01, 1.0),)}]
)
def test_a_cycle_without_a_usable_book_has_no_edge(broken: dict[str, object]) -> None:
    scanner = Scanner(pairs(), "USDT", FREE)
    scanner.update(books().values())
    scanner.update(
        [make_book(**({"symbol": "ETH/BTC", "bids": ((0.05, 1.0),), "asks": ((0.051, 1.0),)} | broken))]
    )

    assert scanner.best() is None
    assert scanner.edges() == ()


def lay_out(tops: dict[str, Book], budget: Decimal = BUDGET, costs: Costs | None = None) -> Layout | str:
    cycle = Cycle("USDT", ("ETH/USDT", "ETH/BTC", "BTC/USDT"), ("buy", "sell", "sell"))
    return size(cycle, tops, pairs(), budget=budget, min_edge_bps=3.0, costs=costs or Costs(slippage_bps=0.0))


def assert_covered(laid: Layout) -> None:
    instruments = pairs()
    have = None
    for leg in laid.legs:
        instrument = instruments[leg.symbol]
        spent = leg.qty * leg.px if leg.side == "buy" else leg.qty
        assert have is None or spent <= have
        assert instrument.qty(leg.qty) == leg.qty
        assert instrument.price(leg.px, "near") == leg.px
        have = (leg.qty if leg.side == "buy" else leg.qty * leg.px) * (1 - instrument.taker_fee)
    assert have is not None
    assert have <= laid.got  # the difference is what stays over below a lot
    assert laid.got - have < Decimal(7)  # a lot of BTC and one of ETH


def test_no_leg_sells_more_than_the_one_before_delivered_after_fees() -> None:
    laid = lay_out(books())

    assert isinstance(laid, Layout)
    assert_covered(laid)
    assert laid.spent <= BUDGET
    assert laid.edge_bps >= 3.0


def test_the_thinnest_leg_limits_the_size() -> None:
    thin = books()
    thin["ETH/BTC"] = book("ETH/BTC", 0.0502, 0.0503, qty=0.1)

    laid = lay_out(thin)

    assert isinstance(laid, Layout)
    assert laid.legs[1].qty <= Decimal("0.1")
    assert laid.spent < Decimal(302)


def test_a_thin_leg_reaches_deeper_while_the_cycle_still_pays() -> None:
    deep = books()
    levels = ((0.0502, 0.1), (0.05019, 0.1), (0.0501, 5.0))
    deep["ETH/BTC"] = make_book(symbol="ETH/BTC", bids=levels, asks=((0.0503, 1.0),))

    laid = lay_out(deep)

    assert isinstance(laid, Layout)
    assert laid.legs[1].px == Decimal("0.05019")  # the third level would leave less than 3 bps after fees
    assert laid.legs[1].qty > Decimal("0.19")
    assert laid.edge_bps >= 3.0


@pytest.mark.parametrize(
    ("tops", "budget", "code"),
    [
        (books(0.05, 0.0501), BUDGET, "edge_gone"),
        (books(), Decimal("0.1"), "below_min_qty"),
        ({}, BUDGET, "no_book"),
    ],
)
def test_a_cycle_that_cannot_be_laid_out_says_why(tops: dict[str, Book], budget: Decimal, code: str) -> None:
    assert lay_out(tops, budget) == code


@given(st.floats(0.02, 0.09), st.floats(1e-5, 100), st.decimals(1, 100_000, places=2), st.floats(0, 20))
def test_every_layout_is_covered_and_keeps_its_edge(
    cross: float, qty: float, budget: Decimal, fee_bps: float
) -> None:
    tops = books(cross, cross * 1.001)
    tops["ETH/BTC"] = book("ETH/BTC", cross, cross * 1.001, qty)

    laid = lay_out(tops, budget)

    if isinstance(laid, Layout):
        assert_covered(laid)
        assert laid.edge_bps >= 3.0
        assert laid.spent <= budget


def test_a_price_is_implied_by_two_other_pairs() -> None:
    cycles = directed_cycles(pairs().values(), "USDT")
    keeps = dict.fromkeys(pairs(), 1.0)

    dear = implied_price("ETH/USDT", "sell", books(), cycles, keeps)
    cheap = implied_price("ETH/USDT", "buy", books(), cycles, keeps)

    assert dear == pytest.approx(0.0502 * 59_999)  # sell ETH for BTC, then BTC for USDT
    assert cheap == pytest.approx(0.0503 * 60_000)  # buy BTC with USDT, then ETH with BTC
    assert implied_price("ETH/USDT", "buy", {}, cycles, keeps) == 0.0
