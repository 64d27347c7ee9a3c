"""Which books a hub sends on."""

from __future__ import annotations

from typing import Any, cast

from runtime.hub_batches import Hub, HubConfig
from tests.kit.builders import T0
from venues.ccxt_feed import CcxtFeed

SYMBOL = "BTC/USDT"


class Books:
    symbols = (SYMBOL,)
    streams = frozenset({"book"})
    tf_ms = 60_000
    number = -1

    def candles(self, symbol: str, after_ms: int) -> list[Any]:
        return []

    def trades(self, symbol: str, after_id: int) -> list[Any]:
        return []

    def notice_replaced(self, on_break: Any) -> None:
        pass

    def book_number(self, symbol: str) -> int:
        return self.number

    def book(self, symbol: str, levels: int) -> Any:
        return self.number, 0, ((1.0, 1.0),), ((2.0, 1.0),)


def test_book_whose_numbers_begin_anew_is_sent_on() -> None:
    feed = Books()
    hub = Hub(HubConfig(socket="/nowhere", symbols=(SYMBOL,), streams=("book",)), cast(CcxtFeed, feed))
    sent = []
    for number in (-1, 100, 101, 101, 3, 4, -1, 5):  # 3: seqId 3 with prevSeqId 101, as after maintenance
        feed.number = number
        hub.gather(T0)
        sent.append(hub.has_news)
        hub._next.take(1, T0)
    assert sent == [False, True, True, False, True, True, False, True]
