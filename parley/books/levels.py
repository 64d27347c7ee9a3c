"""The price levels of one book: the core that applies changes, and the room they are kept in.

Problem: hundreds of thousands of changes come in a minute, many of them thousands of levels deep, and a
float that drifts leaves a level behind that no removal finds. So levels are sorted whole numbers in small
blocks, and a change moves at most one block's numbers.

Not here: which message may be applied (`sequence`), what a book says of itself (`book`), the same core as
machine code (`venues.compiled_books`).

Invariant: on each side the keys rise strictly from block to block, every size is above 0, only a side's
single block may be empty, and after FINE the best bid is below the best ask. `apply_changes` is the only
semantics; `venues.compiled_books` runs this very function.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

BID: Final = 0
ASK: Final = 1
FINE: Final = 0
BAD_LEVEL: Final = 1
CROSSED: Final = 2
NO_ROOM: Final = 3
LARGEST: Final = 1 << 62
# Of 32, 64 and 128 the fastest on the recorded books, compiled and not.
WIDTH: Final = 64
HALF: Final = WIDTH // 2
FIRST_BLOCKS: Final = 64
# Half a million levels: no venue's book, so a feed that sends them is broken.
MOST_BLOCKS: Final = 16_384

# Places in `Room.marks`; 0 and 1 are the blocks in use on the bid and the ask side, 2 and 3 their levels.
FREE: Final = 4
NEXT: Final = 5

Whole = Sequence[int] | npt.NDArray[np.int64]
"""Whole numbers, one per change."""


class Room(NamedTuple):
    """Where the levels of both sides are: blocks of `WIDTH`, and which blocks a side uses in which order.

    ``keys`` and ``sizes`` are [blocks, WIDTH], ``fill`` counts a block's levels, ``order`` [2, blocks] names
    a side's blocks from worst to best, ``spare`` names those that nobody uses.
    """

    keys: list[list[int]]
    sizes: list[list[int]]
    fill: list[int]
    order: list[list[int]]
    spare: list[int]
    marks: list[int]


def apply_changes(
    keys: list[list[int]],
    sizes: list[list[int]],
    fill: list[int],
    order: list[list[int]],
    spare: list[int],
    marks: list[int],
    sides: Sequence[int],
    prices: Sequence[int],
    amounts: Sequence[int],
) -> int:
    """Set the levels of one message: FINE, BAD_LEVEL or CROSSED; NO_ROOM goes on at `marks[NEXT]`.

    A key is the price of a bid and minus the price of an ask, so that the best level is the last on both
    sides. An amount of 0 removes the level; removing one that is not there is no fault.
    """
    for at in range(marks[NEXT], len(prices)):
        side, price, amount = sides[at], prices[at], amounts[at]
        if side < 0 or side > 1 or price <= 0 or price > LARGEST or amount < 0 or amount > LARGEST:
            return BAD_LEVEL
        key = price if side == 0 else -price
        line, blocks = order[side], marks[side]
        low, high = 1, blocks
        while low < high:
            middle = (low + high) // 2
            if keys[line[middle]][0] <= key:
                low = middle + 1
            else:
                high = middle
        place = low - 1
        block = line[place]
        row, held, used = keys[block], sizes[block], fill[block]
        low, high = 0, used
        while low < high:
            middle = (low + high) // 2
            if row[middle] < key:
                low = middle + 1
            else:
                high = middle
        if low < used and row[low] == key:
            if amount > 0:
                held[low] = amount
                continue
            row[low : used - 1] = row[low + 1 : used]
            held[low : used - 1] = held[low + 1 : used]
            fill[block] = used - 1
            marks[2 + side] -= 1
            if used == 1 and blocks > 1:
                line[place : blocks - 1] = line[place + 1 : blocks]
                marks[side] = blocks - 1
                spare[marks[FREE]] = block
                marks[FREE] += 1
        elif amount > 0:
            if used == WIDTH:
                if marks[FREE] == 0:
                    marks[NEXT] = at
                    return NO_ROOM
                marks[FREE] -= 1
                fresh = spare[marks[FREE]]
                keys[fresh][:HALF] = row[HALF:]
                sizes[fresh][:HALF] = held[HALF:]
                fill[block], fill[fresh], used = HALF, HALF, HALF
                line[place + 2 : blocks + 1] = line[place + 1 : blocks]
                line[place + 1] = fresh
                marks[side] = blocks + 1
                if low > HALF:
                    block, low = fresh, low - HALF
                    row, held = keys[block], sizes[block]
            row[low + 1 : used + 1] = row[low:used]
            held[low + 1 : used + 1] = held[low:used]
            row[low], held[low] = key, amount
            fill[block] = used + 1
            marks[2 + side] += 1
    marks[NEXT] = 0
    if marks[2] == 0 or marks[3] == 0:
        return FINE
    bids, asks = order[0][marks[0] - 1], order[1][marks[1] - 1]
    return FINE if keys[bids][fill[bids] - 1] < -keys[asks][fill[asks] - 1] else CROSSED


class Storage(Protocol):
    """What a room is made of, and the core that works on it."""

    def make(self, blocks: int) -> Room:
        """Return an empty room."""

    def whole(self, numbers: Whole) -> Sequence[int] | None:
        """Return numbers as the core takes them; None if they are not all whole numbers of 64 bits."""

    def apply(self, room: Room, sides: Sequence[int], prices: Sequence[int], amounts: Sequence[int]) -> int:
        """Run `apply_changes`."""


def first_marks(blocks: int) -> tuple[list[list[int]], list[int], list[int]]:
    """Return `order`, `spare` and `marks` of an empty room: each side has one empty block."""
    rest = [0] * (blocks - 1)
    return [[0, *rest], [1, *rest]], [*range(2, blocks), 0, 0], [1, 1, 0, 0, blocks - 2, 0]


class PlainLists:
    """Python's lists and whole numbers; needs nothing but Python."""

    def make(self, blocks: int) -> Room:
        order, spare, marks = first_marks(blocks)
        rows = ([[0] * WIDTH for _ in range(blocks)] for _ in range(2))
        return Room(next(rows), next(rows), [0] * blocks, order, spare, marks)

    def whole(self, numbers: Whole) -> Sequence[int] | None:
        if isinstance(numbers, np.ndarray):
            plain: list[int] = numbers.tolist()
            return plain if numbers.dtype == np.int64 or not plain else None
        return numbers if all(type(each) is int for each in numbers) else None

    def apply(self, room: Room, sides: Sequence[int], prices: Sequence[int], amounts: Sequence[int]) -> int:
        return apply_changes(*room, sides, prices, amounts)


class Levels:
    """Both sides of a book as whole numbers; not safe to read after a status other than FINE."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._room = storage.make(FIRST_BLOCKS)

    def clear(self) -> None:
        """Forget every level; the room stays as large as it was."""
        order, spare, marks = first_marks(len(self._room.fill))
        room = self._room
        room.fill[0], room.fill[1] = 0, 0
        for side in (BID, ASK):
            room.order[side][:] = order[side]
        room.spare[:] = spare
        room.marks[:] = marks

    def apply(self, sides: Whole, prices: Whole, amounts: Whole) -> int:
        """Set the levels of one message; anything but FINE leaves levels that must be cleared."""
        storage = self._storage
        of_sides, of_prices, of_amounts = storage.whole(sides), storage.whole(prices), storage.whole(amounts)
        if of_sides is None or of_prices is None or of_amounts is None:
            return BAD_LEVEL
        if not len(of_sides) == len(of_prices) == len(of_amounts):
            return BAD_LEVEL
        status = storage.apply(self._room, of_sides, of_prices, of_amounts)
        while status == NO_ROOM and len(self._room.fill) < MOST_BLOCKS:
            self._grow()
            status = storage.apply(self._room, of_sides, of_prices, of_amounts)
        return status

    def count(self, side: int) -> int:
        """Return how many levels a side has."""
        return int(self._room.marks[2 + side])

    def best(self, side: int) -> tuple[int, int] | None:
        """Return price and size of the best level of a side; None if it has none."""
        keys, sizes, fill, order, _, marks = self._room
        block = order[side][marks[side] - 1]
        last = fill[block] - 1
        if last < 0:
            return None
        return abs(int(keys[block][last])), int(sizes[block][last])

    def top(self, side: int, most: int) -> list[tuple[int, int]]:
        """Return price and size of the best levels, best first."""
        keys, sizes, fill, order, _, marks = self._room
        found: list[tuple[int, int]] = []
        for place in range(marks[side] - 1, -1, -1):
            block = order[side][place]
            for at in range(fill[block] - 1, -1, -1):
                if len(found) >= most:
                    return found
                found.append((abs(int(keys[block][at])), int(sizes[block][at])))
        return found

    def trim(self, most: int) -> None:
        """Remove what lies behind the best levels, as venues do that send no removal for it."""
        for side in (BID, ASK):
            if self.count(side) > most:
                behind = [price for price, _ in self.top(side, self.count(side))[most:]]
                self.apply([side] * len(behind), behind, [0] * len(behind))

    def _grow(self) -> None:
        old, count = self._room, len(self._room.fill)
        room = self._storage.make(2 * count)
        room.keys[:count], room.sizes[:count], room.fill[:count] = old.keys, old.sizes, old.fill
        for side in (BID, ASK):
            room.order[side][:count] = old.order[side]
        free = int(old.marks[FREE])
        room.spare[:free] = old.spare[:free]
        room.spare[free : free + count] = list(range(count, 2 * count))
        room.marks[:] = old.marks
        room.marks[FREE] = free + count
        self._room = room
