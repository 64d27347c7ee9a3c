"""No sizing formula ever gives a negative, infinite or undefined size, nor raises."""

from decimal import Decimal
from math import isfinite

from hypothesis import given
from hypothesis import strategies as st

from parley import sizing

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
WORD = st.sampled_from(["NaN", "sNaN", "Infinity", "-Infinity", "0", "-1", "1E+500", "1E-500", "0E+90"])
ANY_DECIMAL = st.one_of(
    WORD.map(Decimal), st.decimals(min_value=-(10**9), max_value=10**9, places=6), st.decimals()
)
RATIO = st.floats(0.0, 1.0)
MONEY = st.decimals(min_value=0, max_value=10**9, places=4)


@given(ANY_DECIMAL, ANY_DECIMAL, ANY_DECIMAL, ANY_DECIMAL, ANY_FLOAT, ANY_FLOAT, st.integers(-3, 100))
def test_all_formulas_are_total(
    a: Decimal, b: Decimal, c: Decimal, d: Decimal, x: float, y: float, n: int
) -> None:
    amounts = [
        sizing.unlimited_stake(a, b, n), sizing.amended_stake(a, b, c), sizing.min_stake(a, b, c),
        sizing.risk_quantity(a, b, c, d), sizing.atr_quantity(a, b, x, y), sizing.scaled(a, x),
    ]  # fmt: skip
    assert all(v.is_finite() and v >= 0 for v in amounts)
    ratios = [
        sizing.kelly_fraction(x, y), sizing.volatility_factor(x, y), sizing.correlation_factor([(x, y)], y),
    ]  # fmt: skip
    assert all(isfinite(v) and 0 <= v <= 1 for v in ratios)
    assert isfinite(sizing.payoff_ratio(a, b, c))
    assert sizing.payoff_ratio(a, b, c) >= 0
    assert sizing.daily_sigma(x, n) >= 0


@given(MONEY, MONEY, st.integers(1, 50))
def test_unlimited_stakes_of_all_trades_never_exceed_the_money(free: Decimal, tied: Decimal, n: int) -> None:
    stake = sizing.unlimited_stake(free, tied, n)

    assert stake <= free
    assert stake * n <= (free + tied) * (1 + Decimal("1e-20"))


@given(RATIO, st.floats(0.01, 100.0))
def test_more_confidence_never_means_less_kelly(conf: float, payoff: float) -> None:
    less = sizing.kelly_fraction(conf * 0.9, payoff)

    assert less <= sizing.kelly_fraction(conf, payoff) <= 0.5


@given(MONEY, st.decimals(0, "0.2", places=3), st.decimals(0, 2, places=3))
def test_min_stake_lies_between_the_minimum_and_half_more(
    least: Decimal, reserve: Decimal, stop: Decimal
) -> None:
    assert least <= sizing.min_stake(least, reserve, stop) <= least * Decimal("1.5")
