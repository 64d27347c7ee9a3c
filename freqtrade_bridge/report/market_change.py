"""How the market as a whole moved: the file freqtrade writes beside a result, made in parts.

Problem: freqtrade joins the closing prices of all pairs several times over, which is more memory than the
candles take. Where all pairs have the same candles, rows can be looked at a few thousand at a time.

Not here: writing it (`files`). Invariant: every number is the one of
`freqtrade.data.metrics.combined_dataframes_with_rel_mean`, which is asked where pairs have different candles.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, cast

import numpy as np
from freqtrade.data import metrics
from pandas import DataFrame, DatetimeIndex, concat

_PART: Final = 8192


def market_change(candles: dict[str, DataFrame], start: datetime, end: datetime) -> DataFrame:
    """Return by date the mean of closing prices, the sum so far of mean changes, and how many pairs."""
    first, *others = [rows["date"] for rows in candles.values()]
    begin, stop = (int(first.searchsorted(moment)) for moment in (start, end))
    # A single row is added up in another order than many.
    if stop - begin < 2 or not first.is_monotonic_increasing or not all(map(first.equals, others)):
        return cast(DataFrame, metrics.combined_dataframes_with_rel_mean(candles, start, end))
    closes = {pair: rows["close"].to_numpy() for pair, rows in candles.items()}
    found = concat(list(_parts(closes, begin, stop)), ignore_index=True)
    found["rel_mean"] = found["rel_mean"].fillna(0).cumsum()
    return found.set_index(DatetimeIndex(first.iloc[begin:stop], name="date"))


def _parts(closes: dict[str, np.ndarray[Any, Any]], begin: int, stop: int) -> Iterator[DataFrame]:
    for at in range(begin, stop, _PART):
        # A change needs the price before it, but nothing from before the start.
        before = at > begin
        part = DataFrame(
            {pair: prices[at - before : min(at + _PART, stop)] for pair, prices in closes.items()}
        )
        changes = part.pct_change().mean(axis=1)
        yield DataFrame({"mean": part.mean(axis=1), "rel_mean": changes, "count": part.count(axis=1)}).iloc[
            int(before) :
        ]
