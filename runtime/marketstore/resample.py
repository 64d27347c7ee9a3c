"""Make candles of a longer timeframe out of shorter ones, or out of trades.

The rules are those of freqtrade and of every venue: first open, highest high, lowest low, last close, sum of
volumes; a bucket without rows gives no candle; days begin at 00:00 UTC and weeks on Monday. Volumes are
decimal numbers, so they are added as such where float64 can hold them, and exactly rounded otherwise.

Not here: reading and writing. Invariant: a candle made here has all of its bucket's rows; buckets at both
ends that the rows do not cover are left out and counted, when the rows are candles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from parley.errors import UserError
from runtime.marketstore.series import Series
from runtime.marketstore.tables import candle_table
from venues.market_rules import CANDLE_VALUES, origin_ms
from venues.recorded import decimals_of, timeframe_ms

_EXACT: Final = 2**53


@dataclass(frozen=True, slots=True)
class Resampled:
    """Candles; ``cut`` incomplete ones at the ends were left out, ``thin`` inner ones lack some rows."""

    table: pa.Table
    cut: int
    thin: int


def resample(series: Series, table: pa.Table, timeframe: str) -> Resampled:
    """Turn candles of a series into longer ones.

    Raises
    ------
    UserError
        When the timeframe is not a multiple of the series' own.
    """
    if not fits(series, timeframe):
        raise UserError(f"{timeframe} candles cannot be made of {series.timeframe} ones")
    step, longer = series.step_ms, timeframe_ms(timeframe)
    dates = table["date"].cast(pa.int64()).to_numpy()
    opened, high, low, close, volume = (table[name].to_numpy() for name in CANDLE_VALUES)
    opens, first, counts = _buckets(dates, timeframe, longer)
    last = first + counts - 1
    values = [
        opened[first], np.maximum.reduceat(high, first), np.minimum.reduceat(low, first), close[last],
        _sums(volume, first),
    ]  # fmt: skip
    whole = np.ones(len(opens), dtype=bool)
    whole[0] &= dates[0] == opens[0]
    whole[-1] &= dates[-1] + step == opens[-1] + longer
    thin = int((counts[whole] * step != longer).sum())
    return Resampled(
        candle_table(opens[whole], [column[whole] for column in values]), int((~whole).sum()), thin
    )


def fits(series: Series, timeframe: str) -> bool:
    """Do candles of the timeframe begin and end where candles of the series do?"""
    step, longer = series.step_ms, timeframe_ms(timeframe)
    shift = origin_ms(timeframe) - origin_ms(series.timeframe)
    return longer >= step and longer % step == 0 and shift % step == 0


def candles_of_trades(table: pa.Table, timeframe: str) -> pa.Table:
    """Turn trades in order into candles; the last may lack trades that came after the recording."""
    opens, first, counts = _buckets(table["timestamp"].to_numpy(), timeframe, timeframe_ms(timeframe))
    price, amount = table["price"].to_numpy(), table["amount"].to_numpy()
    return candle_table(
        opens,
        [
            price[first], np.maximum.reduceat(price, first), np.minimum.reduceat(price, first),
            price[first + counts - 1], _sums(amount, first),
        ],
    )  # fmt: skip


def _buckets(
    times: npt.NDArray[np.int64], timeframe: str, length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    origin = origin_ms(timeframe)
    opens, first, counts = np.unique(
        (times - origin) // length * length + origin, return_index=True, return_counts=True
    )
    return opens, first, counts


def _sums(values: npt.NDArray[np.float64], first: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    scale = 10.0 ** decimals_of(values)
    units = np.rint(values * scale)
    largest = float(np.abs(units).max(initial=0.0))
    # `decimals_of` stops at eight decimals: what has more is no decimal number of ours.
    if largest * len(values) < _EXACT and bool((units / scale == values).all()):
        return np.asarray(np.add.reduceat(units.astype(np.int64), first) / scale, dtype=np.float64)
    return np.asarray([math.fsum(part.tolist()) for part in np.split(values, first[1:])], dtype=np.float64)
