"""Raw frames of venues: they give the recorded messages, and books that the venues' own checks confirm."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.books import ASK, BID, RULES, Diff, Grid, Levels, OrderBook, Outcome, PlainLists, Snapshot, scaled
from parley.errors import ProtocolError
from venues.book_frames import BestPrices, binance, bybit, kraken_checksum
from venues.compiled_books import read_compiled
from venues.level_texts import ReadLevels, read_plain
from venues.recorded_books import load_book, load_tops

GRID = Grid(2, 3)
readers = pytest.mark.parametrize("read", [read_plain, read_compiled], ids=["plain", "compiled"])
DEPTH = '{"e":"depthUpdate","E":7,"s":"X","U":5,"u":9,"pu":4,"b":[["10.50","1.5"]],"a":[["11","0.000"]]}'


def lines(path: Path) -> Iterator[str]:
    """Yield the frames of a capture without the time each came at."""
    with gzip.open(path, "rt") as text:
        for line in text:
            yield line.rstrip("\n").partition(" ")[2]


def columns(message: Diff | Snapshot) -> list[list[int]]:
    return [list(each) for each in (message.sides, message.prices, message.sizes)]


def kraken_frames(path: Path) -> Iterator[tuple[str, dict[str, list[list[str]]], int | None]]:
    """Yield pair, levels by key and checksum of the book frames of a capture."""
    for frame in lines(path):
        if frame.startswith("[") and (body := json.loads(frame))[-2].startswith("book"):
            parts = {key: value for part in body[1:-2] for key, value in part.items()}
            checksum = parts.pop("c", None)
            yield body[-1], parts, None if checksum is None else int(checksum)


@pytest.mark.parametrize(
    ("raw", "name", "levels", "pushes"),
    [
        ("binance-BTCUSDT", "binance-BTC_USDT", 134, 1_137),
        ("binanceusdm-BTCUSDT", "binanceusdm-BTC_USDT_USDT", 144, 1_092),
    ],
)
@readers
def test_raw_frames_give_the_recorded_messages(
    market_data: Path, read: ReadLevels, raw: str, name: str, levels: int, pushes: int
) -> None:
    folder = market_data / "books"
    recorded = load_book(folder / f"{name}-l2-20240808.parquet")
    tops = load_tops(folder / f"{name}-bbo-20240808.parquet", recorded.grid)
    found = [binance(frame, recorded.grid, read) for frame in lines(folder / "raw" / f"{raw}-ws.jsonl.gz")]
    messages = [each for each in found if isinstance(each, Diff | Snapshot)]
    best = [each for each in found if isinstance(each, BestPrices)]

    assert (len(messages), len(best)) == (levels, pushes)
    for ours, theirs in zip(messages, recorded.messages, strict=False):
        assert type(ours) is type(theirs)
        assert columns(ours) == columns(theirs)
        if isinstance(ours, Diff) and isinstance(theirs, Diff):
            assert (ours.first_id, ours.final_id, ours.prev_id) == (
                theirs.first_id, theirs.final_id, theirs.prev_id,
            )  # fmt: skip
        if isinstance(ours, Snapshot) and isinstance(theirs, Snapshot):
            assert ours.last_id == theirs.last_id
        assert ours.event_ms == theirs.event_ms
    for at, push in enumerate(best):
        assert push == (
            tops.update_id[at], (tops.bid[at], tops.bid_qty[at]), (tops.ask[at], tops.ask_qty[at]),
        )  # fmt: skip


def test_bybit_stream_is_followed_from_its_snapshot(market_data: Path) -> None:
    grid = Grid(4, 0)
    book = OrderBook(RULES["bybit"], grid, keep=500)
    with gzip.open(market_data / "books" / "raw" / "bybit-XRPUSDT-ob500-20241201.jsonl.gz", "rt") as text:
        read = [bybit(line, grid) for line in text]
    first, *rest = read
    assert isinstance(first, Snapshot)
    assert book.restore(first)

    assert [book.apply(each) for each in rest if isinstance(each, Diff)] == [Outcome.APPLIED] * 49
    assert (book.stale, book.count("bid"), book.count("ask")) == (None, 500, 500)


def test_kraken_confirms_every_book_by_its_checksum(market_data: Path) -> None:
    books: dict[str, OrderBook] = {}
    confirmed = 0
    for pair, parts, checksum in kraken_frames(market_data / "books/raw/cryptofeed-KRAKEN.ws.50.0.gz"):
        bids, asks = parts.get("bs", parts.get("b", [])), parts.get("as", parts.get("a", []))
        if "as" in parts:
            # Every number of a pair has all its decimals.
            decimals = (len(text.partition(".")[2]) for text in asks[0][:2])
            books[pair] = OrderBook(RULES["kraken"], Grid(*decimals), keep=1000, checksum=kraken_checksum)
        book = books[pair]
        rows = [(BID, *each) for each in bids] + [(ASK, *each) for each in asks]
        levels = (
            [row[0] for row in rows],
            [scaled(row[1], book.grid.price_decimals) for row in rows],
            [scaled(row[2], book.grid.size_decimals) for row in rows],
        )
        if "as" in parts:
            assert book.restore(Snapshot(0, 0, *levels))
            continue
        assert book.apply(Diff(0, 0, None, 0, *levels, checksum)) is Outcome.APPLIED
        confirmed += 1

    assert (len(books), confirmed) == (10, 4_269)


def test_kraken_checksum_of_its_documented_example() -> None:
    # From Kraken's page on the checksum of its books: ten asks and bids, CRC32 974947235.
    asks = ["0.05005 0.00000500", "0.05010 0.00000500", "0.05015 0.00000500", "0.05020 0.00000500",
            "0.05025 0.00000500", "0.05030 0.00000500", "0.05035 0.00000500", "0.05040 0.00000500",
            "0.05045 0.00000500", "0.05050 0.00000500"]  # fmt: skip
    bids = ["0.05000 0.00000500", "0.04995 0.00000500", "0.04990 0.00000500", "0.04980 0.00000500",
            "0.04975 0.00000500", "0.04970 0.00000500", "0.04965 0.00000500", "0.04960 0.00000500",
            "0.04955 0.00000500", "0.04950 0.00000500"]  # fmt: skip
    levels = Levels(PlainLists())
    rows = [(side, *text.split()) for side, texts in ((ASK, asks), (BID, bids)) for text in texts]
    levels.apply(
        [row[0] for row in rows], [scaled(row[1], 5) for row in rows], [scaled(row[2], 8) for row in rows]
    )

    assert kraken_checksum(levels) == 974_947_235


def test_frame_of_a_combined_stream_is_that_of_its_own() -> None:
    alone, combined = binance(DEPTH, GRID), binance(f'{{"stream":"x@depth","data":{DEPTH}}}'.encode(), GRID)

    assert alone == combined == Diff(5, 9, 4, 7, [0, 1], [1050, 1100], [1500, 0])


@pytest.mark.parametrize(
    "frame",
    ['{"result":null,"id":1}', '{"stream":"x@trade","data":{"e":"trade","E":1,"p":"1","q":"2"}}', "{}"],
)
def test_frames_of_other_streams_are_passed_over(frame: str) -> None:
    assert binance(frame, GRID) is None
    assert bybit(frame, GRID) is None


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("", "expected a frame of Binance"),
        ("[1]", "expected a frame of Binance"),
        (DEPTH[:-5], "expected a frame of Binance"),
        (DEPTH.replace('"U":5,', ""), "expected levels with U and u"),
        (DEPTH.replace("10.50", "10.505"), "expected a number of at least 0 with 2 decimals, was '10.505'"),
        # All printed alike, as venues do.
        (DEPTH.replace("10.50", "10.505").replace('"11"', '"11.000"'), "2 decimals, was '10.505'"),
        (DEPTH.replace('"10.50"', '"10.50","1","2"'), "expected lists of levels"),
        (DEPTH.replace("10.50", "1_0.50"), "expected a"),
        (DEPTH.replace("10.50", "-10.50"), "expected a number of at least 0"),
        (DEPTH.replace("1.5", "NaN"), "expected a number of at least 0"),
        (DEPTH.replace('"10.50"', "10.50"), "expected lists of levels"),
        (DEPTH.replace('[["10.50","1.5"]]', "7"), "expected lists of levels"),
        (DEPTH.replace(',"a":[["11","0.000"]]', ""), "expected lists of levels"),
        ('{"u":1,"s":"X","b":"1.0","B":"2","a":"1.1","A":3}', "expected a best price and size as texts"),
    ],
)
@readers
def test_broken_frame_is_refused(read: ReadLevels, frame: str, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        binance(frame, GRID, read)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (
            '{"topic":"orderbook.1.X","type":"delta","ts":1,"data":{"u":1,"b":[]}}',
            "expected a frame of Bybit",
        ),
        ('{"topic":"orderbook.1.X","type":"new","ts":1,"data":{"u":1,"b":[],"a":[]}}', "was 'new'"),
        ("nothing", "expected a frame of Bybit"),
    ],
)
@readers
def test_broken_frame_of_bybit_is_refused(read: ReadLevels, frame: str, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        bybit(frame, GRID, read)


@pytest.mark.parametrize(
    "texts",
    [
        ["10.50000000", "9.00000000", "10.25000000"],
        ["10.50", "9.00", "10.25"],
        ["10.5", "9", "10.250"],
        ["10.50", "9.000", "10.25"],
    ],
    ids=["printed longer", "as the grid", "without point", "of mixed length"],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["dense", "with blanks"])
@readers
def test_numbers_of_any_print_are_the_same(
    read: ReadLevels, separators: tuple[str, str], texts: list[str]
) -> None:
    body = {"e": "depthUpdate", "U": 1, "u": 1, "b": [[text, "1"] for text in texts], "a": []}

    found = binance(json.dumps(body, separators=separators), GRID, read)

    assert isinstance(found, Diff)
    assert columns(found) == [[0, 0, 0], [1050, 900, 1025], [1000, 1000, 1000]]


@pytest.mark.parametrize(
    "text", ["10.50", "10.5", "10.500000", "11", "11.", "10.01", "0.10", "999999999999.99"]
)
def test_compiled_reader_leaves_no_usual_number_to_the_plain_one(text: str) -> None:
    dense = msgspec.json.encode([[text, "1.230"], ["7.00", text]])

    sides, prices, sizes = read_compiled(msgspec.Raw(dense), msgspec.Raw(b"[]"), GRID)

    assert isinstance(prices, np.ndarray)
    assert [list(each) for each in (sides, prices, sizes)] == [
        [0, 0], [scaled(text, 2), 700], [1230, scaled(text, 3)],
    ]  # fmt: skip


# Numbers as venues write them, and what else could stand there.
texts = st.one_of(
    st.tuples(st.integers(0, 10**9), st.integers(0, 9)).map(lambda it: f"{it[0] / 10 ** it[1]:.{it[1]}f}"),
    st.from_regex(r"[0-9]{0,3}\.?[0-9]{0,6}", fullmatch=True),
    st.from_regex(r"[0-9]{17,21}(\.[0-9]{1,3})?", fullmatch=True),
    st.text('0123456789.eE+-_ \\"[],', max_size=6),
)
pairs = st.lists(st.tuples(texts, texts), max_size=4)


def outcome(read: ReadLevels, bids: bytes, asks: bytes) -> object:
    try:
        return [list(map(int, column)) for column in read(msgspec.Raw(bids), msgspec.Raw(asks), GRID)]
    except (ProtocolError, msgspec.DecodeError):
        return "refused"


@given(bids=pairs, asks=pairs, damage=st.integers(-1, 60), by=st.sampled_from(list(b'[]",.09 x')))
def test_compiled_reader_reads_and_refuses_what_the_plain_one_does(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], damage: int, by: int
) -> None:
    given_bids, given_asks = bytearray(msgspec.json.encode(bids)), msgspec.json.encode(asks)
    if 0 <= damage < len(given_bids):
        given_bids[damage] = by

    found = outcome(read_compiled, bytes(given_bids), given_asks)

    assert found == outcome(read_plain, bytes(given_bids), given_asks)
