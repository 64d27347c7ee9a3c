"""The market itself: step after step of the feed happens to the exchange, and candles come to be.

What happened is told to the protocol's streams at fixed points: symbol by symbol trades and book, then the
closed candle, and at the end of the step all of it together. Not here: what streams say, and when a step is
due (`conductor`). Invariant: nothing of a candle is kept or told before the candle is closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from venues.sandbox.bars import Bar, BarHistory, bar_of, bucket_of, merged, placeholder
from venues.sandbox.exchange import Exchange
from venues.sandbox.feeds import Feed, Step
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.tape import Candle, Print

Marks = dict[str, dict[str, int | None]]


class MarketStreams(Protocol):
    """A protocol's market streams; nothing is written to a socket before the step's messages are complete."""

    @property
    def candles_sent(self) -> int:
        """How many closed candles went to at least one listener."""

    def begin(self) -> None:
        """A step, or a part of one, begins."""

    def moved(self, market: SymbolMarket) -> None:
        """Trades and book changes of a symbol in the step under way."""

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """A candle closed; its symbol has moved before."""

    def ended(self, symbols: Iterable[str]) -> None:
        """The step is over for all symbols that had a candle in it."""

    def changed(self, market: SymbolMarket) -> None:
        """Trades and book changes that a request caused between steps."""

    def marks(self) -> Marks:
        """Per listened symbol, the last candle, trade and book update that listeners will see."""


class MarketSession:
    """Plays the steps of a feed and keeps the candles that closed."""

    def __init__(self, feed: Feed, exchange: Exchange) -> None:
        self._feed = feed
        self._exchange = exchange
        self.timeframe = feed.timeframe
        self.length_ms = feed.length_ms
        self.candles_closed = {one.symbol: 0 for one in feed.instruments}
        self.histories = {one.symbol: BarHistory(feed.length_ms) for one in feed.instruments}
        self._first_ids: dict[str, int] = {}  # of the candle under way
        self._over_ms = 0  # up to when the step under way was played

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

    def play_until(self, step: Step, t: int, streams: MarketStreams) -> None:
        """Let a part of a step happen: fills and books up to `t`, before its close."""
        streams.begin()
        for symbol, (candle, prints) in self._traded(step).items():
            market = self._exchange.markets[symbol]
            part = [printed for printed in prints if self._over_ms <= printed.t < t]
            self._exchange.play(market, part, candle.volume)
            self._exchange.clock = t
            if part:
                market.last_price = part[-1].price
                market.book.refresh(part[-1].price, candle.volume, t)
            self._note_first_id(symbol, market)
            streams.moved(market)
        self._over_ms = t
        self._exchange.forget_closed()
        self._exchange.settlement.close_group()

    def play(self, step: Step, streams: MarketStreams) -> None:
        """Let what is left of a step happen: fills, books, candles."""
        streams.begin()
        bars = self._traded(step)
        for symbol, (candle, prints) in bars.items():
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
            self.candles_closed[symbol] += 1
            streams.moved(market)
            streams.closed(market, bar)
        self._exchange.clock = step.close_ms
        self._over_ms = 0
        streams.ended(bars)
        self._exchange.forget_closed()
        self._exchange.settlement.close_group()

    def closed_candle(self, symbol: str, length_ms: int, bar: Bar) -> Bar | None:
        """The candle of a length that closes with `bar`, the newest one; None when none does."""
        if length_ms == self.length_ms:
            return bar
        history = self.histories[symbol]
        bucket = bucket_of(bar.open_ms, length_ms)
        if history.next_open is not None and bucket_of(history.next_open, length_ms) == bucket:
            return None
        group = []
        for one in reversed(history.bars):
            if one.open_ms < bucket:
                break
            group.append(one)
        return merged(group[::-1], bucket, length_ms)

    def next_candle(self, symbol: str, length_ms: int) -> Bar | None:
        """The empty candle of a length that opens now; None when the former goes on or nothing follows."""
        history = self.histories[symbol]
        if history.next_open is None:
            return None
        last = history.bars[-1]
        opens = bucket_of(history.next_open, length_ms)
        return None if opens == bucket_of(last.open_ms, length_ms) else placeholder(last, opens, length_ms)

    def _traded(self, step: Step) -> dict[str, tuple[Candle, list[Print]]]:
        """What of a step has a market."""
        markets = self._exchange.markets
        return {symbol: bar for symbol, bar in step.bars.items() if markets[symbol].is_listed}

    def _note_first_id(self, symbol: str, market: SymbolMarket) -> None:
        if market.unpublished:
            self._first_ids.setdefault(symbol, market.unpublished[0][0])
