"""How many changes of levels one core applies to an order book, beside ccxt's book and `sortedcontainers`.

The recorded messages of Binance BTC/USDT, spot and perpetual (PARLEY_DATA), one message at a time as a feed
delivers them; after each the best bid and ask are read. The ways take turns in one process:

- changes: messages as a reader gives them. `parley` (compiled core, arrays), `parley_plain` (the same core as
  plain Python), `ccxt` (the `OrderBook` that ccxt.pro keeps) and `sortedcontainers` (a `SortedDict` a side,
  if installed). Parley also judges ids and crossing; the rivals get floats that are parsed already, and
  neither judge nor see the messages that do not belong to the book;
- frames: the same messages as JSON texts as Binance writes them, from bytes to book. `parley` (compiled
  reader and core) and `parley_plain` against ccxt.pro's own `handle_order_book_message` behind orjson.

``python -m benchmarks.bench_book --save``. No time counts before every way gave the recorded best prices and
sizes at every common update id. Rates are per second of CPU time; the machine's load stands beside them.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import ccxt.pro
import orjson
from ccxt.async_support.base.ws.order_book import OrderBook as CcxtBook
from rich.console import Console

from benchmarks.yardsticks import machine
from parley.books import BID, RULES, Diff, OrderBook, Outcome, PlainLists, Snapshot, Storage
from venues.book_frames import binance
from venues.compiled_books import CompiledArrays, read_compiled
from venues.level_texts import ReadLevels, read_plain
from venues.recorded_books import RecordedBook, load_book, load_tops

try:
    from sortedcontainers import SortedDict  # type: ignore[import-untyped,import-not-found,unused-ignore]
except ImportError:
    SortedDict = None

RESULTS: Final = Path(__file__).resolve().parent / "results" / "bench_book.json"
FLOOR: Final = 200_000
GOAL: Final = 1_000_000

Message = Diff | Snapshot
Best = tuple[tuple[float, float], tuple[float, float]]
Found = dict[int, Best]
"""Best bid and ask by update id, where the recording has them too."""
Parsed = Sequence[tuple[int, list[list[float]], list[list[float]]]]
"""Update id, bids and asks of each message, as ccxt parses them."""


class Instrument(NamedTuple):
    """A recording, and how many decimals its venue prints."""

    venue: str
    name: str
    price_decimals: int
    size_decimals: int


INSTRUMENTS: Final = {
    "spot": Instrument("binance", "binance-BTC_USDT", 8, 8),
    "perp": Instrument("binanceusdm", "binanceusdm-BTC_USDT_USDT", 2, 3),
}


class Case(NamedTuple):
    """One recording: all messages for Parley, those that belong to the book for its rivals, and the truth."""

    instrument: Instrument
    book: RecordedBook
    joined: Sequence[Message]
    wanted: Found


def read_case(folder: Path, instrument: Instrument) -> Case:
    """Read a recording and find out which messages belong to the book, in which order."""
    book = load_book(folder / f"{instrument.name}-l2-20240808.parquet")
    tops = load_tops(folder / f"{instrument.name}-bbo-20240808.parquet", book.grid)
    floats = book.grid.floats
    rows = zip(tops.update_id.tolist(), tops.bid.tolist(), tops.bid_qty.tolist(), tops.ask.tolist(),
               tops.ask_qty.tolist(), strict=True)  # fmt: skip
    best = {number: (floats((bid, of)), floats((ask, to))) for number, bid, of, ask, to in rows}
    ids = {each.final_id for each in book.messages if isinstance(each, Diff)}
    (at,) = (place for place, each in enumerate(book.messages) if isinstance(each, Snapshot))
    trial = OrderBook(RULES[instrument.venue], book.grid)
    trial.restore(book.messages[at])  # type: ignore[arg-type]
    diffs = (each for each in book.messages if isinstance(each, Diff))
    joined = [each for each in diffs if trial.apply(each) is Outcome.APPLIED]
    wanted = {number: each for number, each in best.items() if number in ids}
    return Case(instrument, book, [book.messages[at], *joined], wanted)


def play_parley(case: Case, messages: Sequence[Message], storage: Storage) -> Callable[[], Found]:
    """Follow messages with our book."""
    book, wanted = OrderBook(RULES[case.instrument.venue], case.book.grid, storage=storage), case.wanted

    def play() -> Found:
        seen = {}
        for message in messages:
            if type(message) is Diff:
                book.apply(message)
            else:
                book.restore(message)  # type: ignore[arg-type]
            best = book.best("bid"), book.best("ask")
            if book.last_id in wanted:
                seen[book.last_id] = best
        floats = case.book.grid.floats
        return {number: (floats(bid), floats(ask)) for number, (bid, ask) in seen.items() if bid and ask}

    return play


def sides_of(case: Case, message: Message) -> tuple[list[list[float]], list[list[float]]]:
    """Return bids and asks of a message as ccxt parses them."""
    sides: tuple[list[list[float]], list[list[float]]] = ([], [])
    floats = case.book.grid.floats
    for side, price, size in zip(message.sides, message.prices, message.sizes, strict=True):
        sides[0 if side == BID else 1].append(list(floats((int(price), int(size)))))
    return sides


def id_of(message: Message) -> int:
    """Return the update id after which a message leaves the book."""
    return message.final_id if isinstance(message, Diff) else message.last_id


def play_ccxt(case: Case, parsed: Parsed) -> Callable[[], Found]:
    """Store levels in ccxt's book."""
    # It keeps the very rows that it is given.
    feed = [
        (number, [row[:] for row in of_bids], [row[:] for row in of_asks])
        for number, of_bids, of_asks in parsed
    ]
    book, wanted = CcxtBook(), case.wanted
    bids, asks = book["bids"], book["asks"]

    def play() -> Found:
        seen: Found = {}
        for number, bid_rows, ask_rows in feed:
            for row in bid_rows:
                bids.storeArray(row)
            for row in ask_rows:
                asks.storeArray(row)
            best = tuple(bids[0]), tuple(asks[0])
            if number in wanted:
                seen[number] = best  # type: ignore[assignment]
        return seen

    return play


def play_sorted(case: Case, parsed: Parsed) -> Callable[[], Found]:
    """Keep levels in a sorted dictionary a side."""
    bids, asks, wanted = SortedDict(), SortedDict(), case.wanted

    def play() -> Found:
        seen: Found = {}
        for number, of_bids, of_asks in parsed:
            for rows, levels in ((of_bids, bids), (of_asks, asks)):
                for price, size in rows:
                    if size:
                        levels[price] = size
                    else:
                        levels.pop(price, None)
            best = bids.peekitem(-1), asks.peekitem(0)
            if number in wanted:
                seen[number] = best
        return seen

    return play


def frame_of(case: Case, message: Message) -> bytes:
    """Write a message as Binance does."""
    texts: tuple[list[list[str]], list[list[str]]] = ([], [])
    grid, instrument = case.book.grid, case.instrument
    for side, price, size in zip(message.sides, message.prices, message.sizes, strict=True):
        texts[0 if side == BID else 1].append(
            [
                f"{grid.price(int(price)):.{instrument.price_decimals}f}",
                f"{grid.size(int(size)):.{instrument.size_decimals}f}",
            ]
        )
    if isinstance(message, Snapshot):
        return orjson.dumps({"lastUpdateId": message.last_id, "bids": texts[0], "asks": texts[1]})
    return orjson.dumps(
        {
            "e": "depthUpdate", "E": message.event_ms, "s": "BTCUSDT", "U": message.first_id,
            "u": message.final_id, "pu": message.prev_id or 0, "b": texts[0], "a": texts[1],
        }
    )  # fmt: skip


def frames_by_parley(
    case: Case, frames: Sequence[bytes], storage: Storage, read: ReadLevels
) -> Callable[[], Found]:
    """Read frames and follow them with our book."""
    book = OrderBook(RULES[case.instrument.venue], case.book.grid, storage=storage)
    wanted, grid = case.wanted, case.book.grid

    def play() -> Found:
        seen = {}
        for frame in frames:
            message = binance(frame, grid, read)
            if type(message) is Diff:
                book.apply(message)
            elif type(message) is Snapshot:
                book.restore(message)
            best = book.best("bid"), book.best("ask")
            if book.last_id in wanted:
                seen[book.last_id] = best
        return {
            number: (grid.floats(bid), grid.floats(ask)) for number, (bid, ask) in seen.items() if bid and ask
        }

    return play


def frames_by_ccxt(case: Case, frames: Sequence[bytes]) -> Callable[[], Found]:
    """Read frames as ccxt.pro's client does."""
    exchange: Any = ccxt.pro.binance()
    book, wanted = CcxtBook(), case.wanted

    def play() -> Found:
        seen: Found = {}
        snapshot = orjson.loads(frames[0])
        exchange.handle_deltas(book["bids"], snapshot["bids"])
        exchange.handle_deltas(book["asks"], snapshot["asks"])
        for frame in frames[1:]:
            exchange.handle_order_book_message(None, orjson.loads(frame), book)
            best = tuple(book["bids"][0]), tuple(book["asks"][0])
            if book["nonce"] in wanted:
                seen[book["nonce"]] = best  # type: ignore[assignment]
        return seen

    return play


def take_turns(
    ways: Mapping[str, Callable[[], Callable[[], Found]]], wanted: Found, changes: int, runs: int
) -> dict[str, dict[str, float]]:
    """Time the ways by turns; every run of every way has to give the recorded best prices."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, prepare in ways.items():
            play = prepare()
            wall, cpu = time.perf_counter(), time.thread_time()
            seen = play()
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            if seen != wanted:
                raise SystemExit(f"{name} does not give the recorded best prices: {len(seen)} seen")
            # The first turn compiles.
            if turn:
                spent[name].append((cpu, wall))
    return {
        name: {
            "best_per_cpu_s": round(changes / min(cpu for cpu, _ in each)),
            "median_per_cpu_s": round(changes / median(cpu for cpu, _ in each)),
            "median_per_wall_s": round(changes / median(wall for _, wall in each)),
        }
        for name, each in spent.items()
    }


def measure(case: Case, runs: int) -> dict[str, object]:
    """Measure one recording."""
    parsed = [(id_of(each), *sides_of(case, each)) for each in case.joined]
    ways: dict[str, Callable[[], Callable[[], Found]]] = {
        "parley": lambda: play_parley(case, case.book.messages, CompiledArrays()),
        "parley_plain": lambda: play_parley(case, case.book.messages, PlainLists()),
        "ccxt": lambda: play_ccxt(case, parsed),
    }
    if SortedDict is not None:
        ways["sortedcontainers"] = lambda: play_sorted(case, parsed)
    frames = {id(each): frame_of(case, each) for each in case.book.messages}
    all_frames, joined_frames = list(frames.values()), [frames[id(each)] for each in case.joined]
    by_frames: dict[str, Callable[[], Callable[[], Found]]] = {
        "parley": lambda: frames_by_parley(case, all_frames, CompiledArrays(), read_compiled),
        "parley_plain": lambda: frames_by_parley(case, all_frames, PlainLists(), read_plain),
        "ccxt": lambda: frames_by_ccxt(case, joined_frames),
    }
    changes = case.book.changes
    return {
        "messages": len(case.book.messages), "changes": changes, "compared_ids": len(case.wanted),
        "changes_per_s": take_turns(ways, case.wanted, changes, runs),
        "changes_per_s_from_frames": take_turns(by_frames, case.wanted, changes, runs),
    }  # fmt: skip


def version_of(package: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="bench_book", description=(__doc__ or "").splitlines()[0])
    default = Path(os.environ.get("PARLEY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="folder of recorded market data")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    arguments = parser.parse_args()
    folder = arguments.data / "books"
    if not folder.is_dir():
        parser.error(f"there are no recorded books in {str(arguments.data)!r}: set PARLEY_DATA")
    packages = ("numba", "numpy", "ccxt", "orjson", "sortedcontainers")
    result: dict[str, object] = {
        "benchmark": "bench_book", "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": arguments.repeat, "floor": FLOOR, "goal": GOAL, "machine": machine(),
        "versions": {name: version_of(name) for name in packages},
    }  # fmt: skip
    for name, instrument in INSTRUMENTS.items():
        result[name] = measure(read_case(folder, instrument), arguments.repeat)
    result["load_after"] = [round(each, 1) for each in os.getloadavg()]
    Console().print_json(json.dumps(result))
    if arguments.save:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
