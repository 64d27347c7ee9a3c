"""What recorded market data must look like: one rule after the other, as masks over rows.

Problem: a reader stops at the first wrong row, `parley data check` wants every wrong row with its place; if
each had rules of its own, one would pass what the other refuses. So the rules are here, and a fault is a
mask with a code and a text.

Not here: reading files, and what to do about a fault. Invariant: a row that no rule marks can be traded on;
the codes are those `parley data check` prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

CANDLE_VALUES = ("open", "high", "low", "close", "volume")
WEEK_ORIGIN_MS = 4 * 86_400_000  # 1970-01-05 was a Monday
# So many candles, all a multiple of a longer timeframe apart, are of that timeframe and not full of gaps.
_ENOUGH_FOR_A_TIMEFRAME = 30


class Fault(NamedTuple):
    """Rows that break one rule; ``shown`` holds for every row what a message names."""

    code: str
    rows: Mask
    shown: npt.NDArray[Any]
    expected: str


def value_faults(values: Sequence[Numbers]) -> Iterator[Fault]:
    """Judge open, high, low, close and volume of candles, in that order."""
    opened, high, low, close, volume = values
    for name, column in zip(CANDLE_VALUES, values, strict=True):
        yield Fault("nan", ~np.isfinite(column), column, f"expected a finite number as {name}")
    for name, column in zip(CANDLE_VALUES[:4], values[:4], strict=True):
        yield Fault("price", column <= 0, column, f"expected {name} above 0")
    yield Fault("volume", volume < 0, volume, "expected volume of at least 0")
    yield Fault("ohlc", high < np.maximum(opened, close), high, "expected high of at least open and close")
    yield Fault("ohlc", low > np.minimum(opened, close), low, "expected low of at most open and close")


def time_faults(dates: Times, values: Sequence[Numbers]) -> Iterator[Fault]:
    """Judge the order of times, and rows of the same time as the row before."""
    steps = np.diff(dates, prepend=dates[0] - 1)
    yield Fault("order", steps < 0, dates, "expected open times in order")
    again = steps == 0
    differs = np.zeros(len(dates), dtype=bool)
    for column in values:
        differs[1:] |= column[1:] != column[:-1]
    yield Fault(
        "conflict", again & differs, dates,
        "expected one candle per open time, this one contradicts the row before",
    )  # fmt: skip


def repeated(dates: Times) -> Mask:
    """Mark rows with the time of the row before; of rows that `time_faults` passed, these are identical."""
    return np.diff(dates, prepend=dates[0] - 1) == 0


def grid_fault(dates: Times, timeframe: str, step_ms: int) -> Fault:
    """Judge whether open times are multiples of the timeframe; weeks open on Monday."""
    off = (dates - origin_ms(timeframe)) % step_ms != 0
    return Fault("timeframe", off, dates, f"expected open times on the {timeframe} grid")


def longer_step_ms(dates: Times, step_ms: int) -> int | None:
    """Return the step of candles that are all of a longer timeframe, such as 5m in a file named 1m."""
    steps = np.diff(dates)
    if np.count_nonzero(steps) < _ENOUGH_FOR_A_TIMEFRAME:
        return None
    common = int(np.gcd.reduce(steps))
    return common if common > step_ms and common % step_ms == 0 else None


def distinct(dates: Times) -> Times:
    """Return every time once, in order."""
    return dates if bool((np.diff(dates) > 0).all()) else np.unique(dates)


def origin_ms(timeframe: str) -> int:
    """Return a moment at which a candle of the timeframe opens."""
    return WEEK_ORIGIN_MS if timeframe.endswith("w") else 0


def trade_faults(columns: Mapping[str, npt.NDArray[Any]]) -> Iterator[Fault]:
    """Judge trades: `time` ms, `id` text, `price`, `quantity`, `maker` (the buyer was)."""
    for name in ("price", "quantity"):
        values = columns[name]
        yield Fault("nan", ~np.isfinite(values), values, f"expected a finite {name} above 0")
        code = "price" if name == "price" else "volume"
        yield Fault(code, values <= 0, values, f"expected a finite {name} above 0")
    time_ms = columns["time"]
    yield Fault(
        "order", np.diff(time_ms, prepend=time_ms[0]) < 0, time_ms, "expected trades in order of time"
    )
    original = first_of_id(columns["id"])
    differs = np.zeros(len(original), dtype=bool)
    for name in ("time", "price", "quantity", "maker"):
        differs |= columns[name] != columns[name][original]
    yield Fault(
        "conflict", differs, columns["id"], "expected one trade per id, this one contradicts an earlier row"
    )


def first_of_id(ids: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return for every row the first row of the same id."""
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.intp)


def funding_faults(dates: Times, rates: Numbers) -> Iterator[Fault]:
    """Judge settlements: a rate is a fraction per settlement, of either sign."""
    yield Fault("nan", ~np.isfinite(rates), rates, "expected a finite number as funding_rate")
    yield Fault("rate", np.abs(rates) >= 1, rates, "expected a funding_rate between -1 and 1")
    yield from time_faults(dates, [rates])
