"""Features of book and tape on small tables."""

from math import inf, nan

import pytest

from parley.indicators import TradeFlow, imbalance, microprice, spread_bps, turnover, usable_book
from parley.messages import Print
from tests.kit.builders import T0, make_book

BOOK = make_book(bids=((99.0, 3.0), (98.0, 1.0)), asks=((101.0, 1.0), (102.0, 3.0)))


def test_imbalance_depends_on_how_deep_one_looks() -> None:
    assert imbalance(BOOK, 1) == 0.5
    assert imbalance(BOOK, 2) == 0.0
    assert imbalance(BOOK, 99) == 0.0


def test_microprice_leans_to_the_side_that_is_thinner() -> None:
    assert microprice(BOOK) == 100.5


def test_spread_is_in_basis_points_of_the_mid() -> None:
    assert spread_bps(BOOK) == 200.0


@pytest.mark.parametrize(
    "over",
    [
        {"bids": ()}, {"asks": ()}, {"bids": ((101.0, 1.0),)}, {"bids": ((102.0, 1.0),)},
        {"bids": ((nan, 1.0),)},
        {"bids": ((99.0, nan),)}, {"asks": ((inf, 1.0),)}, {"asks": ((101.0, 0.0),)},
        {"bids": ((-1.0, 1.0),)},
    ],
)  # fmt: skip
def test_empty_crossed_or_impossible_book_is_not_usable(over: dict[str, object]) -> None:
    assert usable_book(BOOK)
    assert not usable_book(make_book(**{"bids": BOOK.bids, "asks": BOOK.asks} | over))


def test_impossible_deeper_level_counts_as_empty() -> None:
    book = make_book(bids=((99.0, 1.0), (98.0, nan)), asks=((101.0, 1.0), (102.0, inf)))

    assert imbalance(book, 2) == 0.0


def test_tape_is_summed_by_symbol_and_side() -> None:
    prints = [
        Print(symbol="A", t=T0, px=10.0, qty=2.0, side=1),
        Print(symbol="A", t=T0, px=10.0, qty=1.0, side=-1),
        Print(symbol="B", t=T0, px=nan, qty=1.0, side=1),
        Print(symbol="B", t=T0, px=-1.0, qty=-1.0, side=1),
    ]

    assert turnover(prints) == {"A": (10.0, 30.0)}


def test_flow_forgets_by_half_per_half_life() -> None:
    flow = TradeFlow(1.0)

    flow.update(10.0, 10.0)
    assert flow.update(-5.0, 5.0) == 0.0
    assert flow.update(-7.5, 7.5) == pytest.approx(-7.5 / 12.5)
