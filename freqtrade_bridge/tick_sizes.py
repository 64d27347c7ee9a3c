"""The price step of each month, read from the candles as freqtrade reads it.

Problem: freqtrade's backtest rounds prices to the most decimals any price of the month showed, and finds them
by formatting every price of every candle as text: seconds for a year of 5m candles, more than the simulation.
Here the decimals are found by arithmetic and only prices that arithmetic cannot settle are formatted.

freqtrade also leaves its counts as columns of the candles, where a strategy finds them. Here they are kept in
a byte each and made into columns when a strategy looks.

Not here: what is rounded. Invariant: columns and result equal those of `get_tick_size_over_time`; a price has
d decimals when d is the least with ``round(price * 10**d) / 10**d == price`` exactly and the whole number has
at most 14 digits, for then the quotient is the float of that decimal and prints as it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy import format_float_positional
from pandas import DataFrame, Series

_PRICES: Final = ("open", "high", "low", "close")
_DIGITS: Final = 14
_MOST_DECIMALS: Final = 12
_FEW: Final = 500


@dataclass(frozen=True, slots=True)
class PriceDecimals:
    """How many decimals each price of a series has: int8[5, rows] of open, high, low, close and most, -1 for
    none."""

    counted: npt.NDArray[np.int8]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return freqtrade's columns of counts: whole numbers where every price has decimals."""
        whole = [bool((counts >= 0).all()) for counts in self.counted[:-1]]
        # The most is a maximum over columns, of floats as soon as one of them is.
        kinds = [*whole, all(whole)]
        return {
            f"{name}_count": counts.astype(np.int64) if is_whole else np.where(counts < 0, np.nan, counts)
            for name, counts, is_whole in zip((*_PRICES, "max"), self.counted, kinds, strict=True)
        }

    def steps(self, dates: Series) -> Series:
        """Return the price step by month."""
        most = self.counted[-1].astype(np.float64)
        most[most < 0] = np.nan
        by_month = Series(most, index=dates.array, name="max_count")
        by_month.index.name = "date"
        return 1 / 10 ** by_month.resample("MS").max()


def count_decimals(candles: DataFrame) -> PriceDecimals:
    """Count the decimals of a series' prices."""
    counts = [decimals(candles[name].to_numpy(dtype=np.float64)) for name in _PRICES]
    return PriceDecimals(np.nan_to_num([*counts, np.fmax.reduce(counts)], nan=-1).astype(np.int8))


def decimals(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Count the decimals of prices to 14 significant digits; NaN where there are none."""
    counted = _shifted_decimals(prices)
    if counted is not None:
        return counted
    counted = np.full(len(prices), np.nan)
    open_ = np.isfinite(prices)
    whole = open_ & (prices == np.rint(prices)) & (np.abs(prices) < 10.0**_DIGITS)
    open_ &= ~whole
    for count in range(1, _MOST_DECIMALS + 1):
        left = np.flatnonzero(open_)
        if not len(left):
            return counted
        scale = 10.0**count
        scaled = np.rint(prices[left] * scale)
        found = left[(scaled / scale == prices[left]) & (np.abs(scaled) < 10.0**_DIGITS)]
        counted[found] = count
        open_[found] = False
    for row in np.flatnonzero(open_):
        counted[row] = _printed_decimals(float(prices[row]))
    return counted


def _shifted_decimals(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Count by whole numbers, if few enough decimals do for every price; None if they do not."""
    if not len(prices) or not np.isfinite(prices).all():
        return None
    # The first few say how many the others have at least.
    most = _enough_decimals(prices[:_FEW], 1)
    most = most and _enough_decimals(prices, most)
    if not most:
        return None
    # With so many decimals a price is a whole number; each nought at its end is a decimal less.
    whole = np.rint(prices * 10.0**most)
    found = np.full(len(prices), float(most))
    left: npt.NDArray[np.int64] | slice = slice(None)
    for _ in range(most):
        tens = np.rint(whole * 0.1)
        places = np.flatnonzero(tens * 10.0 == whole)
        if not len(places):
            break
        left = places if isinstance(left, slice) else left[places]
        whole = tens[places]
        found[left] -= 1.0
    found[found == 0.0] = np.nan
    return found


def _enough_decimals(prices: npt.NDArray[np.float64], least: int) -> int:
    """How many decimals do for all of them, at least so many; 0 if arithmetic cannot say."""
    for count in range(least, _MOST_DECIMALS + 1):
        scale = 10.0**count
        scaled = np.rint(prices * scale)
        if not (np.abs(scaled) < 10.0**_DIGITS).all():
            return 0
        if (scaled / scale == prices).all():
            return count
    return 0


def _printed_decimals(price: float) -> float:
    text = format_float_positional(price, precision=_DIGITS, unique=False, fractional=False, trim="-")
    after = text.partition(".")[2].rstrip("0")
    return float(len(after)) if after else float("nan")


def as_steps(sizes: Series) -> tuple[tuple[int, float], ...]:
    """Return (valid from, ms UTC; step), months without a price left out."""
    known = sizes.dropna()
    stamps = pd.DatetimeIndex(known.index).as_unit("ms").asi8
    return tuple(zip((int(each) for each in stamps), (float(each) for each in known), strict=True))
