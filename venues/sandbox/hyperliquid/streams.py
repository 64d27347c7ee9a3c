"""Public streams: order books, trades, candles.

After each step: trades, books and the closed candle, pair by pair, and last an empty candle that shows where
the next one opens, as on the other protocols. A book is always told whole. Its `time` is wall time, a
millisecond later than the one before at least; every other time is market time. Not here: sockets. Invariant:
messages of one socket come in the order of the market.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from venues.sandbox.bars import Bar
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.hyperliquid.bodies import candle_body, levels, trade_body
from venues.sandbox.hyperliquid.info_api import MOST_LEVELS
from venues.sandbox.hyperliquid.names import Names
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.wall import VenueClock

_MINUTE_MS = 60_000
_INTERVALS = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "8h": 480, "12h": 720,
    "1d": 1440, "3d": 3 * 1440, "1w": 7 * 1440,
}  # fmt: skip
_KINDS = ("l2Book", "trades", "candle")
_SHIFT = 20  # a client numbers trades by their time and how many of it came before


class MarketChannels:
    """Public streams; a listener's is named ``kind:interval:coin``, without an interval but for candles."""

    def __init__(
        self, session: MarketSession, hub: StreamHub, way: PublicWay, names: Names, wall: VenueClock
    ) -> None:
        self._session = session
        self._hub = hub
        self._way = way
        self._names = names
        self._wall = wall
        self.intervals = {
            name: minutes * _MINUTE_MS
            for name, minutes in _INTERVALS.items()
            if minutes * _MINUTE_MS % session.length_ms == 0
        }
        self._streams: dict[str, list[str]] = {coin: [] for coin in names.markets}
        self._times: dict[str, int] = {}
        self._traded: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self.candles_sent = 0

    def stream_of(self, subscription: dict[str, object]) -> str | None:
        """The stream's name that is asked for, None when there is no such."""
        kind, coin = subscription.get("type"), subscription.get("coin")
        interval = subscription.get("interval") if kind == "candle" else ""
        if kind not in _KINDS or coin not in self._streams or not isinstance(interval, str):
            return None
        if kind == "candle" and interval not in self.intervals:
            return None
        return f"{kind}:{interval}:{coin}"

    def subscribe(self, connection: Connection, stream: str) -> None:
        """Add a listener and send it what the stream begins with."""
        self._hub.subscribe(connection, [stream])
        self._index()
        kind, _, coin = stream.split(":")
        if kind == "l2Book":
            time_ms = self._times.setdefault(coin, self._wall.ms())
            self._hub.send(connection, self._book(coin, self._names.markets[coin], time_ms))

    def unsubscribe(self, connection: Connection, stream: str) -> None:
        """Remove a listener."""
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
        coin = self._names.coin(market.instrument)
        self._publish_trades(market, coin)
        if market.book.changes() is None:
            return
        before = self._times.get(coin, 0)
        self._times[coin] = time_ms = max(before + 1, self._wall.ms())
        stream = f"l2Book::{coin}"
        if self._hub.has(stream):
            publish = partial(self._hub.publish, stream, self._book(coin, market, time_ms))
            self._way.tell_difference(stream, time_ms, before, publish)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """Publish a closed candle."""
        coin = self._names.coin(market.instrument)
        for interval in self._listened(coin):
            length = self.intervals[interval]
            whole = self._session.closed_candle(market.instrument.symbol, length, bar)
            if whole is not None:
                self._publish_candle(coin, interval, whole)
                self.candles_sent += 1
                if length == self._session.length_ms:
                    self._published[coin] = bar.open_ms

    def ended(self, symbols: Iterable[str]) -> None:
        """Publish where the next candles open."""
        by_symbol = {market.instrument.symbol: coin for coin, market in self._names.markets.items()}
        for symbol in symbols:
            for interval in self._listened(by_symbol[symbol]):
                empty = self._session.next_candle(symbol, self.intervals[interval])
                if empty is not None:
                    self._publish_candle(by_symbol[symbol], interval, empty)

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened coin, the last candle, trade and book that listeners will see."""
        marks: Marks = {}
        for coin, streams in self._streams.items():
            if streams:
                kinds = {stream.partition(":")[0] for stream in streams}
                book = f"l2Book::{coin}"
                marks[coin] = {
                    "candle": self._published.get(coin),
                    "trade": self._traded.get(coin, 0) << _SHIFT if "trades" in kinds else None,
                    "book": self._way.told(book, self._times[coin]) if "l2Book" in kinds else None,
                }
        return marks

    def _listened(self, coin: str) -> list[str]:
        return [stream.split(":")[1] for stream in self._streams[coin] if stream.startswith("candle:")]

    def _index(self) -> None:
        for streams in self._streams.values():
            streams.clear()
        for stream in self._hub.streams():
            self._streams[stream.rpartition(":")[2]].append(stream)

    def _publish_trades(self, market: SymbolMarket, coin: str) -> None:
        stream = f"trades::{coin}"
        if market.unpublished and self._hub.has(stream):
            text = _text("trades", [trade_body(coin, done) for done in market.unpublished])
            self._way.tell_trade(stream, market.unpublished[0][0], partial(self._hub.publish, stream, text))
            self._traded[coin] = market.unpublished[-1][4]
        market.unpublished.clear()

    def _publish_candle(self, coin: str, interval: str, bar: Bar) -> None:
        body = candle_body(coin, interval, bar, 0)
        self._hub.publish(f"candle:{interval}:{coin}", _text("candle", body))

    def _book(self, coin: str, market: SymbolMarket, time_ms: int) -> str:
        sides = [list(side.items())[:MOST_LEVELS] for side in (market.book.bids, market.book.asks)]
        data = {"coin": coin, "time": time_ms, "levels": [levels(sides[0]), levels(sides[1])]}
        return _text("l2Book", data)


def _text(channel: str, data: object) -> str:
    return msgspec.json.encode({"channel": channel, "data": data}).decode()
