"""ccxt's sockets tell of each message by themselves: nobody watches a stream, nobody looks by the clock.

Not here: when the hub sends what arrived (tests/unit/runtime/test_hub_paced.py).
"""

from __future__ import annotations

import asyncio

import pytest

from runtime.hub_feed import Marks, Seen, behind
from tests.kit.sandbox import SandboxProcess
from tests.kit.venues import VENUES
from venues.adapters import feed_of
from venues.ccxt_feed import CcxtFeed

pytestmark = pytest.mark.timeout(120)
# `binance` has candles, trades and books on sockets of their own
EXCHANGES = ("binance", "okx", "bybit", "kraken", "kucoin")


def seen(feed: CcxtFeed) -> dict[str, Seen]:
    found = {}
    for symbol in feed.symbols:
        rows = feed.candles(symbol, -1)
        found[symbol] = Seen(
            candle=rows[-2][0] if len(rows) > 1 else -1, trade=feed.last_trade_id(symbol),
            book=feed.book_number(symbol),
        )  # fmt: skip
    return found


async def subscribed(feed: CcxtFeed) -> None:
    while not await feed.is_subscribed():
        await asyncio.sleep(0.01)
    feed.notice_replaced(lambda note: None)


def feed_at(exchange: str, venue: SandboxProcess) -> CcxtFeed:
    """A feed whose streams are watched once an hour."""
    return feed_of(
        exchange, venue.rest, venue.ws, symbols=["BTC/USDT", "ETH/USDT"], timeframe="1m",
        streams=["candle", "trade", "book"], pause_s=3600,
    )  # fmt: skip


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_whatever_a_step_brings_is_in_the_caches_when_it_is_heard(exchange: str) -> None:
    async def run() -> None:
        market = {"kind": "synthetic", "candles": 30, "history": 60, "trades_per_candle": 4}
        async with VENUES[exchange].sandbox(market) as venue:
            feed = feed_at(exchange, venue)
            await feed.connect()
            feed.hear_at_once()
            following = asyncio.ensure_future(feed.follow(lambda *_: None, lambda *_: None))
            try:
                await subscribed(feed)
                driver = await venue.control()
                await driver.go()
                await driver.steps(2)  # each stream was heard once: its watcher rests from now on
                await asyncio.sleep(0.3)
                waits = 0
                for _ in range(8):
                    feed.heard.clear()
                    step = await driver.steps(1)
                    told = {feed.symbol_of(name): mark for name, mark in step["marks"].items()}
                    marks = {symbol: Marks(**mark) for symbol, mark in told.items() if symbol}
                    assert len(marks) == 2
                    while behind(marks, seen(feed)):
                        waits += 1
                        await asyncio.wait_for(feed.heard.wait(), 10)
                        feed.heard.clear()
                assert waits
                await driver.hang_up()
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                await feed.close()

    asyncio.run(run())
