"""What ids say of the next message, rule by rule, and which texts lie on a grid."""

from __future__ import annotations

from decimal import Decimal

import pytest

from parley.books import RULES, Grid, Verdict, grid_of, judge, scaled
from parley.errors import ProtocolError
from tests.kit.builders import make_instrument

OLD, FITS, GAP = Verdict.OLD, Verdict.FITS, Verdict.GAP


@pytest.mark.parametrize(
    ("venue", "is_joined", "first", "final", "prev", "expected"),
    [
        # Binance spot: drop u <= lastUpdateId; the first has U <= lastUpdateId + 1 <= u.
        ("binance", False, 90, 100, None, OLD),
        ("binance", False, 90, 101, None, FITS),
        ("binance", False, 101, 105, None, FITS),
        ("binance", False, 102, 105, None, GAP),
        ("binance", True, 101, 101, None, FITS),
        ("binance", True, 102, 103, None, GAP),
        ("binance", True, 101, 100, None, GAP),
        # USD-M: drop u < lastUpdateId; the first has U <= lastUpdateId <= u; then pu is the last u.
        ("binanceusdm", False, 90, 99, 89, OLD),
        ("binanceusdm", False, 90, 100, 89, FITS),
        ("binanceusdm", False, 95, 110, 89, FITS),
        ("binanceusdm", False, 105, 110, 100, FITS),
        ("binanceusdm", False, 105, 110, 95, FITS),
        ("binanceusdm", False, 102, 110, 101, GAP),
        ("binanceusdm", False, 101, 110, None, GAP),
        ("binanceusdm", True, 105, 110, 100, FITS),
        ("binanceusdm", True, 101, 110, 99, GAP),
        ("binanceusdm", True, 101, 110, None, GAP),
        ("binanceusdm", True, 95, 110, 94, GAP),
        ("binanceusdm", True, 90, 100, 89, OLD),
        # A number per message, or the number of the one before.
        ("bybit", True, 101, 101, None, FITS),
        ("bybit", True, 102, 102, None, GAP),
        ("bybit", True, 100, 100, None, OLD),
        ("okx", True, 130, 130, 100, FITS),
        ("okx", True, 130, 130, 120, GAP),
        ("okx", True, 100, 100, 100, OLD),
        ("kraken", True, 0, 0, None, FITS),
    ],
)
def test_message_to_a_book_at_100(
    venue: str, is_joined: bool, first: int, final: int, prev: int | None, expected: Verdict
) -> None:
    assert judge(RULES[venue], 100, is_joined, first, final, prev) is expected


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("61737.63000000", 2, 6173763), ("61737.63", 2, 6173763), ("61737.6", 2, 6173760),
        ("61737", 2, 6173700), ("0.014", 3, 14), ("0.00000000", 3, 0), ("5.", 1, 50), ("1E-7", 8, 10),
        ("1.5e2", 0, 150), (".5", 1, 5),
    ],
)  # fmt: skip
def test_text_becomes_a_whole_number(text: str, decimals: int, expected: int) -> None:
    assert scaled(text, decimals) == expected


@pytest.mark.parametrize(
    "text", ["", ".", "x", "1.2.3", "-1", "NaN", "Infinity", "1.005", "1e-3", "1,5", "1_0.5", " 1", "1e9999"]
)
def test_text_off_the_grid_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected a"):
        scaled(text, 2)


def test_grid_of_an_instrument_is_that_of_its_tick_and_lot() -> None:
    assert grid_of(make_instrument(tick=Decimal("0.50"), lot=Decimal("0.00001000"))) == Grid(1, 5)
    assert grid_of(make_instrument(tick=Decimal(10), lot=Decimal(1))) == Grid(0, 0)


@pytest.mark.parametrize("decimals", [-1, 19])
def test_grid_without_sense_is_refused(decimals: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 18 decimals"):
        Grid(decimals, 2)
