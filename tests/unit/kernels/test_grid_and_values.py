"""Rounding and valuing in floats against the exact arithmetic, at random and on the edges of grids."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.pair_rules import way_of
from parley.kernels import codes, exact
from parley.kernels.grid import amount_to_precision, round_price, round_price_down, round_price_up
from parley.kernels.settings import DECIMAL_PLACES, TICK_SIZE
from parley.kernels.values import (
    average_of_one,
    open_value,
    profit_against,
    profit_ratio,
    rate_for_roi,
    stake_of,
    value_with_fee,
)
from tests.unit.kernels.desks import LooseDesk

ticks = st.sampled_from([0.1, 0.01, 1e-5, 1e-8, 0.05, 0.5, 1.0, 10.0, 0.0025, 100.0, 3e-7, 1e-14, 1e-16])
prices = st.floats(1e-7, 1e8) | st.builds(lambda n, k: n / 10**k, st.integers(1, 10**9), st.integers(0, 8))


@st.composite
def near_a_grid(draw: st.DrawFn) -> tuple[float, float]:
    """A tick, and a price at, just beside or halfway between its multiples."""
    tick = draw(ticks)
    price = draw(st.integers(0, 10**7)) * tick * draw(st.sampled_from([1.0, 0.5]))
    for _ in range(draw(st.integers(0, 2))):
        price = math.nextafter(price, draw(st.sampled_from([0.0, math.inf])))
    return tick, price


@given(near_a_grid() | st.tuples(ticks, prices))
def test_rounding_to_ticks_is_exact(case: tuple[float, float]) -> None:
    tick, price = case
    loose = LooseDesk()
    record = loose.tick(*way_of(tick, TICK_SIZE), True, tick, TICK_SIZE)
    for kernel, way in (
        (round_price, exact.ROUND),
        (round_price_up, exact.ROUND_UP),
        (round_price_down, exact.ROUND_DOWN),
    ):
        assert kernel(loose.desk, record, price) == exact.price_to_precision(price, tick, TICK_SIZE, way)


@given(st.integers(0, 10), prices)
def test_rounding_to_places_is_exact(places: int, price: float) -> None:
    loose = LooseDesk()
    record = loose.tick(*way_of(places, DECIMAL_PLACES), False, places, DECIMAL_PLACES)
    for kernel, way in (
        (round_price, exact.ROUND),
        (round_price_up, exact.ROUND_UP),
        (round_price_down, exact.ROUND_DOWN),
    ):
        assert kernel(loose.desk, record, price) == exact.price_to_precision(
            price, places, DECIMAL_PLACES, way
        )


@given(near_a_grid() | st.tuples(ticks, prices), st.sampled_from([1.0, 0.001, 10.0, 1000.0]))
def test_cutting_amounts_is_exact(case: tuple[float, float], size: float) -> None:
    tick, amount = case
    loose = LooseDesk()
    loose.precision = tick
    pair = loose.pair(*way_of(tick, TICK_SIZE), contract_size=size)
    if size == 1.0:
        expected = exact.amount_to_precision(amount, tick, TICK_SIZE)
    else:
        contracts = exact.amount_to_precision(exact.quotient(amount, size), tick, TICK_SIZE)
        expected = exact.value_with_fee(contracts, size, 0.0)
    assert amount_to_precision(loose.desk, pair, amount) == expected


@given(prices, prices, st.sampled_from([0.0, 0.001, 0.00075, 0.1]), st.sampled_from([1.0, 3.0, 7.5]))
def test_values_are_exact(amount: float, rate: float, fee: float, leverage: float) -> None:
    loose = LooseDesk(fee)
    desk = loose.desk
    assert value_with_fee(desk, amount, rate, 0.0, 0.0) == exact.value_with_fee(amount, rate, 0.0)
    assert open_value(desk, 0, amount, rate) == exact.value_with_fee(amount, rate, fee)
    assert open_value(desk, 1, amount, rate) == exact.value_with_fee(amount, rate, -fee)
    assert stake_of(desk, amount, rate, leverage) == exact.stake_of(amount, rate, leverage)
    assert average_of_one(desk, amount, rate) == exact.average_price(amount, rate)


def test_ordinary_numbers_never_need_the_driver() -> None:
    loose = LooseDesk(0.001)
    for n in range(1, 3000):
        open_value(loose.desk, 0, n / 10_000, 100 + n * 0.01)
        value_with_fee(loose.desk, n / 7, n / 3, 0.0, 0.0)
    assert loose.asked == []


def test_an_edge_between_two_floats_asks_the_driver() -> None:
    # (2^26 + 1)(2^26 + 0.5) = 2^52 + 1.5 * 2^26 + 0.5: halfway between two floats.
    loose = LooseDesk()
    value = value_with_fee(loose.desk, 67108865.0, 134217729.0, 0.0, 0.0)
    assert value == exact.value_with_fee(67108865.0, 134217729.0, 0.0)
    assert loose.asked == [codes.ASK_VALUE]


@given(
    st.floats(0.01, 1000),
    st.floats(0.9, 1.1),
    st.floats(-0.2, 0.2) | st.just(0.0),
    st.booleans(),
    st.sampled_from([1.0, 5.0]),
    st.booleans(),
)
def test_screening_a_profit_says_what_the_rounded_profit_says(
    amount: float, move: float, ratio: float, short: bool, leverage: float, at_the_edge: bool
) -> None:
    loose = LooseDesk(0.001)
    opened = open_value(loose.desk, int(short), amount, 100.0)
    trade = loose.trade(amount=amount, is_short=short, leverage=leverage, open_trade_value=opened)
    rate = 100.0 * move
    profit = profit_ratio(loose.desk, trade, rate)
    against = profit if at_the_edge else ratio
    assert profit_against(loose.desk, trade, rate, against) == (profit > against) - (profit < against)


@pytest.mark.parametrize("short", [False, True])
def test_the_rate_for_a_profit_earns_it(short: bool) -> None:
    loose = LooseDesk(0.001)
    opened = open_value(loose.desk, int(short), 2.0, 100.0)
    trade = loose.trade(amount=2.0, is_short=short, leverage=3.0, open_trade_value=opened, open_rate=100.0)
    rate = rate_for_roi(loose.desk, trade, 0.06)
    assert profit_ratio(loose.desk, trade, rate) == pytest.approx(0.06, abs=1e-8)
