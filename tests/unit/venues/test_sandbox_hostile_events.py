"""Events on their way to listeners: lost, told twice, told behind their neighbour; seed and number decide.

Not here: who listens and what events say (tests/contract/test_hostile_streams.py).
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

from venues.sandbox.hostility.events import HELD_S, AccountWay, MarketWay
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.settings import EventShares, MarketShares
from venues.sandbox.truth import TruthLog

COUNT = 200


class Listener:
    """What came, and what the truth log said before it did."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "truth.jsonl"
        self._file.unlink(missing_ok=True)
        self.notes = Notes(TruthLog(self._file), lambda: 0)
        self.heard: list[int] = []
        self.lines_before: dict[int, int] = {}

    def hear(self, number: int) -> None:
        self.lines_before.setdefault(number, len(self.lines()))
        self.heard.append(number)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def met(self, what: str, key: str) -> list[int]:
        return [line[key] for line in self.lines() if line["what"] == what]


def account_events(shares: EventShares, folder: Path, seed: int = 7) -> Listener:
    """Tell events numbered from 1 to two accounts in turn; those of the first are listened to."""

    async def run() -> Listener:
        listener = Listener(folder)
        way = AccountWay(shares, seed, listener.notes)
        for number in range(1, COUNT + 1):
            way.tell("first", "executionReport", f"c{number}", partial(listener.hear, number))
            way.tell("second", "executionReport", "", lambda: None)
        await asyncio.sleep(HELD_S * 1.5)
        return listener

    return asyncio.run(run())


def test_lost_events_never_come(tmp_path: Path) -> None:
    listener = account_events(EventShares(lost=0.3), tmp_path)
    lost = [line["event_number"] for line in listener.lines() if line["account"] == "first"]
    assert 40 < len(lost) < 80
    assert listener.heard == [n for n in range(1, COUNT + 1) if n not in lost]


def test_duplicated_events_come_twice_some_of_them_behind_the_next(tmp_path: Path) -> None:
    listener = account_events(EventShares(duplicated=0.3), tmp_path)
    twice = [line["event_number"] for line in listener.lines() if line["account"] == "first"]
    assert 40 < len(twice) < 80
    assert sorted(listener.heard) == sorted([*range(1, COUNT + 1), *twice])
    apart = {n for n in twice if listener.heard.index(n) + 1 != len(listener.heard)
             and listener.heard[listener.heard.index(n) + 1] != n}  # fmt: skip
    assert 10 < len(apart) < len(twice) - 10


def test_swapped_events_come_behind_their_neighbour_and_the_last_one_by_the_clock(tmp_path: Path) -> None:
    listener = account_events(EventShares(swapped=0.3), tmp_path)
    swapped = [line["event_number"] for line in listener.lines() if line["account"] == "first"]
    assert 40 < len(swapped) < 80
    expected = list(range(1, COUNT + 1))
    for number in swapped:
        if number < COUNT:
            expected[number - 1], expected[number] = expected[number], expected[number - 1]
    assert listener.heard == expected

    every = account_events(EventShares(swapped=1.0), tmp_path)
    assert every.heard[:4] == [2, 1, 4, 3]
    assert sorted(every.heard) == list(range(1, COUNT + 1))


def test_an_event_that_waits_for_a_neighbour_which_never_comes_is_told_by_the_clock(tmp_path: Path) -> None:
    async def run() -> None:
        listener = Listener(tmp_path)
        way = AccountWay(EventShares(swapped=1.0), 7, listener.notes)
        flushed: list[int] = []
        way.flush = lambda: flushed.append(len(listener.heard))
        way.tell("first", "executionReport", "c1", partial(listener.hear, 1))
        assert listener.heard == []
        await asyncio.sleep(HELD_S * 1.5)
        assert (listener.heard, flushed) == ([1], [1])
        way.tell("first", "executionReport", "c2", partial(listener.hear, 2))
        way.stop()
        await asyncio.sleep(HELD_S * 1.5)
        assert listener.heard == [1]

    asyncio.run(run())


def test_the_truth_log_says_it_before_anybody_hears(tmp_path: Path) -> None:
    listener = account_events(EventShares(lost=0.2, duplicated=0.2, swapped=0.2), tmp_path)
    for at, line in enumerate(listener.lines()):
        if line["account"] == "first" and line["what"] != "event_lost":
            assert listener.lines_before[line["event_number"]] > at
            assert line["client_order_id"] == f"c{line['event_number']}"


def test_seed_and_number_decide(tmp_path: Path) -> None:
    shares = EventShares(lost=0.2, duplicated=0.2, swapped=0.2)
    first = account_events(shares, tmp_path).heard
    assert account_events(shares, tmp_path).heard == first
    assert account_events(shares, tmp_path, seed=8).heard != first


def differences(shares: MarketShares, folder: Path, streams: int = 1) -> tuple[Listener, MarketWay]:
    """Tell differences of two updates each to every one of some streams."""
    listener = Listener(folder)
    way = MarketWay(shares, 7, listener.notes)
    for number in range(2, 2 * COUNT + 2, 2):
        for stream in range(streams):
            way.tell_difference(f"s{stream}", number, number - 2, partial(listener.hear, number))
    return listener, way


def test_lost_differences_leave_a_hole_and_the_mark_stays_before_it(tmp_path: Path) -> None:
    listener, _ = differences(MarketShares(lost=0.3), tmp_path)
    lost = listener.met("difference_lost", "update")
    assert 40 < len(lost) < 80
    assert listener.heard == [n for n in range(2, 2 * COUNT + 2, 2) if n not in lost]

    way = MarketWay(MarketShares(lost=1.0), 7, listener.notes)
    assert way.told("s", 10) == 10
    way.tell_difference("s", 12, 10, lambda: None)
    way.tell_difference("s", 14, 12, lambda: None)
    assert way.told("s", 14) == 10


def test_the_mark_goes_on_with_the_next_difference_that_comes(tmp_path: Path) -> None:
    listener, _ = differences(MarketShares(lost=0.5), tmp_path)
    lost = set(listener.met("difference_lost", "update"))
    way = MarketWay(MarketShares(lost=0.5), 7, listener.notes)
    newest = 0
    for number in range(2, 2 * COUNT + 2, 2):
        way.tell_difference("s0", number, number - 2, lambda: None)
        newest = newest if number in lost else number
        assert way.told("s0", number) == newest


def test_duplicated_differences_and_trades_come_twice(tmp_path: Path) -> None:
    listener, way = differences(MarketShares(duplicated=0.3), tmp_path)
    twice = listener.met("difference_duplicated", "update")
    assert 40 < len(twice) < 80
    assert listener.heard == sorted([*range(2, 2 * COUNT + 2, 2), *twice])
    listener.heard.clear()
    for number in range(COUNT):
        way.tell_trade("t", number, partial(listener.hear, number))
    assert listener.heard == sorted([*range(COUNT), *listener.met("trade_duplicated", "trade")])
    assert len(listener.heard) > COUNT + 20
