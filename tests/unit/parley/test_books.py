"""A book answers exactly while the venue's ids prove it, and not at all otherwise."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from parley.books import RULES, Diff, Grid, Levels, OrderBook, Outcome, PlainLists, Stale
from parley.books.levels import LARGEST, WIDTH
from tests.kit.books import GRID, STORAGES, live_book, make_book, make_diff, make_snapshot

storages = pytest.mark.parametrize("storage", STORAGES)


@storages
def test_levels_are_set_replaced_and_removed(storage: str) -> None:
    book = live_book(storage)

    assert (
        book.apply(make_diff(101, 103, bids={9950: 7, 9900: 0, 9800: 5}, asks={10100: 1})) is Outcome.APPLIED
    )

    assert book.top("bid", 10) == [(9950, 7), (9800, 5)]
    assert book.top("ask", 1) == [(10100, 1)]
    assert (book.best("bid"), book.best("ask")) == ((9950, 7), (10100, 1))
    assert (book.last_id, book.event_ms, book.count("bid")) == (103, 1030, 2)


@storages
def test_last_change_of_a_price_in_a_message_counts(storage: str) -> None:
    book = live_book(storage)

    book.apply(Diff(101, 101, None, 0, [0, 0, 0], [9950, 9950, 9950], [5, 0, 8]))

    assert book.best("bid") == (9950, 8)


@storages
def test_removing_an_unknown_level_is_no_fault(storage: str) -> None:
    book = live_book(storage)

    assert book.apply(make_diff(101, bids={5000: 0}, asks={20000: 0})) is Outcome.APPLIED
    assert book.count("bid") == 2


@storages
def test_side_may_run_empty_and_fill_again(storage: str) -> None:
    book = live_book(storage)

    book.apply(make_diff(101, bids={9900: 0, 9800: 0}))

    assert (book.stale, book.best("bid"), book.best("ask")) == (None, None, (10100, 1500))
    assert book.message("BTC/USDT", 1, 5) is None
    book.apply(make_diff(102, bids={9700: 3}))
    assert book.best("bid") == (9700, 3)


def test_book_says_nothing_before_its_snapshot() -> None:
    book = make_book()

    assert book.apply(make_diff(101, bids={9900: 1})) is Outcome.HELD

    assert book.stale is Stale.NO_SNAPSHOT
    assert (book.best("bid"), book.top("bid", 5), book.count("bid")) == (None, [], 0)
    assert book.message("BTC/USDT", 1, 5) is None
    assert book.reach("sell", Decimal(1)) is None


@storages
def test_held_messages_follow_the_snapshot_that_they_surround(storage: str) -> None:
    book = make_book(storage)
    for first in (90, 96, 102):
        book.apply(make_diff(first, first + 5, bids={9000 + first: first}))

    assert book.restore(make_snapshot(99, {9900: 1}, {10100: 1}))

    # The first ends before the snapshot, the second goes around its id, the third follows.
    assert book.top("bid", 9) == [(9900, 1), (9102, 102), (9096, 96)]
    assert (book.last_id, book.old, book.applied) == (107, 1, 2)


def test_snapshot_older_than_what_is_held_waits_for_a_newer_one() -> None:
    book = make_book()
    book.apply(make_diff(110, 112, bids={9950: 2}))

    assert not book.restore(make_snapshot(100, {9900: 1}, {10100: 1}))
    assert (book.stale, book.best("bid")) == (Stale.OLD_SNAPSHOT, None)

    assert book.restore(make_snapshot(111, {9900: 1}, {10100: 1}))
    assert (book.last_id, book.best("bid")) == (112, (9950, 2))


@storages
def test_gap_makes_stale_until_a_snapshot_joins_what_came_since(storage: str) -> None:
    book = live_book(storage)

    assert book.apply(make_diff(101, bids={9950: 1})) is Outcome.APPLIED
    assert book.apply(make_diff(103, bids={9960: 1})) is Outcome.BROKE
    assert (book.stale, book.best("bid"), book.best("ask"), book.breaks) == (Stale.GAP, None, None, 1)
    assert book.apply(make_diff(104, bids={9970: 1})) is Outcome.HELD

    assert book.restore(make_snapshot(102, {9900: 1}, {10100: 1}))
    assert book.top("bid", 3) == [(9970, 1), (9960, 1), (9900, 1)]


def test_repeated_and_late_messages_change_nothing() -> None:
    book = live_book()
    book.apply(make_diff(101, 105, bids={9950: 1}))

    for first, final in ((101, 105), (99, 100), (102, 104)):
        assert book.apply(make_diff(first, final, bids={9950: 99})) is Outcome.OLD

    assert (book.best("bid"), book.old, book.last_id) == ((9950, 1), 3, 105)


def test_futures_message_must_name_the_one_before() -> None:
    book = live_book(venue="binanceusdm")

    # Futures ids are shared by all symbols: what joins goes around the snapshot's id or names it.
    assert book.apply(make_diff(95, 104, prev=90, bids={9950: 1})) is Outcome.APPLIED
    assert book.apply(make_diff(120, 130, prev=104, bids={9960: 1})) is Outcome.APPLIED
    assert book.apply(make_diff(131, 140, prev=129, bids={9970: 1})) is Outcome.BROKE
    assert book.stale is Stale.GAP


@pytest.mark.parametrize(
    "wrong", [{9950: -1}, {0: 1}, {-5: 1}, {LARGEST + 1: 1}, {1 << 70: 1}, {9950: 1 << 70}]
)
@storages
def test_impossible_level_breaks_the_book(storage: str, wrong: dict[int, int]) -> None:
    book = live_book(storage)

    assert book.apply(make_diff(101, bids=wrong)) is Outcome.BROKE
    assert (book.stale, book.best("ask")) == (Stale.BAD_LEVEL, None)


@storages
def test_columns_of_another_kind_or_length_break_the_book(storage: str) -> None:
    good = np.array([1], np.int64)
    for columns in (
        (good, np.array([9950.0]), good),
        (good, np.array([9950], np.uint64), good),
        ([0], [9950, 9951], [1]),
        ([2], [9950], [1]),
        ([0], [9950.5], [1]),
    ):
        book = live_book(storage)
        assert book.apply(Diff(101, 101, None, 0, *columns)) is Outcome.BROKE  # type: ignore[arg-type]
        assert book.stale is Stale.BAD_LEVEL


@pytest.mark.parametrize("bid", [10100, 10101])
@storages
def test_crossed_or_locked_book_has_no_top(storage: str, bid: int) -> None:
    book = live_book(storage)

    assert book.apply(make_diff(101, bids={bid: 1})) is Outcome.BROKE

    assert (book.stale, book.best("bid"), book.best("ask")) == (Stale.CROSSED, None, None)
    assert book.restore(make_snapshot(101, {9900: 1}, {10100: 1}))


@pytest.mark.parametrize(
    ("bids", "asks"),
    [({9900: 0}, {10100: 1}), ({10100: 1}, {10100: 1}), ({-1: 1}, {10100: 1})],
    ids=["level of size 0", "crossed", "negative price"],
)
def test_impossible_snapshot_is_refused_and_held_messages_stay(
    bids: dict[int, int], asks: dict[int, int]
) -> None:
    book = make_book()
    book.apply(make_diff(100, 101, bids={9950: 4}))

    assert not book.restore(make_snapshot(100, bids, asks))
    assert book.stale in (Stale.BAD_LEVEL, Stale.CROSSED)

    assert book.restore(make_snapshot(100, {9900: 1}, {10100: 1}))
    assert book.best("bid") == (9950, 4)


def test_snapshot_that_repeats_a_price_is_refused() -> None:
    book = make_book()
    snapshot = make_snapshot(100, {9900: 1}, {10100: 1})

    assert not book.restore(type(snapshot)(100, 0, [0, 0, 1], [9900, 9900, 10100], [1, 2, 1]))
    assert book.stale is Stale.BAD_LEVEL


def test_asked_snapshot_behind_a_book_in_order_changes_nothing() -> None:
    book = live_book()
    book.apply(make_diff(101, bids={9950: 1}))

    assert book.restore(make_snapshot(100, {9000: 1}, {20000: 1}))

    assert (book.last_id, book.best("bid")) == (101, (9950, 1))


def test_snapshot_in_the_stream_replaces_the_book_also_with_a_lower_id() -> None:
    book = live_book(venue="bybit")

    # Bybit's numbers begin again at 1 after a restart.
    assert book.restore(make_snapshot(1, {9000: 1}, {20000: 1}))
    assert book.apply(make_diff(2, bids={9100: 1})) is Outcome.APPLIED
    assert book.apply(make_diff(4, bids={9200: 1})) is Outcome.BROKE
    assert book.apply(make_diff(5, bids={9200: 1})) is Outcome.DROPPED


def test_lost_connection_silences_the_book_until_a_snapshot() -> None:
    book = live_book()

    book.drop(Stale.CONNECTION_LOST)

    assert (book.stale, book.best("bid")) == (Stale.CONNECTION_LOST, None)
    assert book.restore(make_snapshot(100, {9900: 1}, {10100: 1}))


@storages
def test_more_levels_than_one_block_keep_their_order(storage: str) -> None:
    book = live_book(storage)
    wanted = {9000 + (step * 7919) % 601: step + 1 for step in range(10 * WIDTH)}

    book.apply(make_diff(101, bids=wanted))
    held = wanted | {9900: 1000, 9800: 2000}
    assert book.top("bid", 1000) == sorted(held.items(), reverse=True)

    book.apply(make_diff(102, bids=dict.fromkeys(wanted, 0)))
    assert book.top("bid", 1000) == [(9900, 1000), (9800, 2000)]


@storages
def test_best_block_that_runs_empty_gives_way_to_the_next(storage: str) -> None:
    book = live_book(storage)
    # One level more than a block holds: two blocks of the side.
    prices = range(9000, 9000 + WIDTH - 1)
    book.apply(make_diff(101, bids=dict.fromkeys(prices, 5)))

    gone = [price for price, _ in book.top("bid", 100)[: WIDTH // 2 + 1]]
    book.apply(make_diff(102, bids=dict.fromkeys(gone, 0)))

    left = [(price, 5) for price in reversed(prices) if price not in gone]
    assert book.best("bid") == left[0]
    assert book.top("bid", 100) == left


@storages
def test_room_grows_with_the_book_and_refuses_what_no_book_has(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = live_book(storage)
    many = 100 * WIDTH

    book.apply(make_diff(101, asks={20000 + step: 1 for step in range(many)}))
    assert book.count("ask") == many + 2
    assert book.top("ask", many + 2)[-1] == (20000 + many - 1, 1)

    monkeypatch.setattr("parley.books.levels.MOST_BLOCKS", 128)
    assert book.apply(make_diff(102, asks={40000 + step: 1 for step in range(2 * many)})) is Outcome.BROKE
    assert book.stale is Stale.TOO_MANY_LEVELS


@storages
def test_levels_behind_the_venues_depth_are_removed(storage: str) -> None:
    book = live_book(storage, keep=2)

    book.apply(make_diff(101, bids={9850: 3}, asks={10150: 4}))

    assert book.top("bid", 9) == [(9900, 1000), (9850, 3)]
    assert book.top("ask", 9) == [(10100, 1500), (10150, 4)]


def _count_levels(levels: Levels) -> int:
    return levels.count(0) * 10 + levels.count(1)


def test_wrong_checksum_breaks_the_book() -> None:
    book = live_book(checksum=_count_levels)

    assert book.apply(make_diff(101, bids={9950: 1}, checksum=32)) is Outcome.APPLIED
    assert book.apply(make_diff(102, bids={9960: 1}, checksum=32)) is Outcome.BROKE
    assert book.stale is Stale.WRONG_CHECKSUM


def test_book_without_ids_needs_a_checksum_in_every_message() -> None:
    with pytest.raises(ValueError, match="needs a checksum"):
        OrderBook(RULES["kraken"], GRID)
    book = live_book(venue="kraken", checksum=_count_levels)

    assert book.apply(make_diff(0, bids={9950: 1}, checksum=32)) is Outcome.APPLIED
    assert book.apply(make_diff(0, bids={9960: 1})) is Outcome.BROKE
    assert book.stale is Stale.WRONG_CHECKSUM


def test_message_holds_the_nearest_floats() -> None:
    book = live_book()

    found = book.message("BTC/USDT", 7, 1)

    assert found is not None
    assert (found.symbol, found.t, found.seq) == ("BTC/USDT", 7, 100)
    assert (found.bids, found.asks) == (((99.0, 1.0),), ((101.0, 1.5),))


@pytest.mark.parametrize(
    ("side", "notional", "expected"),
    [
        ("buy", "101.00", ("1", "101", "101")),
        ("buy", "151.50", ("1.5", "151.5", "101")),
        ("buy", "202.50", ("2", "202.5", "102")),
        ("sell", "100", ("1.010", "99.98", "98")),
        ("buy", "202.51", None),
        ("buy", "0.0001", None),
        ("buy", "0", None),
        ("buy", "NaN", None),
    ],
)
def test_reach_takes_levels_up_to_a_value(
    side: str, notional: str, expected: tuple[str, str, str] | None
) -> None:
    found = live_book().reach(side, Decimal(notional))  # type: ignore[arg-type]

    assert found == (None if expected is None else tuple(Decimal(each) for each in expected))


def test_prices_read_back_exactly() -> None:
    grid = Grid(8, 8)

    assert grid.price(4097) == Decimal("0.00004097")
    assert grid.floats((4097, 123456789012345678)) == (0.00004097, 1234567890.12345678)


def test_plain_storage_needs_no_numba() -> None:
    assert PlainLists().whole([1, 2]) == [1, 2]
    assert PlainLists().whole(np.array([1], np.int32)) is None
