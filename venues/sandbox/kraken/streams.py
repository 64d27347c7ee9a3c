"""Public channels: order books, trades, candles.

After each step: trades, book and closed candle, pair by pair, and last an empty candle that shows where the
next one opens, as on the other protocols. A book is sent whole to whoever begins to listen, then as
differences with a checksum of its best ten levels. The time of a book is wall time, every other is market
time. Not here: sockets. Invariant: applying all differences to any whole book gives the book, and no two of
them have the same time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import partial

import msgspec

from venues.sandbox.bars import Bar
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.instrument import Instrument
from venues.sandbox.kraken.bodies import Body, decimals, levels, rfc3339, told_candle, told_trade
from venues.sandbox.kraken.names import markets_by_symbol, pair_id
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.units import DECIMALS, text8
from venues.sandbox.wall import VenueClock

_MINUTE_MS = 60_000
_INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
_DEPTHS = (10, 25, 100, 500, 1000)
_BOOK, _TRADE, _CANDLE = "book", "trade", "ohlc"
_CHECKED_LEVELS = 10
_SHOWN_CANDLES = 10
# A book's mark leaves room for what clients tell apart within a millisecond.
_PARTS = 1000
Levels = dict[int, int]


class MarketChannels:
    """Public channels of Kraken spot; a listener's stream is named ``channel-detail:symbol``."""

    def __init__(
        self, session: MarketSession, exchange: Exchange, hub: StreamHub, way: PublicWay, wall: VenueClock
    ) -> None:
        self._session = session
        self._exchange = exchange
        self._hub = hub
        self._way = way
        self._wall = wall
        self.bars = {
            minutes: minutes * _MINUTE_MS
            for minutes in _INTERVALS
            if minutes * _MINUTE_MS % session.length_ms == 0
        }
        self._markets = markets_by_symbol(exchange)
        self._streams: dict[str, list[str]] = {name: [] for name in self._markets}
        self._books: dict[str, _ChannelBook] = {}
        self._published: dict[str, int] = {}
        self.candles_sent = 0

    def stream_of(self, params: Mapping[str, object], symbol: object) -> str | None:
        """The stream that a request names for a pair, None if there is none."""
        if not isinstance(symbol, str) or symbol not in self._markets:
            return None
        match params.get("channel"):
            case "book" if (depth := params.get("depth", 10)) in _DEPTHS:
                return f"{_BOOK}-{depth}:{symbol}"
            case "trade":
                return f"{_TRADE}-0:{symbol}"
            case "ohlc" if (minutes := params.get("interval", 1)) in self.bars:
                return f"{_CANDLE}-{minutes}:{symbol}"
        return None

    def subscribe(self, connection: Connection, stream: str, *, whole: bool) -> None:
        """Add a listener and send it what the channel begins with."""
        self._hub.subscribe(connection, [stream])
        self._index()
        channel, detail, symbol = _parts(stream)
        market = self._markets[symbol]
        if channel == _BOOK:
            book = self._books.setdefault(stream, _ChannelBook(detail, market))
            self._hub.send(connection, book.whole(self._wall.ms()))
        elif channel == _CANDLE and whole:
            history = self._session.histories[market.instrument.symbol]
            rows = history.rows(self.bars[detail], None, None, _SHOWN_CANDLES, self._exchange.clock)
            told = [told_candle(symbol, bar, detail) for bar in rows if bar.close_ms < self._exchange.clock]
            self._hub.send(connection, _text(_CANDLE, told, "snapshot"))

    def unsubscribe(self, connection: Connection, stream: str) -> None:
        """Remove a listener from a channel."""
        self._hub.unsubscribe(connection, [stream])
        self._index()

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection."""
        self._hub.drop(connection)
        self._index()

    def begin(self) -> None:
        """A step, or a part of one, begins."""
        self._published = {}

    def moved(self, market: SymbolMarket) -> None:
        """Publish trades and book changes of the step under way."""
        symbol = market.instrument.pair
        self._publish_trades(market, symbol)
        if market.book.changes() is None:
            return
        for stream in self._streams[symbol]:
            book = self._books.get(stream)
            if book is not None and (text := book.changed(self._wall.ms())):
                publish = partial(self._hub.publish, stream, text)
                self._way.tell_difference(stream, book.mark, book.mark - _PARTS, publish)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """Publish a closed candle."""
        symbol = market.instrument.pair
        for stream in self._streams[symbol]:
            channel, minutes, _ = _parts(stream)
            if channel != _CANDLE:
                continue
            whole = self._session.closed_candle(market.instrument.symbol, self.bars[minutes], bar)
            if whole is not None:
                self._hub.publish(stream, _text(_CANDLE, [told_candle(symbol, whole, minutes)], "update"))
                self.candles_sent += 1
                if self.bars[minutes] == self._session.length_ms:
                    self._published[symbol] = bar.open_ms

    def ended(self, symbols: Iterable[str]) -> None:
        """Publish where the next candles open."""
        for each in symbols:
            symbol = self._exchange.markets[each].instrument.pair
            for stream in self._streams[symbol]:
                channel, minutes, _ = _parts(stream)
                if channel != _CANDLE:
                    continue
                empty = self._session.next_candle(each, self.bars[minutes])
                if empty is not None:
                    row = told_candle(symbol, empty, minutes)
                    self._hub.publish(stream, _text(_CANDLE, [row], "update"))

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened pair, the last candle, trade and book change that listeners will see."""
        marks: Marks = {}
        for symbol, streams in self._streams.items():
            if streams:
                market = self._markets[symbol]
                books = [
                    self._way.told(stream, self._books[stream].mark)
                    for stream in streams
                    if stream in self._books
                ]
                trades = any(_parts(stream)[0] == _TRADE for stream in streams)
                marks[pair_id(market.instrument)] = {
                    "candle": self._published.get(symbol),
                    "trade": market.last_trade_id if trades else None,
                    "book": min(books, default=None),
                }
        return marks

    def _index(self) -> None:
        for streams in self._streams.values():
            streams.clear()
        for stream in self._hub.streams():
            self._streams[_parts(stream)[2]].append(stream)
        for stream in [stream for stream in self._books if not self._hub.has(stream)]:
            del self._books[stream]

    def _publish_trades(self, market: SymbolMarket, symbol: str) -> None:
        stream = f"{_TRADE}-0:{symbol}"
        if self._hub.has(stream) and market.unpublished:
            text = _text(_TRADE, [told_trade(symbol, done) for done in market.unpublished], "update")
            self._way.tell_trade(stream, market.last_trade_id, partial(self._hub.publish, stream, text))
        market.unpublished.clear()


class _ChannelBook:
    """A book as it was last told, with the time of that; ``mark`` is that time as clients count it."""

    def __init__(self, depth: int, market: SymbolMarket) -> None:
        self._depth = depth
        self._market = market
        self._told_ms = 0
        self.mark = 0
        self._bids, self._asks = self._now()

    def whole(self, wall_ms: int) -> str:
        """The whole book as it was last told; who gets it has no time of it yet."""
        self.mark = 0
        return self._text("snapshot", self._bids.items(), self._asks.items(), wall_ms)

    def changed(self, wall_ms: int) -> str:
        """What changed since it was last told, nothing if nothing did."""
        bids, asks = self._now()
        changed_bids, changed_asks = _difference(self._bids, bids), _difference(self._asks, asks)
        if not changed_bids and not changed_asks:
            return ""
        self._bids, self._asks = bids, asks
        self._told_ms = max(wall_ms, self._told_ms + 1)
        self.mark = self._told_ms * _PARTS
        return self._text("update", changed_bids, changed_asks, self._told_ms)

    def _now(self) -> tuple[Levels, Levels]:
        book = self._market.book
        return (
            dict(list(book.bids.items())[: self._depth]),
            dict(list(book.asks.items())[: self._depth]),
        )

    def _text(
        self, kind: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], wall_ms: int
    ) -> str:
        row = {
            "symbol": self._market.instrument.pair,
            "bids": levels(bids),
            "asks": levels(asks),
            "checksum": checksum(self._market.instrument, self._bids, self._asks),
            "timestamp": rfc3339(wall_ms),
        }
        return _text(_BOOK, [row], kind)


def checksum(instrument: Instrument, bids: Levels, asks: Levels) -> int:
    """CRC32 of the best ten levels, asks first, each number without its point and leading zeros."""
    of_price, of_qty = decimals(instrument.tick), decimals(instrument.lot)
    text = "".join(
        _digits(price, of_price) + _digits(qty, of_qty)
        for side in (asks, bids)
        for price, qty in list(side.items())[:_CHECKED_LEVELS]
    )
    return zlib.crc32(text.encode())


def _digits(units: int, places: int) -> str:
    whole, _, part = text8(units).partition(".")
    return (whole + part[: min(places, DECIMALS)]).lstrip("0")


def _difference(old: Levels, new: Levels) -> list[tuple[int, int]]:
    changed = [(price, qty) for price, qty in new.items() if old.get(price) != qty]
    return changed + [(price, 0) for price in old if price not in new]


def _parts(stream: str) -> tuple[str, int, str]:
    name, _, symbol = stream.partition(":")
    channel, _, detail = name.partition("-")
    return channel, int(detail), symbol


def _text(channel: str, rows: list[Body], kind: str) -> str:
    return msgspec.json.encode({"channel": channel, "type": kind, "data": rows}).decode()
