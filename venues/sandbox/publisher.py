"""Turn what happened on the market into stream messages for those who listen.

After each step: trades, book diff, closed candle and tickers, symbol by symbol, and last an empty
candle that shows where the next one opens (a client that only sees candles can so tell that the
former is closed, without any look into the future). Between steps, orders that take liquidity
publish trades and book diffs at once. Not here: sockets. Invariant: `candles_sent` counts each
closed candle once if it went to at least one listener.
"""

from __future__ import annotations

import re

from venues.recorded import timeframe_ms
from venues.sandbox import messages
from venues.sandbox.authentication import wall_ms
from venues.sandbox.bars import Bar, BarHistory, bar_of, bucket_of, merged, placeholder
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.feeds import Feed, Step
from venues.sandbox.matching import SymbolMarket

_STREAM = re.compile(
    r"(?P<symbol>[a-z0-9]{1,40})@(?P<name>trade|aggTrade|miniTicker|ticker|bookTicker|kline_(?P<interval>[0-9]+[smhdw])"
    r"|depth(?P<levels>5|10|20)?(?:@(?:100|1000)ms)?)"
)
_ALL = ("!miniTicker@arr", "!ticker@arr")
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")


class Publisher:
    """Market data state and its streams."""

    def __init__(self, feed: Feed, exchange: Exchange, hub: StreamHub) -> None:
        self._feed = feed
        self._exchange = exchange
        self._hub = hub
        self.histories = {one.symbol: BarHistory(feed.length_ms) for one in feed.instruments}
        self.intervals = {
            name: timeframe_ms(name)
            for name in (*INTERVALS, feed.timeframe)
            if timeframe_ms(name) % feed.length_ms == 0
        }
        self._streams: dict[str, dict[str, None]] = {one.symbol: {} for one in feed.instruments}
        self._published: dict[str, int] = {}
        self._first_ids: dict[str, int] = {}  # of the candle under way
        self._over_ms = 0  # up to when the step under way was played
        self.candles_sent = 0
        exchange.on_market_change = self.publish_change

    def open_market(self) -> None:
        """Load history and show a first book, so that the venue answers before its first step."""
        for one in self._feed.instruments:
            history = self.histories[one.symbol]
            candles = self._feed.history(one.symbol)
            for candle in candles:
                history.append(bar_of(candle, self._feed.length_ms, [], -1, -1))
            history.next_open = self._feed.upcoming(one.symbol)
            if candles:
                market = self._exchange.markets[one.symbol]
                market.last_price = candles[-1].close
                self._exchange.clock = max(self._exchange.clock, candles[-1].open_ms + self._feed.length_ms)
                market.book.refresh(candles[-1].close, candles[-1].volume, candles[-1].open_ms)
                market.book.changes()

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

    def play_until(self, step: Step, t: int) -> None:
        """Let a part of a step happen: fills and books up to `t`, before its close."""
        wall = wall_ms()
        self._published = {}
        for symbol, (candle, prints) in step.bars.items():
            market = self._exchange.markets[symbol]
            part = [printed for printed in prints if self._over_ms <= printed.t < t]
            self._exchange.play(market, part, candle.volume)
            self._exchange.clock = t
            if part:
                market.last_price = part[-1].price
                market.book.refresh(part[-1].price, candle.volume, t)
            self._note_first_id(symbol, market)
            streams = self._streams[symbol]
            self._publish_trades(market, streams, wall)
            self._publish_book(market, streams, wall)
        self._over_ms = t
        self._exchange.forget_closed()
        self._exchange.settlement.close_group()

    def _note_first_id(self, symbol: str, market: SymbolMarket) -> None:
        if market.unpublished:
            self._first_ids.setdefault(symbol, market.unpublished[0][0])

    def play(self, step: Step) -> None:
        """Let what is left of a step happen: fills, books, candles; queue its messages, write none."""
        wall = wall_ms()
        self._published = {}
        for symbol, (candle, prints) in step.bars.items():
            market = self._exchange.markets[symbol]
            left = [printed for printed in prints if printed.t >= self._over_ms] if self._over_ms else prints
            self._exchange.play(market, left, candle.volume)
            self._exchange.clock = step.close_ms
            market.last_price = candle.close
            market.book.refresh(candle.close, candle.volume, step.close_ms)
            self._note_first_id(symbol, market)
            first = self._first_ids.pop(symbol, -1)
            last = market.last_trade_id if first >= 0 else -1
            bar = bar_of(candle, self._feed.length_ms, prints, first, last)
            self.histories[symbol].append(bar)
            self.histories[symbol].next_open = self._feed.upcoming(symbol)
            self._publish_symbol(market, bar, wall)
        self._exchange.clock = step.close_ms
        self._over_ms = 0
        for symbol in step.bars:
            self._publish_placeholders(symbol, wall)
        self._publish_all_tickers(wall)
        self._exchange.forget_closed()
        self._exchange.settlement.close_group()

    def publish_change(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        streams = self._streams[market.instrument.symbol]
        wall = wall_ms()
        self._publish_trades(market, streams, wall)
        self._publish_book(market, streams, wall)

    def marks(self) -> dict[str, dict[str, int | None]]:
        """Per listened symbol, the last candle, trade and book update that listeners will see."""
        marks: dict[str, dict[str, int | None]] = {}
        for symbol, streams in self._streams.items():
            if not streams:
                continue
            market = self._exchange.markets[symbol]
            names = {stream.partition("@")[2] for stream in streams}
            marks[symbol] = {
                "candle": self._published.get(symbol),
                "trade": market.last_trade_id if names & {"trade", "aggTrade"} else None,
                "book": market.book.update_id if any(name.startswith("depth") for name in names) else None,
            }
        return marks

    def _index(self) -> None:
        for streams in self._streams.values():
            streams.clear()
        for stream in self._hub.streams():
            symbol = stream.partition("@")[0].upper()
            if symbol in self._streams:
                self._streams[symbol][stream] = None

    def _publish_symbol(self, market: SymbolMarket, bar: Bar, wall: int) -> None:
        symbol = market.instrument.symbol
        streams = self._streams[symbol]
        self._publish_trades(market, streams, wall)
        self._publish_book(market, streams, wall)
        lower = symbol.lower()
        for stream in streams:
            if not stream.startswith(lower + "@kline_"):
                continue
            interval = stream.rpartition("_")[2]
            length = self.intervals[interval]
            if length == self._feed.length_ms:
                self._hub.publish(stream, messages.kline(symbol, interval, bar, True, wall))
                self.candles_sent += 1
                self._published[symbol] = bar.open_ms
            else:
                self._publish_longer(symbol, stream, interval, length, bar, wall)
        day = self.histories[symbol].day()
        if day is not None and lower + "@miniTicker" in streams:
            self._hub.publish(lower + "@miniTicker", messages.mini_ticker(symbol, day, bar.close, wall))
        if day is not None and lower + "@ticker" in streams:
            bid, ask = best_prices(market)
            self._hub.publish(lower + "@ticker", messages.ticker(symbol, day, bar.close, bid, ask, wall))

    def _publish_longer(
        self, symbol: str, stream: str, interval: str, length: int, bar: Bar, wall: int
    ) -> None:
        """A closed candle of a longer interval, if its bucket ends with this bar."""
        history = self.histories[symbol]
        bucket = bucket_of(bar.open_ms, length)
        if history.next_open is not None and bucket_of(history.next_open, length) == bucket:
            return
        group = []
        for one in reversed(history.bars):
            if one.open_ms < bucket:
                break
            group.append(one)
        whole = merged(group[::-1], bucket, length)
        if whole is not None:
            self._hub.publish(stream, messages.kline(symbol, interval, whole, True, wall))
            self.candles_sent += 1

    def _publish_placeholders(self, symbol: str, wall: int) -> None:
        history = self.histories[symbol]
        if history.next_open is None:
            return
        last = history.bars[-1]
        for stream in self._streams[symbol]:
            name, _, interval = stream.partition("@")[2].partition("_")
            if name != "kline":
                continue
            length = self.intervals[interval]
            opens = bucket_of(history.next_open, length)
            if opens == bucket_of(last.open_ms, length):
                continue
            self._hub.publish(
                stream, messages.kline(symbol, interval, placeholder(last, opens, length), False, wall)
            )

    def _publish_trades(self, market: SymbolMarket, streams: dict[str, None], wall: int) -> None:
        symbol = market.instrument.symbol
        lower = symbol.lower()
        for name, text in (("@trade", messages.trade), ("@aggTrade", messages.agg_trade)):
            if lower + name in streams:
                for done in market.unpublished:
                    self._hub.publish(lower + name, text(symbol, done, wall))
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
                    self._hub.publish(stream, text)

    def _publish_all_tickers(self, wall: int) -> None:
        for stream in _ALL:
            if not self._hub.has(stream):
                continue
            texts = []
            for symbol, history in self.histories.items():
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
