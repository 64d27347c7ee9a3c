"""Streaming indicators: each takes one value at a time and costs the same at any length.

An indicator is a mutable msgspec Struct that holds its parameters and its state, so
an agent's snapshot is simply the encoded indicators. `value` is NaN until enough
was seen (`ready`). Inputs must be finite: `usable_bar` and `usable_book` are the
door, nothing behind it checks again.
"""

from .book import TradeFlow, imbalance, microprice, spread_bps, turnover, usable_book
from .candles import Candle, Resampler, usable_bar
from .channels import Bollinger, Donchian
from .momentum import EfficiencyRatio, Macd, Roc, Rsi
from .moving_average import Ema, Sma
from .regime import Regime
from .rolling import Moments, Rank, Ring
from .volatility import Atr, EwmaVol, RealisedVol

__all__ = [
    "Atr",
    "Bollinger",
    "Candle",
    "Donchian",
    "EfficiencyRatio",
    "Ema",
    "EwmaVol",
    "Macd",
    "Moments",
    "Rank",
    "RealisedVol",
    "Regime",
    "Resampler",
    "Ring",
    "Roc",
    "Rsi",
    "Sma",
    "TradeFlow",
    "imbalance",
    "microprice",
    "spread_bps",
    "turnover",
    "usable_bar",
    "usable_book",
]
