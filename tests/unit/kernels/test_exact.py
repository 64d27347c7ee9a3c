"""The exact arithmetic against freqtrade's own, which computes with decimal text."""

import pytest
from freqtrade.exchange import amount_to_contract_precision, price_to_precision
from freqtrade.util import FtPrecise
from hypothesis import given
from hypothesis import strategies as st

from parley.kernels import exact
from parley.kernels.settings import DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE

prices = st.floats(1e-6, 1e7) | st.builds(lambda n, k: n / 10**k, st.integers(1, 10**9), st.integers(0, 8))
ticks = st.sampled_from([0.1, 0.01, 1e-5, 1e-8, 0.05, 0.5, 1.0, 10.0, 0.0025, 100.0, 3e-7])


@given(prices, prices, st.sampled_from([0.0, 0.001, 0.00075, 0.1]))
def test_values_are_ftprecises(amount: float, rate: float, fee: float) -> None:
    value = FtPrecise(amount) * FtPrecise(rate)
    assert exact.value_with_fee(amount, rate, fee) == float(value + value * FtPrecise(fee))
    assert exact.value_with_fee(amount, rate, -fee) == float(value - value * FtPrecise(fee))
    assert exact.quotient(amount, rate) == float(FtPrecise(amount) / FtPrecise(rate))
    assert exact.stake_of(amount, rate, 3.0) == float(value / FtPrecise(3.0))
    assert exact.average_price(amount, rate) == float(FtPrecise(rate) * FtPrecise(amount) / FtPrecise(amount))


@given(prices, ticks, st.sampled_from([exact.ROUND, exact.ROUND_UP, exact.ROUND_DOWN]))
def test_prices_round_to_ticks_as_freqtrades_do(price: float, tick: float, rounding: int) -> None:
    expected = price_to_precision(price, tick, TICK_SIZE, rounding_mode=rounding)
    assert exact.price_to_precision(price, tick, TICK_SIZE, rounding) == expected


@pytest.mark.parametrize("mode", [DECIMAL_PLACES, SIGNIFICANT_DIGITS])
@given(
    price=prices,
    digits=st.integers(1, 8),
    rounding=st.sampled_from([exact.ROUND, exact.ROUND_UP, exact.ROUND_DOWN]),
)
def test_prices_round_to_digits_as_freqtrades_do(mode: int, price: float, digits: int, rounding: int) -> None:
    expected = price_to_precision(price, digits, mode, rounding_mode=rounding)
    assert exact.price_to_precision(price, digits, mode, rounding) == expected


@given(prices, ticks)
def test_amounts_are_cut_as_freqtrades_are(amount: float, tick: float) -> None:
    expected = amount_to_contract_precision(amount, tick, TICK_SIZE, None)
    assert exact.amount_to_precision(amount, tick, TICK_SIZE) == expected
    expected = amount_to_contract_precision(amount, 3, DECIMAL_PLACES, None)
    assert exact.amount_to_precision(amount, 3, DECIMAL_PLACES) == expected


def test_a_part_sold_is_valued_at_the_average_price() -> None:
    sums = exact.position(
        [exact.Fill(True, 1.0, 10.0), exact.Fill(True, 3.0, 20.0), exact.Fill(False, 2.0, 30.0)]
    )
    assert sums.averages == (10.0, 17.5, 17.5)
    assert (sums.amount, sums.stake, sums.max_stake, sums.price) == (2.0, 35.0, 70.0, 17.5)
