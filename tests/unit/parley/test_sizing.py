"""Sizing formulas against figures worked out by hand."""

from decimal import Decimal

import pytest

from parley import sizing

D = Decimal
NAN = float("nan")


def test_unlimited_stake_divides_all_money_and_never_exceeds_what_is_free() -> None:
    assert sizing.unlimited_stake(D(60_000), D(40_000), 8) == 12_500
    assert sizing.unlimited_stake(D(5_000), D(95_000), 8) == 5_000
    assert sizing.unlimited_stake(D(-1), D(95_000), 8) == 0
    assert sizing.unlimited_stake(D("NaN"), D(1), 8) == 0
    assert sizing.unlimited_stake(D(1), D(1), 0) == 0


@pytest.mark.parametrize(("free", "stake"), [(200, 100), (100, 100), (60, 60), (50, 50), (49, 0), (0, 0)])
def test_last_stake_is_amended_down_to_half(free: int, stake: int) -> None:
    assert sizing.amended_stake(D(100), D(free), D("0.5")) == stake


@pytest.mark.parametrize(
    ("distance", "least"),
    [
        ("0", "10.50"),
        ("0.1", "11.66666666666666666666666667"),
        ("0.5", "15.0"),
        ("1", "15.0"),
        ("-0.1", None),
    ],
)
def test_min_stake_carries_reserve_and_stop_up_to_one_and_a_half(distance: str, least: str | None) -> None:
    expected = D(least) if least else sizing.min_stake(D(10), D("0.05"), D("0.1"))
    assert sizing.min_stake(D(10), D("0.05"), D(distance)) == expected


def test_risk_quantity_loses_the_risk_at_the_stop_for_long_and_short() -> None:
    # 1 % of 100,000 lost over 1,200 a coin
    assert sizing.risk_quantity(D(100_000), D("0.01"), D(60_000), D(58_800)) == D(1000) / D(1200)
    assert sizing.risk_quantity(D(100_000), D("0.01"), D(60_000), D(61_200)) == D(1000) / D(1200)
    assert sizing.risk_quantity(D(100_000), D("0.01"), D(60_000), D(60_000)) == 0


@pytest.mark.parametrize(
    ("conf", "payoff", "share"),
    [(0.6, 1.0, 0.1), (0.5, 2.0, 0.125), (0.4, 1.0, 0.0), (1.0, 3.0, 0.5), (NAN, 1.0, 0.0), (0.6, 0.0, 0.0)],
)
def test_half_kelly(conf: float, payoff: float, share: float) -> None:
    assert sizing.kelly_fraction(conf, payoff) == pytest.approx(share)


def test_payoff_needs_stop_and_target_on_opposite_sides() -> None:
    assert sizing.payoff_ratio(D(100), D(98), D(103)) == 1.5
    assert sizing.payoff_ratio(D(100), D(102), D(97)) == 1.5
    assert sizing.payoff_ratio(D(100), D(98), D(99)) == 0.0
    assert sizing.payoff_ratio(D(100), D("NaN"), D(99)) == 0.0


def test_atr_quantity() -> None:
    assert sizing.atr_quantity(D(100_000), D("0.02"), 500.0, 2.0) == 2
    assert sizing.atr_quantity(D(100_000), D("0.02"), NAN, 2.0) == 0
    assert sizing.atr_quantity(D(100_000), D("0.02"), 0.0, 2.0) == 0


def test_volatility_shrinks_but_never_grows_a_stake() -> None:
    assert sizing.volatility_factor(0.20, 0.10) == 0.5
    assert sizing.volatility_factor(0.05, 0.10) == 1.0
    assert sizing.volatility_factor(NAN, 0.10) == 0.0
    assert sizing.daily_sigma(0.001, 60_000_000_000) == pytest.approx(0.001 * 1440**0.5)


def test_correlated_heap_shrinks_what_is_added() -> None:
    assert sizing.correlation_factor([(0.9, 0.1)], 0.25) == 1.0
    assert sizing.correlation_factor([(1.0, 0.3), (0.8, 0.25)], 0.25) == pytest.approx(0.5)
    assert sizing.correlation_factor([(-1.0, 5.0)], 0.25) == 1.0
    assert sizing.correlation_factor([(NAN, 0.5)], 0.25) == 0.5
    assert sizing.correlation_factor([(0.5, NAN)], 0.25) == 0.0
