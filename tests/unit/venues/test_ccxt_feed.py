"""A socket that took another's place is told, wherever it lies in memory.

Not here: what real sockets do (tests/contract/test_hub_broken.py).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

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
