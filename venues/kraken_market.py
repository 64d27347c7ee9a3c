"""Kraken's public streams, WebSocket v2: what their subscriptions are called and how a book is numbered.

A book comes whole and then in differences, each with the venue's time and a checksum of its best ten levels,
and without a number. ccxt's check of the checksum fails on numbers, so it stays off and a lost difference
would go unnoticed; on one connection none is lost.

Not here: reading them (`ccxt_feed`). Invariant: two contents of a book that are told one after the other have
two numbers, but for one in a thousand of those within one millisecond.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from parley.errors import ConfigError
from venues.kraken_words import PING
from venues.pongs import Pongs, socket_of

_MOST_SYMBOLS: Final = 50
_LONGEST_BAR_S: Final = 86_400
_PARTS: Final = 1000
_NAMES: Final = {"book": "orderbook@", "trade": "trade@", "candle": "ohlcv@"}  # ccxt's own


class KrakenMarket:
    """All streams are on one socket; a book's number grows with the venue's time of it."""

    most_symbols = _MOST_SYMBOLS

    def __init__(self) -> None:
        self._pongs = Pongs(dict(PING))

    def book_number(self, book: Mapping[str, Any]) -> int:
        # the first, whole one has no time in ccxt
        time_ms = int(book["timestamp"] or 0)
        content = tuple((each[0], each[1]) for side in ("bids", "asks") for each in book[side])
        return time_ms * _PARTS + hash(content) % _PARTS

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        if "candle" in streams and client.parse_timeframe(timeframe) > _LONGEST_BAR_S:
            raise ConfigError(
                f"timeframe: expected at most 1d at Kraken, was {timeframe!r}: its weeks begin on a Thursday"
            )
        wanted = [_NAMES[stream] + symbol for stream in streams for symbol in symbols]
        if not await self._pongs.stands(client, wanted):
            return False
        socket = socket_of(client, wanted)
        # ccxt keeps a refused subscription only as a rejection nobody awaits
        return socket is not None and not socket.rejections
