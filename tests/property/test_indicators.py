"""Streaming indicators equal the textbook formula recomputed from all values, on any series."""

from collections.abc import Callable
from itertools import pairwise
from math import isclose, isnan, log, sqrt

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.indicators import (
    Atr,
    Bollinger,
    Donchian,
    EfficiencyRatio,
    Ema,
    EwmaVol,
    Macd,
    Moments,
    Rank,
    RealisedVol,
    Roc,
    Rsi,
    Sma,
)

# Prices move by up to 30 % a step and may stand still, over four orders of magnitude.
STEPS = st.lists(st.sampled_from([0.0, 0.0, 1.0, -1.0]) | st.floats(-0.3, 0.3), min_size=1, max_size=60)
PERIODS = st.integers(2, 12)


def walk(steps: list[float]) -> list[float]:
    closes, px = [], 100.0
    for step in steps:
        px = min(1e6, max(1.0, px * (1.0 + step if abs(step) < 0.5 else 1.0 + 0.01 * step)))
        closes.append(px)
    return closes


def agree(found: float, expected: float, scale: float = 1.0) -> bool:
    return (isnan(found) and isnan(expected)) or isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9 * scale)


def naive_ema(values: list[float], n: int) -> float:
    if len(values) < n:
        return float("nan")
    mean = float(np.mean(values[:n]))
    for x in values[n:]:
        mean = mean * (1 - 2 / (n + 1)) + x * 2 / (n + 1)
    return mean


def naive_rsi(values: list[float], n: int) -> float:
    changes = np.diff(values)
    if len(changes) < n:
        return float("nan")
    up, down = float(np.mean(np.maximum(changes[:n], 0))), float(np.mean(np.maximum(-changes[:n], 0)))
    for c in changes[n:]:
        up, down = (up * (n - 1) + max(c, 0.0)) / n, (down * (n - 1) + max(-c, 0.0)) / n
    if up + down == 0:
        return 50.0
    return 100.0 if down == 0 else 100.0 - 100.0 / (1.0 + up / down)


def naive_ewma_vol(values: list[float], half_life: int) -> float:
    returns = [log(b / a) for a, b in pairwise(values)]
    if len(returns) < half_life:
        return float("nan")
    weights = [0.5 ** (age / half_life) for age in range(len(returns))][::-1]
    return sqrt(sum(w * r * r for w, r in zip(weights, returns, strict=True)) / sum(weights))


def naive_efficiency(values: list[float], n: int) -> float:
    if len(values) <= n:
        return float("nan")
    walked = float(np.sum(np.abs(np.diff(values[-n - 1 :]))))
    return abs(values[-1] - values[-n - 1]) / walked if walked else 0.0


def windowed(f: Callable[[list[float]], float]) -> Callable[[list[float], int], float]:
    return lambda values, n: f(values[-n:]) if len(values) >= n else float("nan")


CASES: dict[str, tuple[Callable[[int], object], Callable[[list[float], int], float]]] = {
    "sma": (Sma, windowed(lambda v: float(np.mean(v)))),
    "ema": (Ema, naive_ema),
    "rsi": (Rsi, naive_rsi),
    "roc": (Roc, lambda v, n: v[-1] / v[-1 - n] - 1 if len(v) > n else float("nan")),
    "efficiency": (EfficiencyRatio, naive_efficiency),
    "ewma_vol": (EwmaVol, naive_ewma_vol),
    "realised_vol": (
        RealisedVol,
        lambda v, n: float(np.std(np.diff(np.log(v))[-n:])) if len(v) > n else float("nan"),
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
@given(steps=STEPS, period=PERIODS, cut=st.integers(0, 60))
def test_one_value_indicator_equals_its_formula_through_a_snapshot(
    name: str, steps: list[float], period: int, cut: int
) -> None:
    make, formula = CASES[name]
    closes = walk(steps)
    indicator = make(period)

    for n, close in enumerate(closes):
        if n == cut:
            indicator = msgspec.msgpack.decode(msgspec.msgpack.encode(indicator), type=type(indicator))
        indicator.update(close)
        expected = formula(closes[: n + 1], period)
        # a deviation is the root of a difference: half the digits remain where nothing moves
        scale = 100.0 if name == "realised_vol" else abs(expected) + 1.0
        assert agree(indicator.value, expected, scale), (n, indicator.value, expected)
        assert isnan(indicator.value) or indicator.ready


@given(steps=STEPS, period=PERIODS)
def test_moments_and_bands_equal_numpy(steps: list[float], period: int) -> None:
    closes = walk(steps)
    moments, bands = Moments(period), Bollinger(period, 2.0)

    for n, close in enumerate(closes):
        moments.update(close)
        bands.update(close)
        window = closes[max(0, n + 1 - period) : n + 1]
        assert isclose(moments.mean, np.mean(window), rel_tol=1e-9)
        # variance, not deviation: rounding of the running sum is linear there
        assert isclose(moments.std**2, np.var(window), rel_tol=1e-6, abs_tol=1e-9 * max(closes) ** 2)
        assert bands.ready == (n + 1 >= period)
        if bands.ready:
            assert isclose(bands.upper - bands.middle, 2.0 * moments.std, rel_tol=1e-9, abs_tol=1e-6)
            assert bands.lower <= bands.middle <= bands.upper


@given(steps=STEPS, period=PERIODS, wick=st.floats(0.0, 5.0))
def test_channel_and_true_range_equal_a_scan(steps: list[float], period: int, wick: float) -> None:
    closes = walk(steps)
    highs, lows = [c + wick for c in closes], [c - 0.9 * min(wick, c / 2) for c in closes]
    channel, atr = Donchian(period), Atr(period)

    ranges: list[float] = []
    for n in range(len(closes)):
        channel.update(highs[n], lows[n])
        atr.update(highs[n], lows[n], closes[n])
        before = closes[n - 1] if n else closes[n]
        ranges.append(max(highs[n], before) - min(lows[n], before))
        if n + 1 < period:
            assert isnan(channel.upper)
            assert isnan(atr.value)
            continue
        assert channel.upper == max(highs[n + 1 - period : n + 1])
        assert channel.lower == min(lows[n + 1 - period : n + 1])
        assert len(channel.highs.of) <= 2 * period + 2
        expected = float(np.mean(ranges[:period]))
        for r in ranges[period:]:
            expected = (expected * (period - 1) + r) / period
        assert isclose(atr.value, expected, rel_tol=1e-9, abs_tol=1e-12)


@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=50), period=PERIODS)
def test_rank_counts_those_below(values: list[int], period: int) -> None:
    rank = Rank(period)

    for n, x in enumerate(values):
        found = rank.update(float(x))
        window = values[max(0, n + 1 - period) : n + 1]
        below, equal = sum(v < x for v in window), sum(v == x for v in window)
        expected = (below + (equal - 1) / 2) / (len(window) - 1) if len(window) > 1 else 0.5
        assert isclose(found, expected, abs_tol=1e-12)


@given(steps=st.lists(st.floats(-0.1, 0.1), min_size=30, max_size=60))
def test_macd_is_the_difference_of_means_over_its_own_mean(steps: list[float]) -> None:
    closes = walk(steps)
    macd = Macd(3, 6, 4)

    for close in closes:
        macd.update(close)

    lines = [naive_ema(closes[:n], 3) - naive_ema(closes[:n], 6) for n in range(6, len(closes) + 1)]
    assert isclose(macd.value, lines[-1] - naive_ema(lines, 4), rel_tol=1e-6, abs_tol=1e-6 * max(closes))
