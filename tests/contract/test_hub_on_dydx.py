"""A hub at a venue without a certified adapter and without a custodian: dYdX's streams through ccxt's class.

The indexer is a stand-in over real sockets (`tests.kit.dydx`); the real one was never asked.

Not here: what the generic adapter makes of venues that can be compared (`test_hub_on_generic`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from parley.messages import Bar, Book, MarketBatch, Print
from tests.kit.dydx import SYMBOL, Indexer, candle, indexer, trade
from tests.kit.units import FakeDesk, short_folder, unit

pytestmark = pytest.mark.timeout(60)
T0 = 1_700_000_040_000  # opens a minute
MINUTE = 60_000


def heard(desk: FakeDesk) -> tuple[list[Bar], list[Book], list[Print], set[str]]:
    batches = desk.of(MarketBatch)
    return (
        [each for batch in batches for each in batch.bars],
        [each for batch in batches for each in batch.books],
        [each for batch in batches for each in batch.prints],
        {each for batch in batches for each in batch.gaps},
    )


class Closing:
    """A desk that closes every batch it got, and waits until something holds."""

    def __init__(self, desk: FakeDesk) -> None:
        self.desk = desk
        self._closed = 0

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                for each in self.desk.of(MarketBatch)[self._closed :]:
                    self.desk.say(f"closed:{each.step}")
                    self._closed += 1
                await asyncio.sleep(0.02)


def first_state(at: Indexer) -> None:
    at.candles = [candle(T0, "100", "102", "99", "101", "3.5")]
    at.trades = [trade("02ac02", T0 + 20, "SELL", "101", "0.5"), trade("02ac01", T0 + 10, "BUY", "100", "1")]
    at.book = {"bids": [("100", "2"), ("99", "4")], "asks": [("101", "1"), ("102", "5")]}


def test_candles_trades_and_books_of_a_dex_reach_a_desk_and_survive_a_broken_connection() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with indexer() as at:
                first_state(at)
                config = {
                    "socket": str(folder / "hub.sock"), "symbols": [SYMBOL], "exchange": "dydx",
                    "rest": at.rest, "ws": at.ws,
                }  # fmt: skip
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    closing = Closing(desk)
                    await closing.until(lambda: len(heard(desk)[2]) == 2)
                    _, books, prints, _ = heard(desk)
                    assert [(each.px, each.qty, each.side) for each in prints] == [
                        (100, 1, 1),
                        (101, 0.5, -1),
                    ]
                    assert list(books[-1].bids) == [(100, 2), (99, 4)]
                    assert list(books[-1].asks) == [(101, 1), (102, 5)]

                    await at.tell("v4_orderbook", {"bids": [["100", "0"], ["98", "7"]]})
                    await at.tell("v4_trades", {"trades": [trade("02ac03", T0 + 30, "BUY", "102", "2")]})
                    changed = candle(T0, "100", "103", "99", "102", "5.5")
                    await at.tell("v4_candles", changed)
                    await at.tell("v4_candles", candle(T0 + MINUTE, "102", "102", "102", "102", "0"))
                    await closing.until(lambda: len(heard(desk)[0]) == 1 and len(heard(desk)[2]) == 3)
                    (bar,), books, prints, _ = heard(desk)
                    assert bar.t_open == T0 * 1_000_000
                    assert [bar.high, bar.close, bar.volume] == [103, 102, 5.5]
                    assert [prints[-1].px, prints[-1].side] == [102, 1]
                    assert list(books[-1].bids) == [(99, 4), (98, 7)]

                    # what went off the book while nobody listened may not stay in it
                    at.book = {"bids": [("97", "1")], "asks": [("103", "1")]}
                    at.trades = [trade("02ac04", T0 + 70_000, "BUY", "103", "1"), *at.trades]
                    at.candles = [changed, candle(T0 + MINUTE, "102", "103", "102", "103", "1")]
                    await at.cut()
                    await closing.until(lambda: list(heard(desk)[1][-1].bids) == [(97, 1)])
                    assert list(heard(desk)[1][-1].asks) == [(103, 1)]
                    await closing.until(lambda: len(heard(desk)[2]) == 4)  # none twice, none lost
                    assert any("connection" in each for each in heard(desk)[3])
                    await closing.until(lambda: len(at.channels) == 3)
                    at.candles.append(candle(T0 + 2 * MINUTE, "103", "103", "103", "103", "0"))
                    await at.tell("v4_candles", at.candles[-1])
                    await closing.until(lambda: len(heard(desk)[0]) == 2)
                    assert heard(desk)[0][-1].volume == 1
                    desk.link.close("the test is over")

    asyncio.run(run())
