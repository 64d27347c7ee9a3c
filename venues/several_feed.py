"""Market data of several exchanges as one feed, and what a hub needs of a feed.

Problem: a desk that trades at several exchanges is told of all of them by one hub, in one order. So their
feeds are read as one, whose symbols say where they are traded (`parley.instruments.at`); each feed knows its
own plain names only (ADR 43).

Not here: any exchange (`ccxt_feed`), what paces a hub (`runtime.hub`).

Invariant: a symbol is read from exactly one feed; a connection that was lost puts in doubt what came over it
and nothing of another exchange.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from parley.errors import ConfigError, UserError
from parley.instruments import at, exchange_of, plain
from parley.messages import Print
from venues.ccxt_feed import CcxtFeed, Levels, OnGap

Row = tuple[int, float, float, float, float, float]


class OnBreak(Protocol):
    """Hears of a connection that was lost, over which these symbols came; none: all of the feed's."""

    def __call__(self, note: str, symbols: Sequence[str] = ()) -> None: ...


class Feed(Protocol):
    """Market data of one exchange or of several; all as `CcxtFeed` says."""

    heard: asyncio.Event

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is told of."""

    @property
    def streams(self) -> frozenset[str]:
        """What is told."""

    @property
    def tf_ms(self) -> int:
        """How long a candle is."""

    @property
    def reconnects(self) -> int:
        """How many connections were lost."""

    @property
    def resyncs(self) -> int:
        """How often a book was read anew."""

    async def connect(self) -> None:
        """As `CcxtFeed.connect`."""

    def symbol_of(self, venue_id: str) -> str | None:
        """As `CcxtFeed.symbol_of`; an id of another exchange than the first one carries its name."""

    async def follow(self, on_gap: OnGap, on_break: OnBreak) -> None:
        """As `CcxtFeed.follow`."""

    def hear_at_once(self) -> None:
        """As `CcxtFeed.hear_at_once`."""

    def notice_replaced(self, on_break: OnBreak) -> None:
        """As `CcxtFeed.notice_replaced`."""

    async def is_subscribed(self) -> bool:
        """As `CcxtFeed.is_subscribed`."""

    def candles(self, symbol: str, after_ms: int) -> list[Row]:
        """As `CcxtFeed.candles`."""

    async def fetch_candles(self, symbol: str, since_ms: int) -> list[Row]:
        """As `CcxtFeed.fetch_candles`."""

    def trades(self, symbol: str, after_id: int) -> list[tuple[int, Print]]:
        """As `CcxtFeed.trades`."""

    def last_trade_id(self, symbol: str) -> int:
        """As `CcxtFeed.last_trade_id`."""

    def book_number(self, symbol: str) -> int:
        """As `CcxtFeed.book_number`."""

    def book(self, symbol: str, levels: int) -> tuple[int, int, Levels, Levels]:
        """As `CcxtFeed.book`."""

    def mark_number(self, symbol: str) -> int:
        """As `CcxtFeed.mark_number`."""

    def mark(self, symbol: str) -> tuple[float, float | None, int]:
        """As `CcxtFeed.mark`."""

    async def close(self) -> None:
        """Let go of all connections."""


class SeveralFeeds:
    """Feeds by exchange; the names of the first one's symbols are plain."""

    def __init__(self, feeds: Mapping[str, CcxtFeed]) -> None:
        self._names = list(feeds)
        self._feeds = {("" if n == 0 else name): feed for n, (name, feed) in enumerate(feeds.items())}
        self._home = self._feeds[""]
        self.symbols = tuple(sorted(each for where in self._feeds for each in self._symbols_at(where)))
        self.heard = asyncio.Event()
        for feed in feeds.values():
            feed.heard = self.heard

    @property
    def streams(self) -> frozenset[str]:
        return frozenset().union(*(each.streams for each in self._feeds.values()))

    @property
    def tf_ms(self) -> int:
        return self._home.tf_ms

    @property
    def reconnects(self) -> int:
        return sum(each.reconnects for each in self._feeds.values())

    @property
    def resyncs(self) -> int:
        return sum(each.resyncs for each in self._feeds.values())

    async def connect(self) -> None:
        answers = await asyncio.gather(
            *(each.connect() for each in self._feeds.values()), return_exceptions=True
        )
        failed = [(name, each) for name, each in zip(self._names, answers, strict=True) if each is not None]
        # waiting helps only where nothing else is wrong than that nobody answers
        for name, error in sorted(failed, key=lambda each: not isinstance(each[1], ConfigError)):
            if not isinstance(error, UserError):
                raise error
            raise type(error)(f"{name}: {error}") from error

    def symbol_of(self, venue_id: str) -> str | None:
        where = exchange_of(venue_id)
        symbol = self._feeds[where].symbol_of(plain(venue_id)) if where in self._feeds else None
        return None if symbol is None else at(symbol, where)

    async def follow(self, on_gap: OnGap, on_break: OnBreak) -> None:
        def of(where: str, name: str, feed: CcxtFeed) -> Coroutine[None, None, None]:
            return feed.follow(lambda note: on_gap(f"{name} {note}"), self._broken(where, name, on_break))

        following = [
            asyncio.ensure_future(of(where, name, feed))
            for name, (where, feed) in zip(self._names, self._feeds.items(), strict=True)
        ]
        try:
            await asyncio.gather(*following)
        finally:
            for each in following:
                each.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    def hear_at_once(self) -> None:
        for each in self._feeds.values():
            each.hear_at_once()

    def notice_replaced(self, on_break: OnBreak) -> None:
        for name, (where, feed) in zip(self._names, self._feeds.items(), strict=True):
            feed.notice_replaced(self._broken(where, name, on_break))

    def _broken(self, where: str, name: str, on_break: OnBreak) -> Callable[[str], None]:
        symbols = self._symbols_at(where)
        return lambda note: on_break(f"{name} {note}", symbols)

    def _symbols_at(self, where: str) -> list[str]:
        return [at(each, where) for each in self._feeds[where].symbols]

    async def is_subscribed(self) -> bool:
        return all([await each.is_subscribed() for each in self._feeds.values()])

    def candles(self, symbol: str, after_ms: int) -> list[Row]:
        return self._of(symbol).candles(plain(symbol), after_ms)

    async def fetch_candles(self, symbol: str, since_ms: int) -> list[Row]:
        return await self._of(symbol).fetch_candles(plain(symbol), since_ms)

    def trades(self, symbol: str, after_id: int) -> list[tuple[int, Print]]:
        found = self._of(symbol).trades(plain(symbol), after_id)
        if not exchange_of(symbol):
            return found
        return [(number, replace(each, symbol=symbol)) for number, each in found]

    def last_trade_id(self, symbol: str) -> int:
        return self._of(symbol).last_trade_id(plain(symbol))

    def book_number(self, symbol: str) -> int:
        return self._of(symbol).book_number(plain(symbol))

    def book(self, symbol: str, levels: int) -> tuple[int, int, Levels, Levels]:
        return self._of(symbol).book(plain(symbol), levels)

    def mark_number(self, symbol: str) -> int:
        feed = self._of(symbol)
        return feed.mark_number(plain(symbol)) if "mark" in feed.streams else -1

    def mark(self, symbol: str) -> tuple[float, float | None, int]:
        return self._of(symbol).mark(plain(symbol))

    def _of(self, symbol: str) -> CcxtFeed:
        return self._feeds[exchange_of(symbol)]

    async def close(self) -> None:
        for ended in await asyncio.gather(
            *(each.close() for each in self._feeds.values()), return_exceptions=True
        ):
            if isinstance(ended, BaseException):
                raise ended
