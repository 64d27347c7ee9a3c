"""Hyperliquid's public streams: all on one socket, one subscription a symbol, books always whole.

Problem: a trade's `tid` is a hash, so it says nothing of the order in which trades were; all of a block
have one time. What tells them apart is that time and how many of it came before.

Not here: what is done with what is read (`ccxt_feed`). Invariant: numbers of trades grow in the order in
which they came, as long as the venue's time does; a trade that came twice within its millisecond counts
once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from venues.hyperliquid_words import PING
from venues.pongs import Pongs

_SHIFT: Final = 20  # trades of one millisecond: a million


class HyperliquidMarket:
    """The venue tells no number of a book; its time, which grows from block to block, numbers it."""

    most_symbols = 1

    def __init__(self) -> None:
        self._pongs = Pongs(PING)

    def book_number(self, book: Mapping[str, Any]) -> int:
        return -1 if book["timestamp"] is None else int(book["timestamp"])

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        # ccxt's own names of what it subscribed to
        names = {
            "book": [f"orderbook:{each}" for each in symbols],
            "trade": [f"trade:{each}" for each in symbols],
            "candle": [f"candles:{timeframe}:{each}" for each in symbols],
        }
        return await self._pongs.stands(client, [name for each in streams for name in names[each]])


def numbered(newest_first: Iterator[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give each trade of ccxt's cache a number, newest first."""
    of_one_time: dict[str, Mapping[str, Any]] = {}
    time_ms = -1
    for trade in newest_first:
        if trade["timestamp"] != time_ms:
            yield from _counted(time_ms, of_one_time)
            time_ms, of_one_time = int(trade["timestamp"]), {}
        # the first of its repetitions counts: it is put last, so take out what stands there
        of_one_time.pop(str(trade["id"]), None)
        of_one_time[str(trade["id"])] = trade
    yield from _counted(time_ms, of_one_time)


def _counted(
    time_ms: int, newest_first: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    count = len(newest_first)
    for n, trade in enumerate(newest_first.values()):
        yield (time_ms << _SHIFT) + count - n, trade
