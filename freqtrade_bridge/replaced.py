"""Candles of a run's own data with some series replaced: what somebody else saw of the same market.

Problem: a shadow backtest runs a strategy twice over one stretch of time, once on the reference's candles and
once on those a desk saw; all else (other timeframes, what lies before) has to be the same.

Not here: loading (`preparing`), what differs then (`backtest.shadow`). Invariant: rows that were not seen are
missing, rows before the stretch are the reference's.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from numpy.typing import NDArray
from pandas import DataFrame

from freqtrade_bridge.configuration import load_configuration
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import open_source
from freqtrade_bridge.sources import CandleSource, Key

Seen = Mapping[int, tuple[float, float, float, float, float]]
"""Open, high, low, close and volume by open time, ms."""
PRICES = ("open", "high", "low", "close", "volume")


class ReplacedCandles:
    """A source of which some series are others (`CandleSource`)."""

    def __init__(self, source: CandleSource, frames: Mapping[Key, DataFrame]) -> None:
        self._source, self._frames = source, dict(frames)

    def read(self, key: Key, timerange: TimeRange | None) -> DataFrame:
        """Return a copy of the replaced series, else the source's rows."""
        found = self._frames.get(key)
        return self._source.read(key, timerange) if found is None else found.copy()

    def place(self, key: Key) -> str:
        """Say where the series is."""
        return f"the {key[0]} candles the desk saw" if key in self._frames else self._source.place(key)

    def available(self) -> list[Key]:
        """Name every series."""
        return list(dict.fromkeys([*self._source.available(), *self._frames]))


def within(options: Options, begin_ms: int | None, end_ms: int) -> Options:
    """Return the options for a run that ends with the candle of `end_ms`, and begins as said or as before."""
    asked = str(load_configuration(options).get("timerange") or "")
    first = asked.partition("-")[0] if begin_ms is None else str(begin_ms)
    return replace(options, timerange=f"{first}-{end_ms}")


def reference_source(options: Options) -> CandleSource:
    """Open the data folder that the options name."""
    return open_source(load_configuration(options), options)


def as_seen(rows: DataFrame, seen: Seen, begin_ms: int, end_ms: int) -> DataFrame:
    """Return a series' rows with those from one open time to another replaced by what was seen of them."""
    dates = open_times(rows)
    times = np.array(sorted(t for t in seen if begin_ms <= t <= end_ms), np.int64)
    made = DataFrame([seen[t] for t in times.tolist()], columns=list(PRICES), dtype=np.float64)
    made.insert(
        0, "date", pd.to_datetime(pd.Series(times, dtype=np.int64), unit="ms", utc=True).dt.as_unit("ms")
    )
    before = rows[dates < begin_ms]
    return pd.concat([before, made], ignore_index=True) if len(before) else made


def open_times(rows: DataFrame) -> NDArray[np.int64]:
    """Return the rows' open times, ms."""
    return rows["date"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
