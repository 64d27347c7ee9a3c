"""Public channels: order books, trades, candles, tickers.

After each step: trades, books, closed candle and tickers, pair by pair, and last an empty candle that shows
where the next one opens, as on the other protocols. A book is sent whole to whoever begins to listen, then as
differences that name the one before (`prevSeqId`). `ts` of a book is wall time, every other time is market
time. Not here: sockets. Invariant: each difference's `prevSeqId` is the `seqId` of the channel's message
before, and applying all differences to any snapshot gives the book.
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
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.okx.bodies import candle_row, levels, plain, trade_row
from venues.sandbox.okx.names import inst_id, markets_by_id
from venues.sandbox.okx.public_api import ticker_body
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.wall import VenueClock

_MINUTE_MS = 60_000
# Longer candles than 4 hours open at midnight of Hong Kong unless UTC is asked for; only UTC is made here.
_BARS = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240, "6Hutc": 360,
    "12Hutc": 720, "1Dutc": 1440, "1Wutc": 7 * 1440,
}  # fmt: skip
_DIFFERENCES = {"books": 400}
_WHOLE = {"books5": 5, "bbo-tbt": 1}
_CANDLE = "candle"
# A message carries at most so many trades.
_MOST_TRADES = 100
_CHECKED_LEVELS = 25
Levels = dict[int, int]


class MarketChannels:
    """Public channels of OKX spot; a listener's stream is named ``channel:instId``."""

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
        self._channels: dict[str, list[str]] = {name: [] for name in self._markets}
        self._books: dict[str, _ChannelBook] = {}
        self._published: dict[str, int] = {}
        self.candles_sent = 0

    def is_known(self, arg: Mapping[str, str], *, is_business: bool) -> bool:
        """Whether an argument names a channel of this address; candles and single trades have their own."""
        channel = arg.get("channel", "")
        if arg.get("instId") not in self._markets:
            return False
        if is_business:
            return channel == "trades-all" or (
                channel.startswith(_CANDLE) and channel.removeprefix(_CANDLE) in self.bars
            )
        return channel in ("trades", "tickers") or channel in _DIFFERENCES or channel in _WHOLE

    def subscribe(self, connection: Connection, arg: Mapping[str, str]) -> None:
        """Add a listener and send it what the channel begins with; `is_known` was asked."""
        channel, name = arg["channel"], arg["instId"]
        stream = f"{channel}:{name}"
        self._hub.subscribe(connection, [stream])
        self._index()
        market = self._markets[name]
        if channel in _DIFFERENCES or channel in _WHOLE:
            depth = _DIFFERENCES.get(channel) or _WHOLE[channel]
            book = self._books.setdefault(stream, _ChannelBook(channel, depth, market))
            self._hub.send(connection, book.snapshot(self._wall.ms()))
        elif channel == "tickers":
            self._hub.send(connection, _text(arg, [ticker_body(self._session, market)]))

    def unsubscribe(self, connection: Connection, arg: Mapping[str, str]) -> None:
        """Remove a listener from a channel."""
        self._hub.unsubscribe(connection, [f"{arg['channel']}:{arg['instId']}"])
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
        name = inst_id(market.instrument)
        self._publish_trades(market, name)
        if market.book.changes() is None:
            return
        for stream in self._channels[name]:
            book = self._books.get(stream)
            if book is None:
                continue
            before = book.number
            text = book.changed(self._wall.ms())
            if text:
                publish = partial(self._hub.publish, stream, text)
                self._way.tell_difference(stream, book.number, before, publish)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """Publish a closed candle and the pair's ticker."""
        name = inst_id(market.instrument)
        for stream in self._channels[name]:
            channel = stream.partition(":")[0]
            arg = {"channel": channel, "instId": name}
            if channel == "tickers":
                self._hub.publish(stream, _text(arg, [ticker_body(self._session, market)]))
            elif channel.startswith(_CANDLE):
                length = self.bars[channel.removeprefix(_CANDLE)]
                whole = self._session.closed_candle(market.instrument.symbol, length, bar)
                if whole is not None:
                    self._hub.publish(stream, _text(arg, [candle_row(whole, True)]))
                    self.candles_sent += 1
                    if length == self._session.length_ms:
                        self._published[name] = bar.open_ms

    def ended(self, symbols: Iterable[str]) -> None:
        """Publish where the next candles open."""
        for symbol in symbols:
            name = inst_id(self._exchange.markets[symbol].instrument)
            for stream in self._channels[name]:
                channel = stream.partition(":")[0]
                if channel.startswith(_CANDLE):
                    length = self.bars[channel.removeprefix(_CANDLE)]
                    empty = self._session.next_candle(symbol, length)
                    if empty is not None:
                        arg = {"channel": channel, "instId": name}
                        self._hub.publish(stream, _text(arg, [candle_row(empty, False)]))

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened pair, the last candle, trade and book change that listeners will see."""
        marks: Marks = {}
        for name, streams in self._channels.items():
            if streams:
                kinds = {stream.partition(":")[0] for stream in streams}
                # only the channel of differences has numbers that clients keep
                books = [
                    self._way.told(stream, self._books[stream].number)
                    for stream in streams
                    if stream in self._books and stream.partition(":")[0] in _DIFFERENCES
                ]
                trades = kinds & {"trades", "trades-all"}
                marks[name] = {
                    "candle": self._published.get(name),
                    "trade": self._markets[name].last_trade_id if trades else None,
                    "book": min(books, default=None),
                }
        return marks

    def _index(self) -> None:
        for streams in self._channels.values():
            streams.clear()
        for stream in self._hub.streams():
            self._channels[stream.partition(":")[2]].append(stream)
        for stream in [stream for stream in self._books if not self._hub.has(stream)]:
            del self._books[stream]

    def _publish_trades(self, market: SymbolMarket, name: str) -> None:
        for channel in ("trades", "trades-all"):
            stream = f"{channel}:{name}"
            if not self._hub.has(stream):
                continue
            for first in range(0, len(market.unpublished), _MOST_TRADES):
                part = market.unpublished[first : first + _MOST_TRADES]
                rows = [trade_row(name, done) for done in part]
                text = _text({"channel": channel, "instId": name}, rows)
                self._way.tell_trade(stream, part[0][0], partial(self._hub.publish, stream, text))
        market.unpublished.clear()


class _ChannelBook:
    """What the listeners of one book channel of one pair have seen; `number` is that of the last change."""

    def __init__(self, channel: str, depth: int, market: SymbolMarket) -> None:
        self._channel = channel
        self._depth = depth
        self._market = market
        self._name = inst_id(market.instrument)
        self.number = market.book.update_id
        self._bids, self._asks = self._now()

    def snapshot(self, wall: int) -> str:
        """The whole book as it was last told."""
        action = "snapshot" if self._channel in _DIFFERENCES else ""
        return self._text(action, self._bids.items(), self._asks.items(), -1, wall)

    def changed(self, wall: int) -> str:
        """What changed since it was last told, nothing if nothing did; short books are always told whole."""
        bids, asks = self._now()
        changed_bids, changed_asks = _difference(self._bids, bids), _difference(self._asks, asks)
        if not changed_bids and not changed_asks:
            return ""
        self._bids, self._asks = bids, asks
        before, self.number = self.number, self._market.book.update_id
        if self._channel in _WHOLE:
            return self.snapshot(wall)
        return self._text("update", changed_bids, changed_asks, before, wall)

    def _now(self) -> tuple[Levels, Levels]:
        book = self._market.book
        return (
            dict(list(book.bids.items())[: self._depth]),
            dict(list(book.asks.items())[: self._depth]),
        )

    def _text(
        self,
        action: str,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
        before: int,
        wall: int,
    ) -> str:
        body: dict[str, object] = {
            "asks": levels(asks), "bids": levels(bids), "ts": str(wall), "seqId": self.number,
        }  # fmt: skip
        if self._channel in _DIFFERENCES:
            body |= {"checksum": checksum(self._bids, self._asks), "prevSeqId": before}
        else:
            body |= {"instId": self._name}
        return _text({"channel": self._channel, "instId": self._name}, [body], action)


def checksum(bids: Levels, asks: Levels) -> int:
    """CRC32 of the best 25 levels, bid and ask in turn, as a signed number of 32 bits."""
    of_bids = [f"{plain(price)}:{plain(qty)}" for price, qty in list(bids.items())[:_CHECKED_LEVELS]]
    of_asks = [f"{plain(price)}:{plain(qty)}" for price, qty in list(asks.items())[:_CHECKED_LEVELS]]
    parts = []
    for at in range(max(len(of_bids), len(of_asks))):
        parts += of_bids[at : at + 1] + of_asks[at : at + 1]
    found = zlib.crc32(":".join(parts).encode())
    return found - (1 << 32) if found >= 1 << 31 else found


def _difference(old: Levels, new: Levels) -> list[tuple[int, int]]:
    changed = [(price, qty) for price, qty in new.items() if old.get(price) != qty]
    return changed + [(price, 0) for price in old if price not in new]


def _text(
    arg: Mapping[str, str], rows: list[object] | list[dict[str, object]] | list[list[str]], action: str = ""
) -> str:
    message: dict[str, object] = {"arg": arg}
    if action:
        message["action"] = action
    message["data"] = rows
    return msgspec.json.encode(message).decode()
