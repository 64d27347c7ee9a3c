"""Turn what happened on the market into stream messages for those who listen.

After each step: trades, book diff, closed candle and tickers, symbol by symbol, and last an empty
candle that shows where the next one opens (a client that only sees candles can so tell that the
former is closed, without any look into the future). Between steps, orders that take liquidity
publish trades and book diffs at once. Not here: sockets. Invariant: `candles_sent` counts each
closed candle once if it went to at least one listener.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from venues.recorded import timeframe_ms
from venues.sandbox.bars import Bar
from venues.sandbox.binance import messages
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.wall import VenueClock

_STREAM = re.compile(
    r"(?P<symbol>[a-z0-9]{1,40})@(?P<name>trade|aggTrade|miniTicker|ticker|bookTicker|kline_(?P<interval>[0-9]+[smhdw])"
    r"|depth(?P<levels>5|10|20)?(?:@(?:100|1000)ms)?)"
)
_ALL = ("!miniTicker@arr", "!ticker@arr")
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")


class MarketPublisher:
    """Market streams of Binance spot."""

    def __init__(
        self, session: MarketSession, exchange: Exchange, hub: StreamHub, way: PublicWay, wall: VenueClock
    ) -> None:
        self._session = session
        self._exchange = exchange
        self._hub = hub
        self._way = way
        self._wall_clock = wall
        self.intervals = {
            name: timeframe_ms(name)
            for name in (*INTERVALS, session.timeframe)
            if timeframe_ms(name) % session.length_ms == 0
        }
        self._streams: dict[str, dict[str, None]] = {symbol: {} for symbol in exchange.markets}
        self._published: dict[str, int] = {}
        self._wall = 0
        self.candles_sent = 0

    def is_known(self, stream: str) -> bool:
        """Whether a stream name is one that can be subscribed to."""
        if stream in _ALL:
            return True
        match = _STREAM.fullmatch(stream)
        if match is None or match["symbol"].upper() not in self._streams:
            return False
        return match["interval"] is None or match["interval"] in self.intervals

    def subscribe(self, connection: Connection, streams: list[str]) -> None:
        """Add listeners; the names were checked with `is_known`."""
        self._hub.subscribe(connection, streams)
        self._index()

    def unsubscribe(self, connection: Connection, streams: list[str]) -> None:
        """Remove listeners."""
        self._hub.unsubscribe(connection, streams)
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
        streams = self._streams[market.instrument.symbol]
        self._publish_trades(market, streams, self._wall)
        self._publish_book(market, streams, self._wall)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """Publish a closed candle and the symbol's tickers."""
        self._publish_bar(market, bar, self._wall)

    def ended(self, symbols: Iterable[str]) -> None:
        """Publish where the next candles open, and the tickers of all symbols."""
        for symbol in symbols:
            self._publish_placeholders(symbol, self._wall)
        self._publish_all_tickers(self._wall)

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self._wall = self._wall_clock.ms()
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened symbol, the last candle, trade and book update that listeners will see."""
        marks: Marks = {}
        for symbol, streams in self._streams.items():
            if not streams:
                continue
            market = self._exchange.markets[symbol]
            names = {stream.partition("@")[2] for stream in streams}
            books = [
                self._way.told(stream, market.book.update_id)
                for stream in streams
                if stream.partition("@")[2].startswith("depth")
            ]
            marks[symbol] = {
                "candle": self._published.get(symbol),
                "trade": market.last_trade_id if names & {"trade", "aggTrade"} else None,
                "book": min(books, default=None),
            }
        return marks

    def _index(self) -> None:
        for streams in self._streams.values():
            streams.clear()
        for stream in self._hub.streams():
            symbol = stream.partition("@")[0].upper()
            if symbol in self._streams:
                self._streams[symbol][stream] = None

    def _publish_bar(self, market: SymbolMarket, bar: Bar, wall: int) -> None:
        symbol = market.instrument.symbol
        streams = self._streams[symbol]
        lower = symbol.lower()
        for stream in streams:
            if not stream.startswith(lower + "@kline_"):
                continue
            interval = stream.rpartition("_")[2]
            length = self.intervals[interval]
            whole = self._session.closed_candle(symbol, length, bar)
            if whole is None:
                continue
            self._hub.publish(stream, messages.kline(symbol, interval, whole, True, wall))
            self.candles_sent += 1
            if length == self._session.length_ms:
                self._published[symbol] = bar.open_ms
        day = self._session.histories[symbol].day()
        if day is not None and lower + "@miniTicker" in streams:
            self._hub.publish(lower + "@miniTicker", messages.mini_ticker(symbol, day, bar.close, wall))
        if day is not None and lower + "@ticker" in streams:
            bid, ask = best_prices(market)
            self._hub.publish(lower + "@ticker", messages.ticker(symbol, day, bar.close, bid, ask, wall))

    def _publish_placeholders(self, symbol: str, wall: int) -> None:
        for stream in self._streams[symbol]:
            name, _, interval = stream.partition("@")[2].partition("_")
            if name != "kline":
                continue
            empty = self._session.next_candle(symbol, self.intervals[interval])
            if empty is not None:
                self._hub.publish(stream, messages.kline(symbol, interval, empty, False, wall))

    def _publish_trades(self, market: SymbolMarket, streams: dict[str, None], wall: int) -> None:
        symbol = market.instrument.symbol
        lower = symbol.lower()
        for name, text in (("@trade", messages.trade), ("@aggTrade", messages.agg_trade)):
            if lower + name in streams:
                for done in market.unpublished:
                    publish = partial(self._hub.publish, lower + name, text(symbol, done, wall))
                    self._way.tell_trade(lower + name, done[0], publish)
        market.unpublished.clear()

    def _publish_book(self, market: SymbolMarket, streams: dict[str, None], wall: int) -> None:
        changes = market.book.changes()
        if changes is None:
            return
        symbol = market.instrument.symbol
        text = ""
        for stream in streams:
            name = stream.partition("@")[2]
            if name == "bookTicker":
                bid, ask = best_prices(market)
                self._hub.publish(stream, messages.book_ticker(symbol, market.book.update_id, bid, ask))
            elif name.startswith("depth"):
                count = name.partition("@")[0][5:]
                if count:
                    self._hub.publish(stream, depth_text(market, int(count)))
                else:
                    text = text or messages.depth_update(symbol, changes, wall)
                    publish = partial(self._hub.publish, stream, text)
                    self._way.tell_difference(stream, changes[1], changes[0] - 1, publish)

    def _publish_all_tickers(self, wall: int) -> None:
        for stream in _ALL:
            if not self._hub.has(stream):
                continue
            texts = []
            for symbol, history in self._session.histories.items():
                day, market = history.day(), self._exchange.markets[symbol]
                if day is None:
                    continue
                if stream == "!miniTicker@arr":
                    texts.append(messages.mini_ticker(symbol, day, market.last_price, wall))
                else:
                    bid, ask = best_prices(market)
                    texts.append(messages.ticker(symbol, day, market.last_price, bid, ask, wall))
            self._hub.publish(stream, "[" + ",".join(texts) + "]")


def best_prices(market: SymbolMarket) -> tuple[tuple[int, int], tuple[int, int]]:
    """Best displayed bid and ask with sizes; zeros for an empty side, as Binance shows it."""
    return market.book.best(False) or (0, 0), market.book.best(True) or (0, 0)


def depth_text(market: SymbolMarket, limit: int) -> str:
    """A book snapshot with at most `limit` levels a side."""
    book = market.book
    return messages.partial_depth(
        book.update_id, list(book.bids.items())[:limit], list(book.asks.items())[:limit]
    )
