"""Rows of market data for tests: candles, trades and settlements with values that say where they came from.

Not here: files of real markets (the fixture `market_data`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from runtime.marketstore.series import Series
from runtime.marketstore.tables import SETTLEMENTS, TIME, TRADES, candle_table

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_620_432_000_000  # 2021-05-08 00:00 UTC, a Saturday
MINUTES = Series("binance", "BTC/USDT", "spot", "1m")
DEALS = Series("kraken", "BTC/USDT", "trades")
RATES = Series("binanceusdm", "BTC/USDT:USDT", "funding_rate")


def candles(count: int, begin: int = START, step: int = MINUTE, seed: int = 1) -> pa.Table:
    """Return candles without a gap; a pure function of time and seed, so overlapping pieces agree."""
    dates = begin + step * np.arange(count, dtype=np.int64)
    return candles_at(dates, seed)


def candles_at(dates: np.ndarray, seed: int = 1) -> pa.Table:
    """Return candles at the given times."""
    rows = [_candle(int(date), seed) for date in dates]
    return candle_table(
        np.asarray(dates, dtype=np.int64),
        [np.array([row[n] for row in rows], dtype=np.float64) for n in range(5)],
    )


def _candle(date: int, seed: int) -> tuple[float, ...]:
    rng = _numbers(date, seed)
    opened, close = 10_000 + rng[0] % 1000, 10_000 + rng[1] % 1000
    high, low = max(opened, close) + rng[2] % 50, min(opened, close) - rng[3] % 50
    return (opened / 100, high / 100, low / 100, close / 100, rng[4] % 10_000_000 / 1e6)


def trades(count: int, begin: int = START, every: int = 7_000, seed: int = 1) -> pa.Table:
    """Return trades, some of them in one millisecond, with rising ids."""
    rows = []
    for number in range(count):
        rng = _numbers(number, seed)
        at = begin + (number // 3) * every
        price, amount = (10_000 + rng[0] % 500) / 100, (1 + rng[1] % 100_000) / 1e5
        side = "sell" if rng[2] % 2 else "buy"
        rows.append((at, str(900 + number), "limit", side, price, amount, price * amount))
    columns = list(zip(*rows, strict=True)) or [()] * 7
    return pa.table(
        [pa.array(each, field.type) for each, field in zip(columns, TRADES, strict=True)], schema=TRADES
    )


def settlements(count: int, begin: int = START, step: int = 8 * HOUR, seed: int = 1) -> pa.Table:
    """Return funding rates of either sign."""
    dates = begin + step * np.arange(count, dtype=np.int64)
    rates = np.array([(_numbers(int(date), seed)[0] % 2001 - 1000) / 1e7 for date in dates])
    return pa.table([pa.array(dates).cast(TIME), pa.array(rates, pa.float64())], schema=SETTLEMENTS)


def _numbers(*key: int) -> list[int]:
    digest = hashlib.blake2b(repr(key).encode(), digest_size=40).digest()
    return [int.from_bytes(digest[n : n + 8], "little") for n in range(0, 40, 8)]


def content(root: Path) -> dict[str, bytes]:
    """Return every file of a market store by name, without its lock."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
