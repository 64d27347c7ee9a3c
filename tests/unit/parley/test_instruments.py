"""Quantities are never rounded up, prices never against their purpose."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.builders import make_instrument

BTC = make_instrument(tick="0.01", lot="0.001", min_qty="0.002", max_qty="10", min_notional="5")
sides = st.sampled_from(("buy", "sell"))
amounts = st.one_of(
    st.floats(-1e9, 1e9), st.decimals(Decimal(-10) ** 9, Decimal(10) ** 9, allow_nan=False, places=12)
)


@pytest.mark.parametrize(
    ("amount", "cut"),
    [
        (Decimal("0.0129"), "0.012"), (0.0129, "0.012"), (0.3, "0.3"), (Decimal("0.0009"), "0"), (-1.0, "0"),
        (Decimal(99), "10"), (float("nan"), "0"), (float("inf"), "0"), (Decimal("NaN"), "0"), (0, "0"),
    ],
)  # fmt: skip
def test_a_quantity_is_cut_down_to_the_lot(amount: Decimal | float, cut: str) -> None:
    assert str(BTC.qty(amount)) == cut


@pytest.mark.parametrize(
    ("px", "side", "moved"),
    [
        ("100.019", "buy", "100.01"), ("100.011", "sell", "100.02"), ("100.014", "near", "100.01"),
        ("100.016", "near", "100.02"), ("100.01", "buy", "100.01"), ("100.01", "sell", "100.01"),
        ("100", "sell", "100"),
    ],
)  # fmt: skip
def test_a_price_moves_to_the_tick_that_costs_no_more(px: str, side: str, moved: str) -> None:
    assert str(BTC.price(Decimal(px), side)) == moved


def test_a_crossing_price_still_reaches_the_price_meant() -> None:
    assert BTC.crossing_price(Decimal("100.011"), "buy") == Decimal("100.02")
    assert BTC.crossing_price(Decimal("100.019"), "sell") == Decimal("100.01")


@pytest.mark.parametrize(
    ("qty", "px", "code"),
    [
        ("0.001", "60000", "below_min_qty"), ("0", "60000", "below_min_qty"), ("-1", "1", "below_min_qty"),
        ("10.001", "60000", "above_max_qty"), ("1", "0", "no_price"), ("0.002", "100", "below_min_notional"),
        ("0.002", "2500", ""), ("10", "60000", ""),
    ],
)  # fmt: skip
def test_what_the_venue_would_refuse_is_named(qty: str, px: str, code: str) -> None:
    assert BTC.tradable(Decimal(qty), Decimal(px)) == code


@given(amounts)
def test_a_cut_quantity_lies_on_the_grid_and_never_above_what_was_asked(amount: Decimal | float) -> None:
    qty = BTC.qty(amount)
    assert qty % BTC.lot == 0
    assert 0 <= qty <= BTC.max_qty
    assert qty == BTC.qty(qty)
    if 0 < amount < BTC.max_qty:
        assert 0 <= Decimal(repr(amount) if isinstance(amount, float) else amount) - qty < BTC.lot


@given(st.floats(0.01, 1e9), sides)
def test_a_moved_price_lies_on_the_grid_within_a_tick(px: float, side: str) -> None:
    moved, meant = BTC.price(px, side), Decimal(repr(px))
    assert moved % BTC.tick == 0
    assert abs(moved - meant) < BTC.tick
    assert moved <= meant if side == "buy" else moved >= meant
    crossing = BTC.crossing_price(px, side)
    assert crossing >= meant if side == "buy" else crossing <= meant


@pytest.mark.parametrize("lot", ["1", "5", "0.5", "0.00000001", "100"])
def test_lots_need_not_be_powers_of_ten(lot: str) -> None:
    instrument = make_instrument(lot=lot, max_qty="1e12")
    assert instrument.qty(Decimal(1_234)) == Decimal(1_234) // Decimal(lot) * Decimal(lot)
