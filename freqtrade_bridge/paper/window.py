"""The last closed candles of every pair, as freqtrade's exchange object would have them downloaded.

Problem: a strategy looks at a frame of candles that ends with the one just closed. They come from the data
folder up to the start of the run and from the market after it; what is missing between is filled as freqtrade
fills it, and longer candles are made of the short ones.

Not here: what a strategy computes. Invariant: candles of a pair have no gap and only closed ones are there; a
candle that does not follow the last one is told apart, so that nobody opens a trade on it.
"""

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from freqtrade.exchange import timeframe_to_prev_date, timeframe_to_seconds
from pandas import DataFrame

COLUMNS: Final = ("open", "high", "low", "close", "volume")


class Candle(NamedTuple):
    """A closed candle; ``t_ms`` is its opening time."""

    pair: str
    t_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def is_sound(self) -> bool:
        """Whether its numbers can be a candle's."""
        values = self[2:]
        return (
            all(math.isfinite(value) for value in values)
            and 0.0 < self.low <= min(self.open, self.close)
            and self.high >= max(self.open, self.close)
            and self.volume >= 0.0
        )


class Series:
    """Rows of one pair and timeframe in one array: ms and five values; at most ``limit`` of the last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows = np.empty((0, 6))
        self._more: list[tuple[float, ...]] = []

    def add(self, t_ms: int, values: Sequence[float]) -> None:
        """Append a row."""
        self._more.append((float(t_ms), *values))

    @property
    def rows(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """All rows."""
        if self._more:
            self._rows = np.concatenate([self._rows, np.array(self._more)])[-self._limit :]
            self._more = []
        return self._rows

    @property
    def last_ms(self) -> int:
        """The opening time of the last row; -1 without one."""
        if self._more:
            return int(self._more[-1][0])
        return int(self._rows[-1, 0]) if len(self._rows) else -1

    def __len__(self) -> int:
        return min(self._limit, len(self._rows) + len(self._more))

    def last(self) -> tuple[float, ...]:
        """The last row."""
        return self._more[-1] if self._more else tuple(self._rows[-1])

    def frame(self) -> DataFrame:
        """Return freqtrade's frame of the rows."""
        rows = self.rows
        dates = pd.DatetimeIndex(rows[:, 0].astype(np.int64).astype("datetime64[ms]"), tz="UTC")
        return DataFrame({"date": dates} | {name: rows[:, n].copy() for n, name in enumerate(COLUMNS, 1)})


@dataclass(slots=True)
class _Longer:
    """Candles of a longer timeframe, one of them growing; ``began`` -1: none is."""

    series: Series
    step_ms: int
    timeframe: str
    began: int = -1
    values: tuple[float, ...] = ()

    def grow(self, t_ms: int, values: tuple[float, ...], short_ms: int) -> None:
        began = floor_ms(self.timeframe, t_ms)
        if began != self.began:
            # Half a candle of before is none: it began before anybody looked.
            self.began, self.values = (began, values) if t_ms == began else (-1, ())
        elif self.values:
            first, highest, lowest, _, total = self.values
            _, high, low, close, volume = values
            self.values = (first, max(highest, high), min(lowest, low), close, total + volume)
        if self.values and t_ms + short_ms >= self.began + self.step_ms:
            if self.began > self.series.last_ms:
                self.series.add(self.began, self.values)
            self.began, self.values = -1, ()


class Window:
    """The candles of a run. ``begin_ms``: from then on they come from `add` only."""

    def __init__(
        self,
        timeframe: str,
        history: Mapping[str, DataFrame],
        limit: int,
        longer: Mapping[tuple[str, str], DataFrame | None],
        begin_ms: int,
    ) -> None:
        self.step_ms = timeframe_to_seconds(timeframe) * 1000
        self.begin_ms = begin_ms
        self._limit = limit
        self._series = {pair: Series(limit) for pair in history}
        self._longer = {
            key: _Longer(Series(limit), timeframe_to_seconds(key[1]) * 1000, key[1]) for key in longer
        }
        self._told = {pair: Series(limit) for pair in history}
        for key, frame in longer.items():
            whole = self._longer[key]
            for t_ms, values in _rows_of(frame):
                if t_ms + whole.step_ms <= begin_ms:
                    whole.series.add(t_ms, values)
        for pair, frame in history.items():
            for t_ms, values in _rows_of(frame):
                if t_ms < begin_ms:
                    self._append(pair, t_ms, values)

    @property
    def pairs(self) -> tuple[str, ...]:
        """All pairs it knows."""
        return tuple(self._series)

    @property
    def longer(self) -> tuple[tuple[str, str], ...]:
        """All pairs and longer timeframes it knows."""
        return tuple(self._longer)

    def count(self, pair: str) -> int:
        """How many candles of a pair are there."""
        return len(self._series[pair])

    def last_ms(self, pair: str) -> int:
        """When a pair's last candle opened; -1 without one."""
        return self._series[pair].last_ms

    def frame(self, pair: str, timeframe: str | None = None) -> DataFrame:
        """Return a pair's frame, of the run's timeframe or of a longer one."""
        if timeframe is None:
            return self._series[pair].frame()
        return self._longer[pair, timeframe].series.frame()

    def add(self, candle: Candle, now_ms: int) -> str:
        """Take a candle; says why it is none to trade on ("" if it is one, "repeated": it was here)."""
        series = self._series.get(candle.pair)
        if series is None:
            return "unknown"
        if not candle.is_sound or candle.t_ms % self.step_ms:
            return "unsound"
        if candle.t_ms + self.step_ms > now_ms:
            return "unfinished"
        last = series.last_ms
        if candle.t_ms <= last:
            return "repeated" if candle[1:] == series.last() else "conflict"
        missing = 0 if last < 0 else (candle.t_ms - last) // self.step_ms - 1
        if missing >= self._limit:
            self._clear(candle.pair)
        elif missing:
            close = series.last()[4]
            for n in range(1, missing + 1):
                # As freqtrade fills what it could not download: a candle in which nobody traded.
                self._tell(candle.pair, last + n * self.step_ms, (close, close, close, close, 0.0))
        self._tell(candle.pair, candle.t_ms, candle[2:])
        return "gap" if missing else ""

    def told(self) -> dict[str, str]:
        """Pack what was told since the begin of the run."""
        return {
            pair: base64.b85encode(zlib.compress(series.rows.tobytes(), 1)).decode()
            for pair, series in self._told.items()
            if len(series)
        }

    def take_told(self, told: Mapping[str, str]) -> None:
        """Take what `told` packed, behind the same history."""
        for pair, packed in told.items():
            rows = np.frombuffer(zlib.decompress(base64.b85decode(packed))).reshape(-1, 6)
            for row in rows:
                if pair in self._series and int(row[0]) > self._series[pair].last_ms:
                    self._tell(pair, int(row[0]), tuple(row[1:].tolist()))

    def _clear(self, pair: str) -> None:
        self._series[pair], self._told[pair] = Series(self._limit), Series(self._limit)
        for (of, _), longer in self._longer.items():
            if of == pair:
                longer.began, longer.values = -1, ()

    def _tell(self, pair: str, t_ms: int, values: tuple[float, ...]) -> None:
        self._told[pair].add(t_ms, values)
        self._append(pair, t_ms, values)

    def _append(self, pair: str, t_ms: int, values: tuple[float, ...]) -> None:
        self._series[pair].add(t_ms, values)
        for (of, _), longer in self._longer.items():
            if of == pair:
                longer.grow(t_ms, values, self.step_ms)


def floor_ms(timeframe: str, t_ms: int) -> int:
    """When the candle of a timeframe began that contains a time."""
    return int(timeframe_to_prev_date(timeframe, datetime.fromtimestamp(t_ms / 1000, UTC)).timestamp() * 1000)


def _rows_of(frame: DataFrame | None) -> list[tuple[int, tuple[float, ...]]]:
    if frame is None or frame.empty:
        return []
    dates = frame["date"].to_numpy(dtype="datetime64[ms]").astype(np.int64).tolist()
    values = frame[list(COLUMNS)].to_numpy(dtype=np.float64).tolist()
    return [(t, tuple(row)) for t, row in zip(dates, values, strict=True)]
