"""Analysed frames as the arrays a kernel reads: trimmed, with signals as bits, without copies where possible.

A column that is float64 already is used where it lies. Everything a kernel reads by address is kept alive by
the `PairCandles` it came from.

Invariant: row i of a pair trades on the signals of row i - 1; row 0 is only the signals of row 1.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, DatetimeTZDtype, Series

from parley.kernels.settings import SimulationSettings

SIGNALS = ("enter_long", "exit_long", "enter_short", "exit_short")


class PairCandles(NamedTuple):
    """One pair's candles after trimming."""

    dates: NDArray[np.int64]
    """ms UTC"""
    opens: NDArray[np.float64]
    highs: NDArray[np.float64]
    lows: NDArray[np.float64]
    closes: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]
    """The signal columns there are: float64, int64 or bytes."""
    offset: int
    """Where the trimmed part begins in the frame."""
    enter_tags: Any
    """The frame's column or None; looked up only where a trade was made."""
    exit_tags: Any


def milliseconds(dates: Series) -> NDArray[np.int64]:
    """A date column as int64 ms UTC."""
    dtype = dates.dtype
    values = dates.to_numpy(dtype=f"datetime64[{dtype.unit}]") if isinstance(dtype, DatetimeTZDtype) else None
    if values is None:
        values = dates.to_numpy(dtype="datetime64[ns]")
    whole = values.view(np.int64)
    unit = np.datetime_data(values.dtype)[0]
    if unit == "ms":
        return whole
    if unit == "s":
        return whole * 1000
    return whole // {"us": 1_000, "ns": 1_000_000}[unit]


def read(frames: Mapping[str, DataFrame], settings: SimulationSettings) -> dict[str, PairCandles]:
    """All pairs, in order; a pair with nothing left after trimming has empty arrays."""
    return {pair: _read(frame, settings) for pair, frame in frames.items()}


def read_detail(frames: Mapping[str, DataFrame]) -> dict[str, PairCandles]:
    """Candles of a detail timeframe: whole frames, no signals."""
    return {pair: _prices(frame, slice(0, len(frame))) for pair, frame in frames.items()}


def _read(frame: DataFrame, settings: SimulationSettings) -> PairCandles:
    dates = milliseconds(frame["date"])
    first = 0
    if settings.startup_candles:
        first = min(settings.startup_candles, len(dates))
    elif settings.start_ms is not None:
        first = int(np.searchsorted(dates, settings.start_ms, "left"))
    last = len(dates)
    if settings.stop_ms is not None:
        last = int(np.searchsorted(dates, settings.stop_ms, "right"))
    part = slice(first, max(first, last))
    return _prices(frame, part)._replace(
        columns={name: _signal(frame[name])[part] for name in SIGNALS if name in frame},
        enter_tags=frame.get("enter_tag"),
        exit_tags=frame.get("exit_tag"),
    )


def _prices(frame: DataFrame, part: slice) -> PairCandles:
    opens, highs, lows, closes = (_floats(frame[name])[part] for name in ("open", "high", "low", "close"))
    dates = milliseconds(frame["date"])[part]
    return PairCandles(dates, opens, highs, lows, closes, {}, part.start, None, None)


def _floats(column: Series) -> NDArray[np.float64]:
    values = column.to_numpy()
    if values.dtype != np.float64 or not values.flags.c_contiguous:
        values = np.ascontiguousarray(values, dtype=np.float64)
    return values


def _signal(column: Series) -> NDArray[Any]:
    """A signal column as one of the kinds a kernel reads."""
    values = column.to_numpy()
    if values.dtype == object:
        values = np.array([0 if v is None or v != v else v for v in values], dtype=np.float64)
    elif values.dtype == np.bool_:
        values = values.view(np.uint8)
    elif values.dtype not in (np.float64, np.int64, np.uint8):
        values = values.astype(np.float64)
    return values if values.flags.c_contiguous else np.ascontiguousarray(values)
