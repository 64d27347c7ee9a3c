"""A socket that took another's place is told, wherever it lies in memory; a refusal is heard once.

Not here: what real sockets do (tests/contract/test_hub_broken.py).
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import ccxt

from venues.ccxt_feed import CcxtFeed

URL = "ws://127.0.0.1/ws"


class Socket:
    """What ccxt holds for an address."""


def test_socket_that_came_to_lie_where_the_old_one_lay_is_told() -> None:
    client: Any = SimpleNamespace(
        clients={URL: Socket()}, timeframes={"1m": "1m"}, parse_timeframe=lambda _: 60
    )
    words: Any = SimpleNamespace(most_symbols=1)
    feed = CcxtFeed(client, words, symbols=["BTC/USDT"], timeframe="1m", streams=["candle"], pause_s=1)
    told: list[str] = []
    feed.notice_replaced(told.append)
    assert told == []
    for _ in range(20):  # CPython hands out again at once what it has just been given back
        del client.clients[URL]
        client.clients[URL] = Socket()
        feed.notice_replaced(told.append)
        feed.notice_replaced(told.append)
    assert told == ["socket: connection replaced"] * 20
    assert feed.reconnects == 20


class Banned:
    """A client whose snapshots were refused all at once; as ccxt does, it keeps a refusal for each symbol."""

    has: dict[str, bool] = {}  # noqa: RUF012 - ccxt's way
    timeframes = {"1m": "1m"}  # noqa: RUF012
    options: dict[str, object] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls = 0
        refusals = {f"orderbook::{n}": ccxt.DDoSProtection("banned") for n in range(4)}
        self.socket = SimpleNamespace(rejections=refusals)
        self.clients = {URL: self.socket}

    def parse_timeframe(self, timeframe: str) -> int:
        return 60

    async def watch_order_book_for_symbols(self, symbols: list[str]) -> object:
        self.calls += 1
        if self.socket.rejections:
            raise self.socket.rejections.popitem()[1]
        return {}


def test_a_refusal_that_is_kept_for_each_symbol_is_heard_once() -> None:
    async def run() -> None:
        client: Any = Banned()
        words: Any = SimpleNamespace(most_symbols=10)
        feed = CcxtFeed(client, words, symbols=["A/B", "C/B"], timeframe="1m", streams=["book"], pause_s=0.01)
        broken: list[str] = []
        following = asyncio.create_task(feed.follow(broken.append, broken.append))
        async with asyncio.timeout(20):
            while client.calls < 8:
                await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert broken == ["book: connection lost"]
        assert feed.reconnects == 1

    asyncio.run(run())
