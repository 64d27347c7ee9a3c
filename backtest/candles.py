"""Analysed frames as the arrays a kernel reads: trimmed, with signals as bits, without copies where possible.

A column that is float64 already is used where it lies. Everything a kernel reads by address is kept alive by
the `PairCandles` it came from.

Invariant: row i of a pair trades on the signals of row i - 1; row 0 is only the signals of row 1.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import NA, DataFrame, DatetimeTZDtype

from backtest.errors import SimulationError
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
    """The frame's column (an array of pandas or numpy) or None; looked up only where a trade was made."""
    exit_tags: Any


def milliseconds(dates: Any) -> NDArray[np.int64]:
    """A date column as int64 ms UTC."""
    dtype = dates.dtype
    zoned = isinstance(dtype, DatetimeTZDtype)
    values = np.asarray(dates, dtype=f"datetime64[{dtype.unit}]" if zoned else "datetime64[ns]")
    whole = values.view(np.int64)
    unit = np.datetime_data(values.dtype)[0]
    if unit == "ms":
        return whole
    if unit == "s":
        return whole * 1000
    return whole // {"us": 1_000, "ns": 1_000_000}[unit]


def read(frames: Mapping[str, DataFrame], settings: SimulationSettings) -> dict[str, PairCandles]:
    """All pairs, in order; a pair with nothing left after trimming has empty arrays.

    Raises
    ------
    SimulationError
        When a signal is neither equal to 1 nor different from it, such as a list of numpy's.
    """
    found: dict[str, PairCandles] = {}
    for pair, frame in frames.items():
        try:
            found[pair] = _read(frame, settings)
        except (TypeError, ValueError) as error:
            raise SimulationError(f"{pair}: {_wrong_signal(frame) or error}") from error
    return found


def _wrong_signal(frame: DataFrame) -> str | None:
    for name in SIGNALS:
        for row, value in enumerate(frame[name].to_numpy(dtype=object)) if name in frame.columns else ():
            try:
                _told_by(value)
            except (TypeError, ValueError):
                return f"the column {name!r} must hold 1 or 0, row {row + 1} has {value!r:.80}"
    return None


def read_detail(frames: Mapping[str, DataFrame]) -> dict[str, PairCandles]:
    """Candles of a detail timeframe: whole frames, no signals."""
    return {
        pair: _cut(frame, milliseconds(_column(frame, "date")), slice(0, len(frame)), (), None, None)
        for pair, frame in frames.items()
    }


def _column(frame: DataFrame, name: str) -> Any:
    """A column's values where they lie, to be read only.

    `frame[name]` makes a Series of them and costs ten times as much: of 264 pairs a third of the whole
    simulation. This is how pandas itself reads a column; it asks not to write, and nobody here does.
    """
    return frame._get_column_array(frame.columns.get_loc(name))


def _read(frame: DataFrame, settings: SimulationSettings) -> PairCandles:
    dates = milliseconds(_column(frame, "date"))
    first = 0
    if settings.startup_candles:
        first = min(settings.startup_candles, len(dates))
    elif settings.start_ms is not None:
        first = int(np.searchsorted(dates, settings.start_ms, "left"))
    last = len(dates)
    if settings.stop_ms is not None:
        last = int(np.searchsorted(dates, settings.stop_ms, "right"))
    names = frame.columns
    return _cut(
        frame,
        dates,
        slice(first, max(first, last)),
        tuple(name for name in SIGNALS if name in names),
        *(_column(frame, name) if name in names else None for name in ("enter_tag", "exit_tag")),
    )


def _cut(
    frame: DataFrame,
    dates: NDArray[np.int64],
    part: slice,
    signals: tuple[str, ...],
    enter_tags: Any,
    exit_tags: Any,
) -> PairCandles:
    return PairCandles(
        dates[part],
        _floats(_column(frame, "open"))[part],
        _floats(_column(frame, "high"))[part],
        _floats(_column(frame, "low"))[part],
        _floats(_column(frame, "close"))[part],
        {name: _signal(_column(frame, name))[part] for name in signals},
        part.start,
        enter_tags,
        exit_tags,
    )


def _floats(column: Any) -> NDArray[np.float64]:
    values = np.asarray(column)
    if values.dtype != np.float64 or not values.flags.c_contiguous:
        values = np.ascontiguousarray(values, dtype=np.float64)
    return values


def _told_by(value: Any) -> float:
    """What freqtrade asks of a signal, be it a number, a text or nothing: is it 1, and is it true."""
    # Before it looks, every missing value is made 0.
    if value is None or value is NA or value != value:
        return 0.0
    if value == 1:
        return 1.0
    return 2.0 if value else 0.0


def _signal(column: Any) -> NDArray[Any]:
    """A signal column as one of the kinds a kernel reads."""
    values = np.asarray(column)
    if values.dtype == object:
        values = np.array([_told_by(value) for value in values], dtype=np.float64)
    elif values.dtype == np.bool_:
        values = values.view(np.uint8)
    elif values.dtype not in (np.float64, np.int64, np.uint8):
        values = values.astype(np.float64)
    return values if values.flags.c_contiguous else np.ascontiguousarray(values)
