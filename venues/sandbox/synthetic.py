"""A seeded market without recordings: several assets that move like crypto, and their crosses.

Returns have fat tails (Student t), volatility that clusters (a GARCH(1,1) recursion for each asset)
and a common factor that ties the assets together. A cross follows the ratio of its legs up to a
small noise that reverts to zero, so a triangle opens now and then by some tens of basis points.
Not here: prints and books. Invariant: candles depend on the seed and the configuration only, and
each one opens at the former one's close.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from venues.recorded import moment_ms, timeframe_ms
from venues.sandbox.config import ConfigError
from venues.sandbox.feeds import Step, instrument_of
from venues.sandbox.instrument import Instrument
from venues.sandbox.opening import opening_price
from venues.sandbox.tape import Candle, Print, prints_of
from venues.sandbox.units import ONE

Floats = npt.NDArray[np.float64]

_DOLLARS_PER_MINUTE = 400_000.0
# 94 % a year, as the smaller coins had in 2021: a calmer market seldom moves by more than two fees.
_MINUTE_VOLATILITY = 0.0013
_MINUTE_MS = 60_000
# GARCH(1,1): persistence 0.98, so a burst of volatility lasts some fifty candles.
_ARCH, _GARCH = 0.08, 0.90
_TAIL_DEGREES = 4.0
_COMMON_SHARE = 0.6  # of an asset's variance that comes from the common factor
_CROSS_PULL = 0.05
_CROSS_NOISE = 0.00025
_PATH_POINTS = 8
_DEFAULT_START = "2024-01-01"


class SyntheticFeed:
    """An endless market, or one with a given number of candles."""

    def __init__(
        self,
        assets: list[str],
        quote: str,
        crosses: list[str],
        timeframe: str,
        start: str | int | None,
        candles: int | None,
        seed: int,
        trades_per_candle: int,
        history: int,
    ) -> None:
        self.timeframe = timeframe
        self.length_ms = timeframe_ms(timeframe)
        self.notes: list[str] = []
        self._seed = seed
        self._count = trades_per_candle
        self._left = candles
        begin = moment_ms(_DEFAULT_START if start is None else start) or 0
        self._next_ms = begin // self.length_ms * self.length_ms - history * self.length_ms
        prices = {asset: opening_price(asset) for asset in assets}
        self.instruments = [instrument_of(f"{asset}/{quote}", *_decimals(prices[asset])) for asset in assets]
        for cross in crosses:
            base, against = cross.split("/")
            if base not in prices or against not in prices:
                raise ConfigError(f"feed.crosses: expected a pair of {', '.join(assets)}, got {cross!r}")
            self.instruments.append(
                instrument_of(cross, *_decimals(prices[base] / prices[against], prices[base]))
            )
        self._candles = market(self.instruments, len(assets), prices, self.length_ms, seed)
        self._history: dict[str, list[Candle]] = {one.symbol: [] for one in self.instruments}
        for _ in range(history):
            for symbol, candle in self._bucket().items():
                self._history[symbol].append(candle)

    def history(self, symbol: str) -> list[Candle]:
        """Candles from before the first step."""
        return self._history[symbol]

    def upcoming(self, symbol: str) -> int | None:
        """Open time of the next candle, which every symbol has."""
        return None if self._left == 0 else self._next_ms

    def next_step(self) -> Step | None:
        """The next bucket."""
        if self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        now = self._next_ms
        bars: dict[str, tuple[Candle, list[Print]]] = {}
        candles = self._bucket()
        for one in self.instruments:
            candle = candles[one.symbol]
            bars[one.symbol] = candle, prints_of(one, candle, self.length_ms, self._seed, self._count)
        return Step(now, now + self.length_ms, bars)

    def _bucket(self) -> dict[str, Candle]:
        now = self._next_ms
        self._next_ms += self.length_ms
        return {one.symbol: Candle(now, *next(self._candles)) for one in self.instruments}


def market(
    instruments: list[Instrument], assets: int, prices: dict[str, float], length_ms: int, seed: int
) -> Iterator[tuple[int, int, int, int, int]]:
    """(open, high, low, close, volume) on the grid: all instruments of a bucket, then the next bucket."""
    random = np.random.Generator(np.random.Philox(key=seed))
    volatility = _MINUTE_VOLATILITY * (length_ms / _MINUTE_MS) ** 0.5
    variance = np.ones(assets)
    common_variance = 1.0
    level = np.log([prices[one.base] for one in instruments[:assets]])
    index = {one.base: i for i, one in enumerate(instruments[:assets])}
    legs = [(index[one.base], index[one.quote]) for one in instruments[assets:]]
    noise = np.zeros(len(legs))
    last = [0] * len(instruments)
    scale = (_TAIL_DEGREES / (_TAIL_DEGREES - 2)) ** -0.5
    for _ in itertools.count():
        shocks = random.standard_t(_TAIL_DEGREES, assets + 1) * scale
        common = common_variance**0.5 * shocks[0]
        own = variance**0.5 * shocks[1:]
        common_variance = _next_variance(common_variance, common)
        variance = np.minimum((1 - _ARCH - _GARCH) + _ARCH * own**2 + _GARCH * variance, 100.0)
        returns = volatility * (_COMMON_SHARE**0.5 * common + (1 - _COMMON_SHARE) ** 0.5 * own)
        before = level
        level = level + np.clip(returns, -0.2, 0.2)
        noise_before, noise = (
            noise,
            noise * (1 - _CROSS_PULL) + _CROSS_NOISE * random.standard_t(_TAIL_DEGREES, len(legs)),
        )
        starts = np.concatenate(
            (before, [before[b] - before[q] + n for (b, q), n in zip(legs, noise_before, strict=True)])
        )
        stops = np.concatenate(
            (level, [level[b] - level[q] + n for (b, q), n in zip(legs, noise, strict=True)])
        )
        high, low = _extremes(starts, stops, volatility * common_variance**0.5, random)
        busy = random.gamma(2.0, 0.5, len(instruments)) * (1 + 3 * np.abs(stops - starts) / volatility)
        for i, one in enumerate(instruments):
            dollars = _DOLLARS_PER_MINUTE * length_ms / _MINUTE_MS * (1.0 if i < assets else 0.2)
            yield _candle(
                one, last, i, (starts[i], high[i], low[i], stops[i]), busy[i] * dollars / prices[one.base]
            )


def _next_variance(variance: float, shock: float) -> float:
    return float(min((1 - _ARCH - _GARCH) + _ARCH * shock**2 + _GARCH * variance, 100.0))


def _extremes(
    starts: Floats, stops: Floats, volatility: float, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """High and low of a random walk from start to stop."""
    steps = random.standard_normal((_PATH_POINTS, len(starts))) * volatility / _PATH_POINTS**0.5
    walk = np.cumsum(steps, axis=0)
    share = (np.arange(1, _PATH_POINTS + 1) / _PATH_POINTS)[:, None]
    path = starts + walk + share * (stops - starts - walk[-1])
    return (
        np.maximum(np.maximum(starts, stops), path.max(axis=0)),
        np.minimum(np.minimum(starts, stops), path.min(axis=0)),
    )


def _candle(
    one: Instrument, last: list[int], i: int, logs: tuple[float, float, float, float], volume: float
) -> tuple[int, int, int, int, int]:
    opened, high, low, close = (
        max(one.tick, round(float(np.exp(x)) * ONE / one.tick) * one.tick) for x in logs
    )
    opened = last[i] or opened
    last[i] = close
    lots = max(1, round(float(volume) * ONE / one.lot))
    return opened, max(high, opened, close), min(low, opened, close), close, lots * one.lot


def _decimals(price: float, quantity_price: float | None = None) -> tuple[int, int]:
    """Price and quantity decimals: five significant digits, and lots worth about a cent."""
    digits = int(np.floor(np.log10(price)))
    lot_digits = int(np.floor(np.log10(quantity_price or price)))
    return min(8, max(2, 5 - digits)), min(8, max(0, lot_digits + 1))
