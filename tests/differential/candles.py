"""Random candles: quiet and wild, with gaps, spikes, silence, late starts and early ends.

Problem: an engine differs from freqtrade where candles are unusual: a wick through stop and profit target at
once, a gap over both, candles without volume, prices of one tick, pairs that start late.

Not here: signals (`signals`) and what is traded (`options`).

Invariant: low <= open, close <= high, every price is at least one tick, and gaps in time are filled as
freqtrade's loader fills them (last close, no volume), since its loop never sees an unfilled one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tests.differential.case import dates
from tests.differential.dice import Dice

# (first price, decimals): from coins in satoshis to an index in whole numbers.
QUOTES = (
    (0.00002143, 8),
    (0.00071, 7),
    (0.4127, 4),
    (1.031, 6),
    (23.71, 2),
    (187.3, 3),
    (61_234.5, 1),
    (2417.0, 0),
)


@dataclass(frozen=True)
class Market:
    """How a pair moves: ``volatility`` per candle, and how often it gaps, spikes and falls silent."""

    price: float
    decimals: int
    volatility: float
    trend: float
    gaps: float
    spikes: float
    silence: float
    missing: float

    @property
    def tick(self) -> float:
        return float(f"1e-{self.decimals}")


def draw_market(dice: Dice, volatility: float) -> Market:
    """Draw how a pair moves around the case's ``volatility`` (standard deviation of a candle's return)."""
    price, decimals = dice.pick(QUOTES)
    return Market(
        price=price,
        decimals=decimals,
        volatility=volatility * dice.scale(0.5, 2.0),
        trend=dice.pick((-0.1, 0.0, 0.0, 0.0, 0.1)) * volatility,
        gaps=dice.pick((0.0, 0.02, 0.15)),
        spikes=dice.pick((0.0, 0.02, 0.1)),
        silence=dice.pick((0.0, 0.0, 0.05)),
        missing=dice.pick((0.0, 0.0, 0.01)),
    )


def draw_candles(dice: Dice, market: Market, start_ms: int, step_ms: int, count: int) -> pd.DataFrame:
    """Draw ``count`` candles of ``step_ms`` from ``start_ms`` on."""
    random = dice.numbers
    returns = market.trend + market.volatility * np.clip(random.standard_t(4, count), -8, 8)
    closes = market.price * np.exp(np.cumsum(returns) - 0.5 * np.cumsum(returns).mean())
    opens = np.concatenate(([market.price], closes[:-1]))
    jumps = random.random(count) < market.gaps
    opens = np.where(jumps, opens * np.exp(3 * market.volatility * random.standard_normal(count)), opens)
    reach = np.where(random.random(count) < market.spikes, 10.0, 1.0) * 0.6 * market.volatility
    highs = np.maximum(opens, closes) * np.exp(np.abs(reach * random.standard_normal(count)))
    lows = np.minimum(opens, closes) * np.exp(-np.abs(reach * random.standard_normal(count)))
    prices = np.stack([opens, highs, lows, closes])
    prices = np.maximum(np.round(prices, market.decimals), market.tick)
    prices[1] = np.maximum(prices[1], np.maximum(prices[0], prices[3]))
    prices[2] = np.minimum(prices[2], np.minimum(prices[0], prices[3]))
    volume = np.round(random.lognormal(3, 1, count), 3)
    _silence(prices, volume, random.random(count) < market.silence)
    _fill(prices, volume, random.random(count) < market.missing)
    return frame(start_ms + step_ms * np.arange(count), prices, volume)


def frame(stamps_ms: np.ndarray, prices: np.ndarray, volume: np.ndarray) -> pd.DataFrame:
    """Return candles as freqtrade's loaders give them; ``prices`` float64[4, T] in the order OHLC."""
    names = ("open", "high", "low", "close")
    columns = {name: prices[row].copy() for row, name in enumerate(names)}
    return pd.DataFrame({"date": dates(stamps_ms), **columns, "volume": volume})


def merge(detail: pd.DataFrame, step_ms: int) -> pd.DataFrame:
    """Return the candles of ``step_ms`` that the candles of ``detail`` make."""
    stamps = detail["date"].dt.as_unit("ms").astype("int64")
    groups = detail.groupby(stamps - stamps % step_ms)
    prices = np.stack(
        [groups["open"].first(), groups["high"].max(), groups["low"].min(), groups["close"].last()]
    )
    return frame(np.array(list(groups.groups)), prices, groups["volume"].sum().to_numpy())


def _silence(prices: np.ndarray, volume: np.ndarray, silent: np.ndarray) -> None:
    # Nobody traded: the candle stands at its open, what came after is unaffected.
    prices[1:, silent] = prices[0, silent]
    volume[silent] = 0.0


def _fill(prices: np.ndarray, volume: np.ndarray, starts: np.ndarray) -> None:
    # A venue that was away for a few candles, as the loader fills such a gap.
    for start in np.flatnonzero(starts):
        if start:
            rows = slice(start, start + 1 + int(start) % 7)
            prices[:, rows] = prices[3, start - 1]
            volume[rows] = 0.0
