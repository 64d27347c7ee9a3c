"""Recorded candles of several symbols as moments of one clock.

Problem: symbols begin at different times and have gaps; a backtest needs, for every moment, which candles
have closed by then and which begin. A closed candle is public; of one that begins only the opening price is.

Not here: reading files (`venues.recorded`), what the moments are for (`backtest.event`).

Invariant: every candle begins once and closes once, at its open time plus its length; moments rise.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from venues.sim.exchange import Candle

_MS = 1_000_000
_AT_A_TIME = 1024


class Course(NamedTuple):
    """Candles of one symbol, all arrays of one length: open times in ms UTC rising, prices and volumes."""

    dates_ms: NDArray[np.int64]
    opens: NDArray[np.float64]
    highs: NDArray[np.float64]
    lows: NDArray[np.float64]
    closes: NDArray[np.float64]
    volumes: NDArray[np.float64]


class Moment(NamedTuple):
    """``t`` market ns; symbols sorted: the candles that close then and those that begin."""

    t: int
    closed: Mapping[str, Candle]
    begun: Mapping[str, Candle]


def moments(courses: Mapping[str, Course], length_ms: int) -> Iterator[Moment]:
    """Yield the moments at which candles begin or close, the last one's close included.

    length_ms: of a candle; open times of a symbol are at least that far apart.
    """
    times = np.unique(np.concatenate([_times(each.dates_ms, length_ms) for each in courses.values()]))
    rows = {symbol: _candles(courses[symbol]) for symbol in sorted(courses)}
    following = {symbol: next(candles, None) for symbol, candles in rows.items()}
    running: dict[str, Candle] = {}
    length_ns = length_ms * _MS
    for time_ms in times.tolist():
        t = time_ms * _MS
        closed = {symbol: candle for symbol, candle in running.items() if candle.t_open + length_ns == t}
        begun = {}
        for symbol, candle in following.items():
            if candle is not None and candle.t_open == t:
                begun[symbol] = candle
        for symbol in begun:
            following[symbol] = next(rows[symbol], None)
        running = begun if len(closed) == len(running) else _still(running, closed) | begun
        yield Moment(t, closed, begun)


def moment_count(courses: Mapping[str, Course], length_ms: int) -> int:
    """How many moments there are."""
    return len(np.unique(np.concatenate([_times(each.dates_ms, length_ms) for each in courses.values()])))


def _still(running: Mapping[str, Candle], closed: Mapping[str, Candle]) -> dict[str, Candle]:
    return {symbol: candle for symbol, candle in running.items() if symbol not in closed}


def _times(dates_ms: NDArray[np.int64], length_ms: int) -> NDArray[np.int64]:
    return np.union1d(dates_ms, dates_ms + length_ms)


def _candles(course: Course) -> Iterator[Candle]:
    columns = (course.dates_ms * _MS, *course[1:])
    # Some at a time: a million of them, of a year, would be a hundred megabytes that nobody looks at.
    for begin in range(0, len(course.dates_ms), _AT_A_TIME):
        part = (column[begin : begin + _AT_A_TIME].tolist() for column in columns)
        yield from map(Candle._make, zip(*part, strict=True))
