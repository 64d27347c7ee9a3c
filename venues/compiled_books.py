"""The cores of order books as machine code, on arrays; import it only where numba is installed.

Problem: the same few lines must run several times as fast where many books are followed. numba compiles
`parley.books.levels.apply_changes` and `venues.level_texts.read_pairs` as they stand, at the first message of
the first book (about a second each), and keeps the code on disk.

Not here: semantics; pure packages do not load numba, so this is handed to a book and to readers of frames.
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numba
import numpy as np

from parley.books import ASK, BID, Grid, Whole
from parley.books.levels import WIDTH, Room, apply_changes, first_marks
from venues.level_texts import NOT_SIMPLE, SHORTEST_PAIR, Columns, read_pairs, read_plain

_apply_nb: Any = numba.njit(cache=True, nogil=True)(apply_changes)
_read_pairs_nb: Any = numba.njit(cache=True, nogil=True)(read_pairs)


class CompiledArrays:
    """numpy's arrays of 64-bit numbers and the compiled core."""

    def make(self, blocks: int) -> Room:
        rows = np.zeros((blocks, WIDTH), np.int64), np.zeros((blocks, WIDTH), np.int64)
        parts = (np.array(part, np.int64) for part in first_marks(blocks))
        return Room(*cast(Any, (*rows, np.zeros(blocks, np.int64), *parts)))

    def whole(self, numbers: Whole) -> Sequence[int] | None:
        # One layout, because numba compiles anew for each.
        array = np.ascontiguousarray(numbers)
        if not len(array):
            array = array.astype(np.int64)
        # A list with a number of more than 64 bits becomes another kind of array.
        return cast(Sequence[int], array) if array.dtype == np.int64 else None

    def apply(self, room: Room, sides: Sequence[int], prices: Sequence[int], amounts: Sequence[int]) -> int:
        return int(_apply_nb(*room, sides, prices, amounts))


def read_compiled(bids: msgspec.Raw, asks: msgspec.Raw, grid: Grid) -> Columns:
    """Read the levels of a message; see `venues.level_texts.ReadLevels`."""
    of_bids, of_asks = np.frombuffer(bids, np.uint8), np.frombuffer(asks, np.uint8)
    room = (len(of_bids) + len(of_asks)) // SHORTEST_PAIR + 1
    prices, sizes = np.empty(room, np.int64), np.empty(room, np.int64)
    decimals = grid.price_decimals, grid.size_decimals
    middle = _read_pairs_nb(of_bids, decimals, 0, prices, sizes)
    end = NOT_SIMPLE if middle < 0 else _read_pairs_nb(of_asks, decimals, middle, prices, sizes)
    if end < 0:
        return read_plain(bids, asks, grid)
    sides = np.full(end, ASK, np.int64)
    sides[:middle] = BID
    return sides, prices[:end], sizes[:end]
