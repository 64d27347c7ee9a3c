"""Recorded books: what is refused with file and row, and what real books give at every common update id."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parley.books import RULES, Diff, Grid, Level, OrderBook, Outcome, Snapshot
from tests.kit.books import STORAGES
from venues.recorded import CandleError
from venues.recorded_books import RecordedTops, load_book, load_tops

ROW: dict[str, Any] = {
    "recv_ns": 2, "event_ms": 1000, "seq": 1, "is_snapshot": 0, "first_id": 5, "final_id": 9, "prev_id": 4,
    "side": 0, "price": 61737.63, "qty": 0.25,
}  # fmt: skip
TOP: dict[str, Any] = {"seq": 1, "update_id": 5, "bid": 10.5, "bid_qty": 1.25, "ask": 10.75, "ask_qty": 2.0}


class Recorded(NamedTuple):
    """Files of one instrument and what is known of them from elsewhere."""

    venue: str
    name: str
    compared: int
    followed: int
    # After these ids the ticker was silent although the best price had changed (it was pushed later).
    silent_after: frozenset[int]


SPOT = Recorded("binance", "binance-BTC_USDT", 1_072, 6_492, frozenset({50_093_478_174, 50_093_480_542}))
PERP = Recorded("binanceusdm", "binanceusdm-BTC_USDT_USDT", 629, 6_544, frozenset())
both = pytest.mark.parametrize("recorded", [SPOT, PERP], ids=["spot", "perp"])


def write(folder: Path, rows: list[dict[str, Any]], leave_out: str = "") -> Path:
    path = folder / "book.parquet"
    pq.write_table(
        pa.table({name: [row[name] for row in rows] for name in rows[0] if name != leave_out}), path
    )
    return path


def take(book: OrderBook, message: Diff | Snapshot) -> None:
    if isinstance(message, Snapshot):
        book.restore(message)
    else:
        book.apply(message)


def tops_by_id(tops: RecordedTops) -> dict[int, tuple[Level, Level]]:
    rows = zip(
        tops.update_id.tolist(), tops.bid.tolist(), tops.bid_qty.tolist(), tops.ask.tolist(),
        tops.ask_qty.tolist(), strict=True,
    )  # fmt: skip
    return {number: ((bid, bid_qty), (ask, ask_qty)) for number, bid, bid_qty, ask, ask_qty in rows}


@pytest.mark.parametrize("storage", STORAGES)
@both
def test_replay_equals_the_recorded_best_at_every_common_id(
    market_data: Path, recorded: Recorded, storage: str
) -> None:
    folder = market_data / "books"
    found = load_book(folder / f"{recorded.name}-l2-20240808.parquet")
    tops = tops_by_id(load_tops(folder / f"{recorded.name}-bbo-20240808.parquet", found.grid))
    book = OrderBook(RULES[recorded.venue], found.grid, storage=STORAGES[storage]())
    compared = 0
    for message in found.messages:
        take(book, message)
        if book.last_id in tops:
            assert (book.best("bid"), book.best("ask")) == tops[book.last_id], book.last_id
            compared += 1

    assert compared == recorded.compared
    assert compared == len(tops.keys() & {each.final_id for each in found.messages if isinstance(each, Diff)})
    assert (book.stale, book.breaks) == (None, 0)


@both
def test_replay_equals_the_last_pushed_best_between_common_ids(market_data: Path, recorded: Recorded) -> None:
    folder = market_data / "books"
    found = load_book(folder / f"{recorded.name}-l2-20240808.parquet")
    tops = tops_by_id(load_tops(folder / f"{recorded.name}-bbo-20240808.parquet", found.grid))
    numbers = sorted(tops)
    book = OrderBook(RULES[recorded.venue], found.grid, storage=STORAGES["compiled"]())
    followed, differ = 0, set()
    for message in found.messages:
        take(book, message)
        place = bisect_right(numbers, book.last_id)
        if book.stale is None and 0 < place < len(numbers):
            followed += 1
            if (book.best("bid"), book.best("ask")) != tops[numbers[place - 1]]:
                differ.add(book.last_id)

    assert (followed, differ) == (recorded.followed, recorded.silent_after)


def test_hour_of_2020_has_no_gap_and_never_crosses(market_data: Path) -> None:
    found = load_book(market_data / "books" / "binance-ETH_BTC-l2-20201101T09.parquet")
    book = OrderBook(RULES["binance"], found.grid)
    outcomes = [book.apply(each) for each in found.messages[:1] if isinstance(each, Diff)]
    for message in found.messages[1:]:
        take(book, message)
        assert book.stale is None
        bid, ask = book.best("bid"), book.best("ask")
        assert bid is not None
        assert ask is not None
        assert bid < ask

    assert outcomes == [Outcome.HELD]
    assert (len(found.messages), found.changes, found.grid) == (3_601, 69_601, Grid(6, 3))
    # The first message ends before the snapshot.
    assert (book.applied, book.old, book.breaks) == (3_599, 1, 0)


@both
def test_lost_message_is_noticed_and_a_snapshot_mends_it(market_data: Path, recorded: Recorded) -> None:
    found = load_book(market_data / "books" / f"{recorded.name}-l2-20240808.parquet")
    whole = OrderBook(RULES[recorded.venue], found.grid)
    broken = OrderBook(RULES[recorded.venue], found.grid)
    for place, message in enumerate(found.messages[:1_200]):
        take(whole, message)
        if place != 1_000:
            take(broken, message)
        if place == 1_001:
            assert broken.stale is not None
            assert broken.best("bid") is None
        if place == 1_100:
            levels = [(side, *level) for side, name in enumerate(("bid", "ask"))
                      for level in whole.top(name, 100_000)]  # type: ignore[arg-type]  # fmt: skip
            columns = [[level[at] for level in levels] for at in range(3)]
            assert broken.restore(Snapshot(whole.last_id, whole.event_ms, *columns))

    assert broken.last_id == whole.last_id
    assert broken.top("bid", 100_000) == whole.top("bid", 100_000)
    assert broken.top("ask", 100_000) == whole.top("ask", 100_000)


def test_rows_become_messages_in_recorded_order(tmp_path: Path) -> None:
    rows = [
        ROW | {"price": 10.5, "qty": 0.0},
        ROW | {"side": 1, "price": 11.25},
        ROW | {"seq": 2, "is_snapshot": 1, "first_id": 7, "final_id": 7, "prev_id": 0, "price": 10.0},
        # A message without levels still counts for the ids.
        ROW | {"seq": 4, "first_id": 10, "final_id": 12, "prev_id": 9, "side": -1, "price": 0.0, "qty": 0.0},
    ]

    found = load_book(write(tmp_path, rows))

    assert (found.grid, found.changes) == (Grid(2, 2), 3)
    first, snapshot, empty = found.messages
    assert isinstance(first, Diff)
    assert (first.first_id, first.final_id, first.prev_id, first.event_ms) == (5, 9, 4, 1000)
    assert [list(each) for each in (first.sides, first.prices, first.sizes)] == [
        [0, 1],
        [1050, 1125],
        [0, 25],
    ]
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.last_id, list(snapshot.prices)) == (7, [1000])
    assert isinstance(empty, Diff)
    assert (empty.first_id, empty.final_id, len(empty.prices)) == (10, 12, 0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"side": 2}, r"row 1: expected side 0 \(bid\), 1 \(ask\) or -1 \(no level\), got 2"),
        ({"price": 0.0}, "row 1: expected a price above 0, got 0.0"),
        ({"price": float("nan")}, "row 1: expected a price above 0, got nan"),
        ({"price": float("inf")}, "row 1: expected a price above 0, got inf"),
        ({"qty": -0.5}, "row 1: expected a quantity of at least 0, got -0.5"),
        ({"qty": float("nan")}, "row 1: expected a quantity of at least 0, got nan"),
        ({"is_snapshot": 2}, "row 1: expected is_snapshot 0 or 1, got 2"),
        ({"seq": 0}, "row 1: expected seq in order, got 0"),
        ({"final_id": 10}, "row 1: expected one final_id in all rows of a message, got 10"),
        ({"event_ms": 7}, "row 1: expected one event_ms in all rows of a message, got 7"),
        ({"seq": 2, "first_id": 12}, "row 1: expected first_id of at most final_id, got 12"),
        ({"seq": 2, "is_snapshot": 1, "side": -1}, "row 1: expected levels in a snapshot, side, got -1"),
        ({"price": 0.12345678912}, "row 1: expected price with at most 8 decimals, got 0.12345678912"),
        ({"qty": 1e17}, "row 1: expected qty with at most 2 decimals, got 1e[+]17"),
    ],
)
def test_wrong_row_is_one_error_with_file_and_row(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    path = write(tmp_path, [ROW, ROW | {"side": 1, "price": 61740.0} | change])

    with pytest.raises(CandleError, match=f"book.parquet: {text}"):
        load_book(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bid": 0.0}, "row 1: expected bid above 0, got 0.0"),
        ({"ask_qty": float("nan")}, "row 1: expected ask_qty above 0, got nan"),
        ({"bid": 10.75}, "row 1: expected bid below ask, got 10.75"),
        ({"update_id": 5}, "row 1: expected update ids that rise, got 5"),
        ({"bid": 10.555}, "row 1: expected bid with at most 2 decimals, got 10.555"),
    ],
)
def test_wrong_best_price_is_one_error_with_file_and_row(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    path = write(tmp_path, [TOP, TOP | {"update_id": 6} | change])

    with pytest.raises(CandleError, match=f"book.parquet: {text}"):
        load_tops(path, Grid(2, 2))


def test_file_that_is_no_book_is_named(tmp_path: Path) -> None:
    with pytest.raises(CandleError, match=r"nothing\.parquet: expected a Parquet file of book levels"):
        load_book(tmp_path / "nothing.parquet")
    with pytest.raises(CandleError, match="expected columns of book levels, side are missing"):
        load_book(write(tmp_path, [ROW], leave_out="side"))
    with pytest.raises(CandleError, match="expected a value of qty in every row, 1 are empty"):
        load_book(write(tmp_path, [ROW, ROW | {"qty": None}]))
    with pytest.raises(CandleError, match="expected numbers as price, it has string"):
        load_book(write(tmp_path, [ROW | {"price": "61737.63"}]))


def test_spot_file_needs_no_previous_id(tmp_path: Path) -> None:
    (message,) = load_book(write(tmp_path, [ROW], leave_out="prev_id")).messages

    assert isinstance(message, Diff)
    assert message.prev_id is None
