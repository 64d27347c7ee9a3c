"""Public topics: order books, trades, candles, tickers.

After each step: trades, books, closed candle and tickers, symbol by symbol, and last an empty candle that
shows where the next one opens, as on the other protocol. A book is sent whole to whoever begins to listen,
then as differences; each depth has its own count of messages `u`, and `seq` is the engine's count of book
changes. `ts` is wall time, every other time is market time. Not here: sockets. Invariant: a book topic's
`u` grows by one with each difference and its `ts` with each as well, and applying all differences to any
snapshot gives the book.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

import msgspec

from venues.sandbox.bars import Bar
from venues.sandbox.bybit.bodies import plain, plain_money
from venues.sandbox.bybit.public_api import day_body
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.matching import PublicTrade, SymbolMarket
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.wall import VenueClock

_TOPIC = re.compile(
    r"(?:orderbook\.(?:1|50|200|1000)|publicTrade|tickers|kline\.(?P<interval>[0-9]{1,3}|D|W))"
    r"\.(?P<symbol>[A-Z0-9]{1,40})"
)
_MINUTE_MS = 60_000
_INTERVALS = {
    **{str(minutes): minutes * _MINUTE_MS for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": 1440 * _MINUTE_MS,
    "W": 7 * 1440 * _MINUTE_MS,
}
# A message carries at most so many trades.
_MOST_TRADES = 1024
Levels = dict[int, int]


class MarketTopics:
    """Public topics of Bybit spot."""

    def __init__(
        self, session: MarketSession, exchange: Exchange, hub: StreamHub, way: PublicWay, wall: VenueClock
    ) -> None:
        self._session = session
        self._exchange = exchange
        self._hub = hub
        self._way = way
        self._wall_clock = wall
        self.intervals = {
            name: length for name, length in _INTERVALS.items() if length % session.length_ms == 0
        }
        self._topics: dict[str, list[str]] = {symbol: [] for symbol in exchange.markets}
        self._books: dict[str, _TopicBook] = {}
        self._published: dict[str, int] = {}
        self._wall = 0
        self.candles_sent = 0

    def is_known(self, topic: str) -> bool:
        """Whether a topic is one that can be subscribed to."""
        match = _TOPIC.fullmatch(topic)
        if match is None or match["symbol"] not in self._topics:
            return False
        return match["interval"] is None or match["interval"] in self.intervals

    def subscribe(self, connection: Connection, topics: list[str]) -> None:
        """Add a listener and send it what the topics begin with; the names were checked with `is_known`."""
        self._hub.subscribe(connection, topics)
        self._index()
        for topic in topics:
            kind = topic.partition(".")[0]
            market = self._exchange.markets[topic.rpartition(".")[2]]
            if kind == "orderbook":
                depth = int(topic.split(".")[1])
                book = self._books.setdefault(topic, _TopicBook(topic, depth, market))
                self._hub.send(connection, book.snapshot(self._wall_clock.ms(), self._exchange.clock))
            elif kind == "tickers":
                self._hub.send(connection, self._ticker_text(market, self._wall_clock.ms()))

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
        self._wall = self._wall_clock.ms()
        self._published = {}

    def moved(self, market: SymbolMarket) -> None:
        """Publish trades and book changes of the step under way."""
        self._publish_trades(market)
        if market.book.changes() is None:
            return
        for topic in self._topics[market.instrument.symbol]:
            if topic.startswith("orderbook."):
                book = self._books[topic]
                before = book.changed_ms
                text = book.difference(self._wall, self._exchange.clock)
                if text:
                    publish = partial(self._hub.publish, topic, text)
                    self._way.tell_difference(topic, book.u, before, publish)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """Publish a closed candle and the symbol's ticker."""
        symbol = market.instrument.symbol
        for topic in self._topics[symbol]:
            kind, _, rest = topic.partition(".")
            if kind == "tickers":
                self._hub.publish(topic, self._ticker_text(market, self._wall))
            elif kind == "kline":
                interval = rest.partition(".")[0]
                length = self.intervals[interval]
                whole = self._session.closed_candle(symbol, length, bar)
                if whole is not None:
                    self._hub.publish(topic, kline_text(topic, interval, whole, True, self._wall))
                    self.candles_sent += 1
                    if length == self._session.length_ms:
                        self._published[symbol] = bar.open_ms

    def ended(self, symbols: Iterable[str]) -> None:
        """Publish where the next candles open."""
        for symbol in symbols:
            for topic in self._topics[symbol]:
                if topic.startswith("kline."):
                    interval = topic.split(".")[1]
                    empty = self._session.next_candle(symbol, self.intervals[interval])
                    if empty is not None:
                        self._hub.publish(topic, kline_text(topic, interval, empty, False, self._wall))

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self._wall = self._wall_clock.ms()
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened symbol, the last candle, trade and book change that listeners will see."""
        marks: Marks = {}
        for symbol, topics in self._topics.items():
            if topics:
                market = self._exchange.markets[symbol]
                kinds = {topic.partition(".")[0] for topic in topics}
                # ccxt keeps of a book's numbers only `ts`; each depth has its own
                books = [
                    self._way.told(topic, self._books[topic].changed_ms)
                    for topic in topics
                    if topic in self._books
                ]
                marks[symbol] = {
                    "candle": self._published.get(symbol),
                    "trade": market.last_trade_id if "publicTrade" in kinds else None,
                    "book": min(books, default=None),
                }
        return marks

    def _index(self) -> None:
        for topics in self._topics.values():
            topics.clear()
        for topic in self._hub.streams():
            symbol = topic.rpartition(".")[2]
            if symbol in self._topics:
                self._topics[symbol].append(topic)
        for topic in [topic for topic in self._books if not self._hub.has(topic)]:
            del self._books[topic]

    def _ticker_text(self, market: SymbolMarket, wall: int) -> str:
        symbol = market.instrument.symbol
        data = msgspec.json.encode(day_body(self._session, market)).decode()
        seq = market.book.update_id
        return f'{{"topic":"tickers.{symbol}","ts":{wall},"type":"snapshot","cs":{seq},"data":{data}}}'

    def _publish_trades(self, market: SymbolMarket) -> None:
        symbol = market.instrument.symbol
        topic = f"publicTrade.{symbol}"
        if self._hub.has(topic):
            for first in range(0, len(market.unpublished), _MOST_TRADES):
                part = market.unpublished[first : first + _MOST_TRADES]
                rows = ",".join(trade_text(symbol, done) for done in part)
                text = f'{{"topic":"{topic}","type":"snapshot","ts":{self._wall},"data":[{rows}]}}'
                self._way.tell_trade(topic, part[0][0], partial(self._hub.publish, topic, text))
        market.unpublished.clear()


class _TopicBook:
    """What the listeners of one depth of one symbol have seen."""

    def __init__(self, topic: str, depth: int, market: SymbolMarket) -> None:
        self._topic = topic
        self._depth = depth
        self._market = market
        self.u = 1
        self._told_ms = 0
        self.changed_ms = 0  # `ts` of the last difference
        self._bids, self._asks = self._now()

    def snapshot(self, wall: int, clock: int) -> str:
        """The whole book as it was last told."""
        self._told_ms = max(wall, self._told_ms)
        return self._text("snapshot", list(self._bids.items()), list(self._asks.items()), clock)

    def difference(self, wall: int, clock: int) -> str:
        """What changed since it was last told, nothing if nothing did; depth 1 is always told whole."""
        bids, asks = self._now()
        changed_bids, changed_asks = _difference(self._bids, bids), _difference(self._asks, asks)
        if not changed_bids and not changed_asks:
            return ""
        self._bids, self._asks = bids, asks
        self.u += 1
        self._told_ms = self.changed_ms = max(wall, self._told_ms + 1)
        if self._depth == 1:
            return self.snapshot(wall, clock)
        return self._text("delta", changed_bids, changed_asks, clock)

    def _now(self) -> tuple[Levels, Levels]:
        book = self._market.book
        return (
            dict(list(book.bids.items())[: self._depth]),
            dict(list(book.asks.items())[: self._depth]),
        )

    def _text(self, kind: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], clock: int) -> str:
        return (
            f'{{"topic":"{self._topic}","ts":{self._told_ms},"type":"{kind}","data":{{'
            f'"s":"{self._market.instrument.symbol}","b":{_levels(bids)},"a":{_levels(asks)},'
            f'"u":{self.u},"seq":{self._market.book.update_id}}},"cts":{clock}}}'
        )


def _difference(old: Levels, new: Levels) -> list[tuple[int, int]]:
    changed = [(price, qty) for price, qty in new.items() if old.get(price) != qty]
    return changed + [(price, 0) for price in old if price not in new]


def _levels(side: list[tuple[int, int]]) -> str:
    return "[" + ",".join(f'["{plain(price)}","{plain(qty)}"]' for price, qty in side) + "]"


def trade_text(symbol: str, done: PublicTrade) -> str:
    """A trade as the topic `publicTrade` tells it."""
    number, price, qty, buyer_is_maker, t = done
    side = "Sell" if buyer_is_maker else "Buy"
    return (
        f'{{"T":{t},"s":"{symbol}","S":"{side}","v":"{plain(qty)}","p":"{plain(price)}",'
        f'"L":"ZeroPlusTick","i":"{number}","BT":false,"RPI":false,"seq":{number}}}'
    )


def kline_text(topic: str, interval: str, bar: Bar, confirmed: bool, wall: int) -> str:
    """A candle as the topic `kline` tells it."""
    told_ms = bar.close_ms if confirmed else bar.open_ms
    return (
        f'{{"topic":"{topic}","data":[{{"start":{bar.open_ms},"end":{bar.close_ms},"interval":"{interval}",'
        f'"open":"{plain(bar.open)}","close":"{plain(bar.close)}","high":"{plain(bar.high)}",'
        f'"low":"{plain(bar.low)}","volume":"{plain(bar.volume)}","turnover":"{plain_money(bar.quote)}",'
        f'"confirm":{"true" if confirmed else "false"},"timestamp":{told_ms}}}],'
        f'"ts":{wall},"type":"snapshot"}}'
    )
