"""One instrument's order book, kept from a snapshot and the messages after it.

Problem: a book with one message missing looks as good as a right one and trades at prices that are gone. So
a book answers only while the venue's numbering proves that nothing is missing; else it is stale, says why,
answers nothing, and holds what comes until a snapshot joins it.

Not here: asking for snapshots and reading frames (the feed), how old a book may be (the feed knows the
clocks), whether its depth is enough (`parley.depth`).

Invariant: what a book answers is what the venue had at `last_id`, to the last digit; a stale, crossed or
never filled book has no top.
"""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, NamedTuple

import msgspec

from parley.messages import Book

from .grid import Grid
from .levels import ASK, BID, CROSSED, FINE, NO_ROOM, Levels, PlainLists, Storage, Whole
from .sequence import Rule, Verdict, judge

MOST_HELD: Final = 10_000

Level = tuple[int, int]
"""Price and size as whole numbers on the book's grid."""


Checksum = Callable[[Levels], int]
"""A venue's checksum of the levels, compared with the one its message carries."""


class Stale(StrEnum):
    """Why a book does not answer."""

    NO_SNAPSHOT = "no_snapshot"
    OLD_SNAPSHOT = "old_snapshot"
    GAP = "gap"
    CROSSED = "crossed"
    BAD_LEVEL = "bad_level"
    TOO_MANY_LEVELS = "too_many_levels"
    WRONG_CHECKSUM = "wrong_checksum"
    CONNECTION_LOST = "connection_lost"
    BAD_FRAME = "bad_frame"


class Outcome(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    OLD = "old"
    HELD = "held"
    DROPPED = "dropped"
    BROKE = "broke"


class Diff(msgspec.Struct, frozen=True, gc=False):
    """New sizes of levels, 0 removes one; ids as the venue counts them, `event_ms` its own time of it."""

    first_id: int
    final_id: int
    prev_id: int | None
    event_ms: int
    sides: Whole
    prices: Whole
    sizes: Whole
    checksum: int | None = None


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """All levels as they were at `last_id`."""

    last_id: int
    event_ms: int
    sides: Whole
    prices: Whole
    sizes: Whole
    checksum: int | None = None


class Reach(NamedTuple):
    """Taking a value from a book: base quantity, quote paid or got, and the worst price touched."""

    qty: Decimal
    cost: Decimal
    worst_px: Decimal


class OrderBook:
    """See the module. Messages of one stream in the order they came; not for use by two threads at once.

    Parameters
    ----------
    rule : how the venue numbers its messages.
    grid : decimals of prices and sizes.
    storage : where levels are kept; `PlainLists`, or `CompiledArrays` where numba is installed.
    keep : how many levels a side has at the venue, 0 for all; what falls behind them is removed.
    checksum : the venue's checksum of the levels; needed where the rule has no ids.
    """

    def __init__(
        self,
        rule: Rule,
        grid: Grid,
        *,
        storage: Storage | None = None,
        keep: int = 0,
        checksum: Checksum | None = None,
    ) -> None:
        if rule.link == "checksum" and checksum is None:
            raise ValueError("a book without message ids needs a checksum, else no gap would show")
        self.grid = grid
        self.stale: Stale | None = Stale.NO_SNAPSHOT
        self.last_id = -1
        self.event_ms = 0
        self.applied = 0
        self.old = 0
        self.breaks = 0
        self._rule = rule
        self._keep = keep
        self._checksum = checksum
        self._is_joined = False
        self._levels = Levels(storage or PlainLists())
        # The oldest are let go: what they would have joined is then a gap, which a later snapshot mends.
        self._held: deque[Diff] = deque(maxlen=MOST_HELD)

    def apply(self, diff: Diff) -> Outcome:
        """Take the next message of the stream."""
        if self.stale is not None:
            return self._hold(diff)
        verdict = judge(self._rule, self.last_id, self._is_joined, diff.first_id, diff.final_id, diff.prev_id)
        if verdict is Verdict.OLD:
            self.old += 1
            return Outcome.OLD
        if verdict is Verdict.GAP:
            self._break(Stale.GAP if self._is_joined else Stale.OLD_SNAPSHOT)
            self._hold(diff)
            return Outcome.BROKE
        fault = self._set(diff)
        if fault is not None:
            self._break(fault)
            return Outcome.BROKE
        self.last_id = diff.final_id
        self.event_ms = diff.event_ms
        self._is_joined = True
        self.applied += 1
        return Outcome.APPLIED

    def restore(self, snapshot: Snapshot) -> bool:
        """Begin anew from a snapshot and the held messages behind it; returns whether the book answers.

        A snapshot asked for on the side that is no newer than a book in order changes nothing.
        """
        is_in_stream = self._rule.snapshot == "in_stream"
        if not is_in_stream and self.stale is None and snapshot.last_id <= self.last_id:
            return True
        held, self._held = self._held, deque(maxlen=MOST_HELD)
        self._levels.clear()
        fault = self._set(snapshot)
        # A price that comes twice or a level of size 0 is no state a book can be in.
        if fault is None and self._levels.count(BID) + self._levels.count(ASK) != len(snapshot.prices):
            fault = Stale.BAD_LEVEL
        if fault is not None:
            self._break(fault)
            self._held = held
            return False
        self.stale = None
        self.last_id = snapshot.last_id
        self.event_ms = snapshot.event_ms
        self._is_joined = is_in_stream
        for diff in held:
            self.apply(diff)
        return self.stale is None

    def drop(self, reason: Stale) -> None:
        """Stop answering: the feed lost its connection, or could not read a frame."""
        self._break(reason)

    def best(self, side: Literal["bid", "ask"]) -> Level | None:
        """Return the best level of a side; None while stale or if the side is empty."""
        return None if self.stale is not None else self._levels.best(BID if side == "bid" else ASK)

    def top(self, side: Literal["bid", "ask"], most: int) -> list[Level]:
        """Return the best levels of a side, best first; empty while stale."""
        return [] if self.stale is not None else self._levels.top(BID if side == "bid" else ASK, most)

    def count(self, side: Literal["bid", "ask"]) -> int:
        """Return how many levels a side has; 0 while stale."""
        return 0 if self.stale is not None else self._levels.count(BID if side == "bid" else ASK)

    def message(self, symbol: str, t: int, most: int) -> Book | None:
        """Return the top as the desk sees it; None while stale or if a side is empty."""
        bids, asks = self.top("bid", most), self.top("ask", most)
        if not bids or not asks:
            return None
        floats = self.grid.floats
        return Book(
            symbol=symbol, t=t, seq=self.last_id,
            bids=tuple(floats(each) for each in bids), asks=tuple(floats(each) for each in asks),
        )  # fmt: skip

    def reach(self, side: Literal["buy", "sell"], notional: Decimal) -> Reach | None:
        """Take quote worth `notional` from the best level on; None while stale or if the side holds less.

        A buy takes asks and a sell bids. The quantity of the last level is cut down to the grid.
        """
        if not notional.is_finite() or notional <= 0:
            return None
        taken: Literal["bid", "ask"] = "ask" if side == "buy" else "bid"
        # Prices times sizes are whole numbers of this place.
        place = self.grid.price_decimals + self.grid.size_decimals
        wanted = int(notional.scaleb(place))
        qty = cost = worst = 0
        for price, size in self.top(taken, self.count(taken)):
            part = min(size, (wanted - cost) // price)
            if part:
                qty, cost, worst = qty + part, cost + part * price, price
            if part < size:
                break
        else:
            if cost < wanted:
                return None
        if not qty:
            return None
        return Reach(self.grid.size(qty), Decimal(cost).scaleb(-place), self.grid.price(worst))

    def _hold(self, diff: Diff) -> Outcome:
        # In a stream the snapshot comes before its messages: what is earlier belongs to another numbering.
        if self._rule.snapshot == "in_stream":
            return Outcome.DROPPED
        self._held.append(diff)
        return Outcome.HELD

    def _set(self, message: Diff | Snapshot) -> Stale | None:
        status = self._levels.apply(message.sides, message.prices, message.sizes)
        if status != FINE:
            return {CROSSED: Stale.CROSSED, NO_ROOM: Stale.TOO_MANY_LEVELS}.get(status, Stale.BAD_LEVEL)
        if self._keep:
            self._levels.trim(self._keep)
        if self._checksum is None:
            return None
        if message.checksum is None:
            is_needed = self._rule.link == "checksum" and isinstance(message, Diff)
            return Stale.WRONG_CHECKSUM if is_needed else None
        return None if self._checksum(self._levels) == message.checksum else Stale.WRONG_CHECKSUM

    def _break(self, reason: Stale) -> None:
        self.breaks += self.stale is None
        self.stale = reason
        self._is_joined = False
        self._levels.clear()
