"""Join rows of one series that came in pieces, in whatever order.

Problem: pieces overlap, come twice, and now and then contradict each other. Equal rows are one row; two rows
with one key and other values are an error, because one of them is wrong and nobody here knows which.

Not here: files. Invariant: the result depends on the set of rows only, not on the order of the pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from parley.errors import DataError
from runtime.marketstore.series import TRADE_KINDS, Series
from runtime.marketstore.tables import times_ms

# What tells two trades of one id apart; the type of an order and the product are not always recorded.
_TRADE_VALUES: Final = ("timestamp", "side", "price", "amount")


@dataclass(frozen=True, slots=True)
class Merged:
    """All rows in order, and how many of the newcomers were not there before."""

    table: pa.Table
    added: int


def merge(series: Series, stored: pa.Table | None, new: pa.Table, source: str) -> Merged:
    """Add rows to those stored; `source` names where the new ones come from.

    Raises
    ------
    DataError
        When a new row contradicts a stored one.
    """
    if stored is None:
        return Merged(in_order(series, new), len(new))
    known = _keys(series, stored)
    keys = _keys(series, new)
    shared, at, in_new = np.intersect1d(known, keys, assume_unique=True, return_indices=True)
    _refuse_difference(series, stored.take(at), new.take(in_new), source)
    if len(shared) == len(keys):
        return Merged(stored, 0)
    fresh = np.ones(len(keys), dtype=bool)
    fresh[in_new] = False
    both = pa.concat_tables([stored, new.filter(pa.array(fresh))])
    return Merged(in_order(series, both), int(fresh.sum()))


def in_order(series: Series, table: pa.Table) -> pa.Table:
    """Sort by time; trades of one millisecond by id, shorter ids first, so that numbers sort as numbers."""
    times = times_ms(series, table)
    if series.kind not in TRADE_KINDS:
        if (np.diff(times) > 0).all():
            return table
        return table.take(np.argsort(times, kind="stable"))
    ids = _keys(series, table)
    order = np.lexsort((ids, np.char.str_len(ids), times))
    return table if (order == np.arange(len(order))).all() else table.take(order)


def _keys(series: Series, table: pa.Table) -> npt.NDArray[Any]:
    if series.kind in TRADE_KINDS:
        return np.asarray(table["id"].to_pylist(), dtype=np.str_)
    return times_ms(series, table)


def _refuse_difference(series: Series, stored: pa.Table, new: pa.Table, source: str) -> None:
    names = _TRADE_VALUES if series.kind in TRADE_KINDS else tuple(stored.column_names[1:])
    for name in names:
        left, right = np.asarray(stored[name]), np.asarray(new[name])
        differs = left != right
        if differs.any():
            row = int(np.argmax(differs))
            at = datetime.fromtimestamp(int(times_ms(series, stored)[row]) / 1000, UTC)
            raise DataError(
                f"{source}: expected what is stored already for {series} at {at:%Y-%m-%d %H:%M:%S}: {name} "
                f"{left.tolist()[row]!r}, got {right.tolist()[row]!r}"
            )
