"""Recorded books of one instrument: read the messages or the best prices of a file, refuse what cannot be.

Problem: a row per level and message, floats, a recorder's clock that runs behind the exchange's, and a
snapshot between the messages it was asked for with. Rows become whole messages on the file's own grid of
decimals, in recorded order; a wrong row is one `CandleError` with file and row, as for candles and trades.

Not here: whether the messages join (`parley.books` judges that, gaps and repeats included), raw frames
(`book_frames`).

Invariant: every number given equals the recorded one exactly; times of the recorder are not compared with
those of the exchange.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from parley.books import ASK, BID, Diff, Grid, Snapshot
from venues.market_rules import Fault
from venues.recorded import CandleError, decimals_of, refuse

_NO_LEVEL = -1
_MESSAGE = ("seq", "is_snapshot", "first_id", "final_id", "prev_id", "event_ms")
_LEVELS = ("side", "price", "qty")
_TOPS = ("seq", "update_id", "bid", "bid_qty", "ask", "ask_qty")
# Files of spot markets may leave it out: nothing there names the message before.
_OPTIONAL = ("prev_id",)

Whole = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """Messages of one instrument in recorded order; ``changes`` counts their levels, snapshots included."""

    file: str
    grid: Grid
    messages: tuple[Diff | Snapshot, ...]
    changes: int


@dataclass(frozen=True, slots=True)
class RecordedTops:
    """Best prices and sizes after update ids, on a book's grid; all arrays have the same length."""

    file: str
    update_id: Whole
    bid: Whole
    bid_qty: Whole
    ask: Whole
    ask_qty: Whole

    def __len__(self) -> int:
        return len(self.update_id)


def load_book(path: str | Path) -> RecordedBook:
    """All messages of a file of levels."""
    file = Path(path)
    columns = _read(file, (*_MESSAGE, *_LEVELS), "book levels")
    for fault in _faults(columns):
        refuse(file, fault)
    grid = Grid(decimals_of(columns["price"]), decimals_of(columns["qty"]))
    price = _scaled(file, "price", columns["price"], grid.price_decimals)
    size = _scaled(file, "qty", columns["qty"], grid.size_decimals)
    return RecordedBook(
        str(file), grid, tuple(_messages(columns, price, size)), int((columns["side"] != _NO_LEVEL).sum())
    )


def load_tops(path: str | Path, grid: Grid) -> RecordedTops:
    """All best prices of a file, on the grid of the book they are compared with."""
    file = Path(path)
    columns = _read(file, _TOPS, "best prices")
    for name in _TOPS[2:]:
        column = columns[name]
        yours = ~(np.isfinite(column) & (column > 0))
        refuse(file, Fault("price", yours, column, f"expected {name} above 0"))
    refuse(file, Fault("crossed", columns["bid"] >= columns["ask"], columns["bid"], "expected bid below ask"))
    numbers = columns["update_id"]
    steps = np.diff(numbers, prepend=numbers[0] - 1)
    refuse(file, Fault("order", steps <= 0, numbers, "expected update ids that rise"))
    prices = {name: _scaled(file, name, columns[name], grid.price_decimals) for name in ("bid", "ask")}
    sizes = {name: _scaled(file, name, columns[name], grid.size_decimals) for name in ("bid_qty", "ask_qty")}
    return RecordedTops(str(file), numbers, **prices, **sizes)


def _read(path: Path, names: tuple[str, ...], what: str) -> Columns:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise CandleError(f"{path}: expected a Parquet file of {what}, it cannot be read: {error}") from error
    missing = [name for name in names if name not in table.column_names and name not in _OPTIONAL]
    if missing:
        raise CandleError(
            f"{path}: expected columns of {what}, {', '.join(missing)} are missing; "
            f"it has {', '.join(table.column_names)}"
        )
    if not table.num_rows:
        raise CandleError(f"{path}: expected {what}, the file has no rows")
    found: Columns = {}
    for name in names:
        if name not in table.column_names:
            found[name] = np.zeros(table.num_rows, np.int64)
            continue
        column = table[name]
        is_whole = name not in ("price", "qty", *_TOPS[2:])
        if not (pa.types.is_integer(column.type) if is_whole else pa.types.is_floating(column.type)):
            raise CandleError(f"{path}: expected numbers as {name}, it has {column.type}")
        if column.null_count:
            raise CandleError(
                f"{path}: expected a value of {name} in every row, {column.null_count} are empty"
            )
        # A copy, because what is read in place cannot be written to.
        found[name] = column.to_numpy().astype(np.int64 if is_whole else np.float64, copy=True)
    return found


def _faults(columns: Columns) -> Iterator[Fault]:
    side, price, size = columns["side"], columns["price"], columns["qty"]
    is_level = side != _NO_LEVEL
    known = np.isin(side, (BID, ASK, _NO_LEVEL))
    yield Fault("side", ~known, side, "expected side 0 (bid), 1 (ask) or -1 (no level)")
    yield Fault("price", is_level & ~(np.isfinite(price) & (price > 0)), price, "expected a price above 0")
    wrong = is_level & ~(np.isfinite(size) & (size >= 0))
    yield Fault("qty", wrong, size, "expected a quantity of at least 0")
    kind = columns["is_snapshot"]
    yield Fault("snapshot", ~np.isin(kind, (0, 1)), kind, "expected is_snapshot 0 or 1")
    seq = columns["seq"]
    steps = np.diff(seq, prepend=seq[0])
    yield Fault("order", steps < 0, seq, "expected seq in order")
    again = np.r_[False, steps[1:] == 0]
    for name in _MESSAGE[1:]:
        column = columns[name]
        differs = again & (np.diff(column, prepend=column[0]) != 0)
        yield Fault("conflict", differs, column, f"expected one {name} in all rows of a message")
    ids = columns["first_id"] > columns["final_id"]
    yield Fault("ids", ids, columns["first_id"], "expected first_id of at most final_id")
    empty = (kind == 1) & ~is_level
    yield Fault("snapshot", empty, side, "expected levels in a snapshot, side")


def _scaled(path: Path, name: str, values: npt.NDArray[np.float64], decimals: int) -> Whole:
    # A row without a level may have NaN there.
    plain = np.where(np.isfinite(values), values, 0.0)
    found = np.rint(plain * 10.0**decimals)
    # The quotient of two exact numbers is the float nearest to the decimal: equal means nothing was rounded.
    wrong = (np.abs(found) >= 2.0**53) | (found / 10.0**decimals != plain)
    refuse(path, Fault("grid", wrong, values, f"expected {name} with at most {decimals} decimals"))
    return found.astype(np.int64)


def _messages(columns: Columns, price: Whole, size: Whole) -> Iterator[Diff | Snapshot]:
    starts = np.flatnonzero(np.r_[True, np.diff(columns["seq"]) != 0])
    ends = np.r_[starts[1:], len(price)]
    heads = (columns[name][starts].tolist() for name in _MESSAGE[1:])
    side = columns["side"]
    for start, end, is_snapshot, first, final, prev, event_ms in zip(
        starts.tolist(), ends.tolist(), *heads, strict=True
    ):
        rows = slice(start, end)
        if end == start + 1 and side[start] == _NO_LEVEL:
            rows = slice(start, start)
        levels = side[rows], price[rows], size[rows]
        if is_snapshot:
            yield Snapshot(final, event_ms, *levels)
        else:
            yield Diff(first, final, prev or None, event_ms, *levels)
