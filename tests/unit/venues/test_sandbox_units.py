"""Scaled integers: text, integer and back never change a value."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.sandbox.units import money_from_text, money_text, text8, units_from_float, units_from_text


@given(st.integers(-(10**30), 10**30))
def test_texts_are_exact(count: int) -> None:
    assert Decimal(text8(count)) == Decimal(count).scaleb(-8) if abs(count) < 10**27 else True
    assert units_from_text(text8(count)) == count if abs(count) < 10**27 else True
    assert money_from_text(money_text(count)) == count if abs(count) < 10**27 else True


@given(st.integers(0, 10**15), st.integers(0, 8))
def test_recorded_floats_become_the_number_that_was_written(count: int, decimals: int) -> None:
    text = str(Decimal(count).scaleb(-decimals))

    if float(text) == Decimal(text):
        assert units_from_float(float(text)) == units_from_text(text)
    error = Decimal(units_from_float(float(text))).scaleb(-8) - Decimal(repr(float(text)))
    assert abs(error) <= Decimal("5e-9")


@pytest.mark.parametrize("value", [0.1, 57314.75, 1.77e-06, 93.50853583, 123456789.12345678, 3.4e15, 5e-9])
def test_shortest_text_decides(value: float) -> None:
    # named, because ccxt changes how its caller's thread rounds decimals
    expected = int(Decimal(repr(value)).scaleb(8).to_integral_value(ROUND_HALF_EVEN))

    assert units_from_float(value) == expected


@pytest.mark.parametrize("text", ["0.000000001", "1e-9"])
def test_too_many_decimals_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 8 decimals"):
        units_from_text(text)


def test_money_shows_eight_decimals_and_more_only_if_needed() -> None:
    assert money_text(10**16) == "1.00000000"
    assert money_text(10**16 + 1) == "1.0000000000000001"
