"""A book against plain dictionaries: whatever the network does, it equals the venue or is silent."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.books import ASK, BID, RULES, Diff, Grid, Levels, OrderBook, Outcome, Snapshot, Stale
from parley.books.levels import FINE
from tests.kit.books import STORAGES

SIDES: dict[int, Literal["bid", "ask"]] = {BID: "bid", ASK: "ask"}
Held = dict[int, dict[int, int]]

# Few prices, so that levels are replaced and removed often; bids and asks apart, so that nothing crosses.
changes = st.lists(
    st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 40), st.integers(0, 3)), max_size=12
).map(lambda rows: [(side, price + 100 * side, size) for side, price, size in rows])
storages = pytest.mark.parametrize("storage", STORAGES)


def put(held: Held, rows: list[tuple[int, int, int]]) -> Held:
    """Return a model's sides after a message."""
    after = {side: dict(levels) for side, levels in held.items()}
    for side, price, size in rows:
        if size:
            after[side][price] = size
        else:
            after[side].pop(price, None)
    return after


def ranked(held: Held, side: int) -> list[tuple[int, int]]:
    """Return a model's levels, best first."""
    return sorted(held[side].items(), reverse=side == BID)


def columns(rows: list[tuple[int, int, int]], storage: str) -> tuple[list[int], list[int], list[int]]:
    """Split rows into columns; the compiled storage gets arrays, as readers of files give them."""
    found = [[row[place] for row in rows] for place in range(3)]
    if storage == "compiled":
        return tuple(np.array(each, np.int64) for each in found)  # type: ignore[return-value]
    return tuple(found)  # type: ignore[return-value]


@storages
@given(messages=st.lists(changes, min_size=1, max_size=30))
def test_levels_equal_dictionaries_after_every_message(
    storage: str, messages: list[list[tuple[int, int, int]]]
) -> None:
    levels, held = Levels(STORAGES[storage]()), {BID: {}, ASK: {}}  # type: tuple[Levels, Held]
    for rows in messages:
        held = put(held, rows)

        assert levels.apply(*columns(rows, storage)) == FINE

        for side in SIDES:
            wanted = ranked(held, side)
            assert levels.top(side, 1000) == wanted
            assert levels.best(side) == (wanted[0] if wanted else None)
            assert levels.count(side) == len(wanted)


@storages
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1, 30, 3000]))
def test_many_levels_in_many_blocks_equal_dictionaries(storage: str, seed: int, spread: int) -> None:
    chance = np.random.default_rng(seed)
    levels, held = Levels(STORAGES[storage]()), {BID: {}, ASK: {}}  # type: tuple[Levels, Held]
    for _ in range(4):
        side = chance.integers(0, 2, 400)
        price = chance.integers(1, spread * 2 + 1, 400) + 10_000 * side
        rows = list(zip(side.tolist(), price.tolist(), chance.integers(0, 3, 400).tolist(), strict=True))
        held = put(held, rows)

        assert levels.apply(*columns(rows, storage)) == FINE

        assert [levels.top(each, 10_000) for each in SIDES] == [ranked(held, each) for each in SIDES]


class Venue:
    """The truth: what a venue's book is after each id, and the messages it sends."""

    def __init__(self, venue: str, messages: list[tuple[list[tuple[int, int, int]], int]]) -> None:
        self.after: dict[int, Held] = {10: {BID: {20: 1}, ASK: {120: 1}}}
        self.diffs: list[Diff] = []
        last = 10
        for rows, ids in messages:
            # Futures share their ids with other symbols: there are some between two messages.
            first = last + 1 + (ids % 3 if venue == "binanceusdm" else 0)
            final = first + ids
            held = self.after[last]
            # Any id inside a message may be a snapshot's: here its changes all come with its last id.
            self.after |= dict.fromkeys(range(last + 1, final), held)
            self.after[final] = put(held, rows)
            self.diffs.append(Diff(first, final, last, final, *columns(rows, "plain")))
            last = final
        self.last_id = last

    def snapshot(self, last_id: int) -> Snapshot:
        """Give the truth at an id."""
        rows = [(side, *level) for side in SIDES for level in ranked(self.after[last_id], side)]
        return Snapshot(last_id, last_id, *columns(rows, "plain"))


def check(book: OrderBook, venue: Venue) -> None:
    """Compare a book that answers with the truth at its id; one that does not must be silent."""
    if book.stale is not None:
        assert [book.top(each, 9) for each in SIDES.values()] == [[], []]
        assert book.best("bid") is book.best("ask") is None
        return
    for side, name in SIDES.items():
        assert book.top(name, 1000) == ranked(venue.after[book.last_id], side)


@pytest.mark.parametrize("venue_id", ["binance", "binanceusdm", "bybit", "okx"])
@given(
    messages=st.lists(st.tuples(changes, st.integers(0, 4)), min_size=1, max_size=12),
    data=st.data(),
)
def test_book_is_right_or_silent_whatever_the_network_does(
    venue_id: str, messages: list[tuple[list[tuple[int, int, int]], int]], data: st.DataObject
) -> None:
    venue = Venue(venue_id, messages)
    is_in_stream = RULES[venue_id].snapshot == "in_stream"
    if is_in_stream:
        # Snapshots in a stream stand between its messages.
        ids = [10, *(diff.final_id for diff in venue.diffs)]
    else:
        ids = list(range(10, venue.last_id + 1))
    # Messages lost, repeated and out of order, snapshots of any age between them.
    sent = data.draw(
        st.lists(
            st.one_of(st.sampled_from(venue.diffs), st.sampled_from(ids).map(venue.snapshot)), max_size=40
        )
    )
    book = OrderBook(RULES[venue_id], Grid(0, 0))
    for each in sent:
        if isinstance(each, Snapshot):
            book.restore(each)
        else:
            book.apply(each)
        check(book, venue)

    # It always finds back: a lost connection, the newest snapshot, then the stream as it is.
    book.drop(Stale.CONNECTION_LOST)
    assert book.restore(venue.snapshot(venue.last_id)) or not is_in_stream
    if book.stale is None:
        check(book, venue)
        assert book.last_id == venue.last_id


@pytest.mark.parametrize("venue_id", ["binance", "binanceusdm"])
@given(messages=st.lists(st.tuples(changes, st.integers(0, 4)), min_size=2, max_size=12), data=st.data())
def test_unbroken_stream_is_followed_to_its_end(
    venue_id: str, messages: list[tuple[list[tuple[int, int, int]], int]], data: st.DataObject
) -> None:
    venue = Venue(venue_id, messages)
    at = data.draw(st.integers(0, len(venue.diffs)))
    book = OrderBook(RULES[venue_id], Grid(0, 0))
    for diff in venue.diffs[:at]:
        assert book.apply(diff) is Outcome.HELD
    reached = venue.diffs[at - 1].final_id if at else 10
    book.restore(venue.snapshot(data.draw(st.integers(10, reached))))
    check(book, venue)
    for diff in venue.diffs[at:]:
        book.apply(diff)
        check(book, venue)

    assert (book.stale, book.last_id, book.breaks) == (None, venue.last_id, 0)
