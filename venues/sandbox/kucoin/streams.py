"""Public topics: the best fifty levels of books, trades, candles.

After each step: trades, books and the closed candle, pair by pair, and last an empty candle that shows where
the next one opens, as on the other protocols. A book is sent whole to whoever begins to listen and after each
change. `timestamp` of a book is wall time, if need be ahead of the clock, every other time is market time.
Not here: sockets. Invariant: a book topic's `timestamp` grows with each message.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from venues.sandbox.bars import Bar
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.kucoin.bodies import candle_row, levels, match_body
from venues.sandbox.kucoin.names import markets_by_id, pair_id
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.wall import VenueClock

_MINUTE_MS = 60_000
_BARS = {
    "1min": 1, "3min": 3, "5min": 5, "15min": 15, "30min": 30, "1hour": 60, "2hour": 120, "4hour": 240,
    "6hour": 360, "8hour": 480, "12hour": 720, "1day": 1440, "1week": 7 * 1440,
}  # fmt: skip
_BOOKS, _TRADES, _CANDLES = "/spotMarket/level2Depth50", "/market/match", "/market/candles"
_DEPTH = 50
Sides = tuple[list[tuple[int, int]], list[tuple[int, int]]]


class MarketTopics:
    """Public topics of KuCoin spot; a listener's stream is named as its topic with one pair."""

    def __init__(
        self, session: MarketSession, exchange: Exchange, hub: StreamHub, way: PublicWay, wall: VenueClock
    ) -> None:
        self._session = session
        self._exchange = exchange
        self._hub = hub
        self._way = way
        self._wall = wall
        self.bars = {
            name: minutes * _MINUTE_MS
            for name, minutes in _BARS.items()
            if minutes * _MINUTE_MS % session.length_ms == 0
        }
        self._markets = markets_by_id(exchange)
        # of each pair the lengths of candles that are listened to
        self._lengths: dict[str, list[str]] = {name: [] for name in self._markets}
        self._books: dict[str, _TopicBook] = {}
        self._published: dict[str, int] = {}
        self.candles_sent = 0

    def topics_of(self, topic: str) -> list[str] | None:
        """The streams that a topic with one or more pairs names; None when there is no such topic."""
        channel, _, names = topic.partition(":")
        found = []
        for each in names.split(","):
            name, _, bar = each.partition("_")
            is_there = name in self._markets and (
                (channel == _CANDLES and bar in self.bars) or (channel in (_BOOKS, _TRADES) and not bar)
            )
            if not is_there:
                return None
            found.append(f"{channel}:{each}")
        return found

    def subscribe(self, connection: Connection, topics: list[str]) -> None:
        """Add a listener and send it what the topics begin with; `topics_of` was asked."""
        self._hub.subscribe(connection, topics)
        self._index()
        for topic in topics:
            channel, _, name = topic.partition(":")
            if channel == _BOOKS:
                book = self._books.setdefault(name, _TopicBook(self._markets[name], self._wall.ms()))
                self._hub.send(connection, book.text())

    def unsubscribe(self, connection: Connection, topics: list[str]) -> None:
        """Remove a listener from some topics."""
        self._hub.unsubscribe(connection, topics)
        self._index()

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection."""
        self._hub.drop(connection)
        self._index()

    def begin(self) -> None:
        """A step, or a part of one, begins."""
        self._published = {}

    def moved(self, market: SymbolMarket) -> None:
        """Publish trades and the book of the step under way."""
        name = pair_id(market.instrument)
        self._publish_trades(market, name)
        book = self._books.get(name)
        if market.book.changes() is None or book is None:
            return
        before = book.stamp
        if book.changed(self._wall.ms()):
            stream = f"{_BOOKS}:{name}"
            # what happens to it must not depend on the wall clock, which numbers it
            number, publish = market.book.update_id, partial(self._hub.publish, stream, book.text())
            self._way.tell_difference(stream, number, before, publish)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """Publish a closed candle."""
        name = pair_id(market.instrument)
        for kind in self._lengths[name]:
            length = self.bars[kind]
            whole = self._session.closed_candle(market.instrument.symbol, length, bar)
            if whole is not None:
                self._publish_candle(name, kind, whole)
                self.candles_sent += 1
                if length == self._session.length_ms:
                    self._published[name] = bar.open_ms

    def ended(self, symbols: Iterable[str]) -> None:
        """Publish where the next candles open."""
        for symbol in symbols:
            name = pair_id(self._exchange.markets[symbol].instrument)
            for kind in self._lengths[name]:
                empty = self._session.next_candle(symbol, self.bars[kind])
                if empty is not None:
                    self._publish_candle(name, kind, empty)

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened pair, the last candle, trade and book that listeners will see."""
        marks: Marks = {}
        for name, market in self._markets.items():
            has_trades, book = self._hub.has(f"{_TRADES}:{name}"), self._books.get(name)
            if has_trades or book is not None or self._lengths[name]:
                marks[name] = {
                    "candle": self._published.get(name),
                    "trade": market.last_trade_id if has_trades else None,
                    "book": None if book is None else self._way.told(f"{_BOOKS}:{name}", book.stamp),
                }
        return marks

    def _index(self) -> None:
        for kinds in self._lengths.values():
            kinds.clear()
        for stream in self._hub.streams():
            channel, _, each = stream.partition(":")
            if channel == _CANDLES:
                name, _, kind = each.partition("_")
                self._lengths[name].append(kind)
        for name in [name for name in self._books if not self._hub.has(f"{_BOOKS}:{name}")]:
            del self._books[name]

    def _publish_trades(self, market: SymbolMarket, name: str) -> None:
        stream = f"{_TRADES}:{name}"
        if self._hub.has(stream):
            for done in market.unpublished:
                text = _text(stream, "trade.l3match", match_body(name, done))
                self._way.tell_trade(stream, done[0], partial(self._hub.publish, stream, text))
        market.unpublished.clear()

    def _publish_candle(self, name: str, kind: str, bar: Bar) -> None:
        stream = f"{_CANDLES}:{name}_{kind}"
        body = {"symbol": name, "candles": candle_row(bar), "time": self._exchange.clock * 1_000_000}
        self._hub.publish(stream, _text(stream, "trade.candles.update", body))


class _TopicBook:
    """What the listeners to one pair's book have seen; `stamp` numbers its messages, in ms of wall time."""

    def __init__(self, market: SymbolMarket, wall: int) -> None:
        self._market = market
        self.stamp = wall
        self._sides = self._now()

    def changed(self, wall: int) -> bool:
        """Look again; whether there is something new to tell."""
        sides = self._now()
        if sides == self._sides:
            return False
        self._sides = sides
        self.stamp = max(self.stamp + 1, wall)
        return True

    def text(self) -> str:
        """The book as it was last looked at."""
        bids, asks = self._sides
        body = {"asks": levels(asks), "bids": levels(bids), "timestamp": self.stamp}
        return _text(f"{_BOOKS}:{pair_id(self._market.instrument)}", "level2", body)

    def _now(self) -> Sides:
        book = self._market.book
        return list(book.bids.items())[:_DEPTH], list(book.asks.items())[:_DEPTH]


def _text(topic: str, subject: str, body: object) -> str:
    message = {"topic": topic, "type": "message", "subject": subject, "data": body}
    return msgspec.json.encode(message).decode()
