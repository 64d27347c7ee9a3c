"""Messages of order books for tests, and every storage that a book can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from parley.books import ASK, BID, RULES, Diff, Grid, OrderBook, PlainLists, Snapshot, Storage
from venues.compiled_books import CompiledArrays

Sides = Mapping[int, int]

STORAGES: dict[str, Callable[[], Storage]] = {"plain": PlainLists, "compiled": CompiledArrays}
GRID = Grid(2, 3)
NO_LEVELS: Sides = MappingProxyType({})


def _levels(bids: Sides, asks: Sides) -> tuple[list[int], list[int], list[int]]:
    rows = [(BID, *each) for each in bids.items()] + [(ASK, *each) for each in asks.items()]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def make_diff(
    first: int, final: int | None = None, *, prev: int | None = None, bids: Sides = NO_LEVELS,
    asks: Sides = NO_LEVELS,
    checksum: int | None = None,
) -> Diff:  # fmt: skip
    """Build a message of sizes by price; without `final` it is one change long."""
    last = first if final is None else final
    return Diff(first, last, prev, last * 10, *_levels(bids, asks), checksum)


def make_snapshot(last_id: int, bids: Sides, asks: Sides) -> Snapshot:
    """Build a snapshot of sizes by price."""
    return Snapshot(last_id, last_id * 10, *_levels(bids, asks))


def make_book(storage: str = "plain", venue: str = "binance", **over: object) -> OrderBook:
    """Build a book of a venue that has no snapshot yet."""
    return OrderBook(RULES[venue], GRID, storage=STORAGES[storage](), **over)  # type: ignore[arg-type]


def live_book(storage: str = "plain", venue: str = "binance", **over: object) -> OrderBook:
    """Build a book at id 100: bids 99.00 and 98.00, asks 101.00 and 102.00."""
    book = make_book(storage, venue, **over)
    assert book.restore(make_snapshot(100, {9900: 1000, 9800: 2000}, {10100: 1500, 10200: 500}))
    return book
