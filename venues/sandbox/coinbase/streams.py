"""Public channels: order books and trades; none for candles, as the venue's own knows five minutes only.

A book is sent whole to whoever begins to listen, then as levels that changed. The time of a message is wall
time, that of a trade market time; a book's messages have times of their own, each a millisecond at least
after the last, because clients keep nothing else to tell them apart by. Not here: sockets. Invariant:
applying all changes to any snapshot gives the book.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from venues.sandbox.bars import Bar
from venues.sandbox.coinbase.bodies import Body, plain, trade_body
from venues.sandbox.coinbase.listeners import Listener, Streams
from venues.sandbox.coinbase.names import markets_by_id, product_id, stamp
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.wall import VenueClock

CHANNELS = ("level2", "market_trades")
_BOOK, _TRADES = "level2:", "market_trades:"
_SNAPSHOT_TRADES = 100
Levels = dict[int, int]


class MarketChannels:
    """Public channels of Coinbase spot."""

    def __init__(self, session: MarketSession, exchange: Exchange, way: PublicWay, wall: VenueClock) -> None:
        self._session = session
        self._way = way
        self._wall = wall
        self._markets = markets_by_id(exchange)
        self._streams = Streams()
        self._books: dict[str, _ToldBook] = {}
        self._closed: dict[str, int] = {}
        self.candles_sent = 0

    def is_known(self, name: str) -> bool:
        """Whether there is such a product."""
        return name in self._markets

    def subscribe(self, listener: Listener, channel: str, name: str) -> None:
        """Add a listener and send it what the channel begins with."""
        self._streams.add(f"{channel}:{name}", listener)
        market = self._markets[name]
        if channel == "level2":
            book = self._books.setdefault(name, _ToldBook(market))
            wall = book.next_stamp(self._wall.ms())
            listener.tell("l2_data", [_book_event("snapshot", name, *book.levels(), wall)], wall)
        elif market.tape:
            newest = list(market.tape)[-_SNAPSHOT_TRADES:][::-1]
            rows = [trade_body(name, done) for done in newest]
            listener.tell("market_trades", [{"type": "snapshot", "trades": rows}], self._wall.ms())

    def unsubscribe(self, listener: Listener, channel: str, name: str) -> None:
        """Remove a listener."""
        self._streams.remove(f"{channel}:{name}", listener)

    def drop(self, listener: Listener) -> None:
        """Forget a closed socket."""
        self._streams.drop(listener)

    def begin(self) -> None:
        """A step, or a part of one, begins."""
        self._closed = {}

    def moved(self, market: SymbolMarket) -> None:
        """Publish trades and book changes of the step under way."""
        name = product_id(market.instrument)
        if market.unpublished and self._streams.has(_TRADES + name):
            rows = [trade_body(name, done) for done in reversed(market.unpublished)]
            told: list[Body] = [{"type": "update", "trades": rows}]
            deliver = partial(self._tell, _TRADES + name, "market_trades", told, self._wall.ms())
            self._way.tell_trade(_TRADES + name, market.unpublished[0][0], deliver)
        market.unpublished.clear()
        if market.book.changes() is None:
            return
        book = self._books.get(name)
        if book is None or not self._streams.has(_BOOK + name):
            return
        bids, asks = book.changed()
        if bids or asks:
            before, wall = book.stamp, book.next_stamp(self._wall.ms())
            events = [_book_event("update", name, bids, asks, wall)]
            deliver = partial(self._tell, _BOOK + name, "l2_data", events, wall)
            self._way.tell_difference(_BOOK + name, wall, before, deliver)

    def closed(self, market: SymbolMarket, bar: Bar) -> None:
        """A candle closed: whoever hears trades can ask for it now."""
        name = product_id(market.instrument)
        if self._streams.has(_TRADES + name) and bar.trades:
            self.candles_sent += 1
            self._closed[name] = bar.open_ms

    def ended(self, symbols: Iterable[str]) -> None:
        """Nothing is told: the list of candles shows where the next ones open."""

    def changed(self, market: SymbolMarket) -> None:
        """After a request: trades and book changes that it caused."""
        self.moved(market)

    def marks(self) -> Marks:
        """Per listened product, the last candle, trade and book change that listeners will see."""
        marks: Marks = {}
        for name, market in self._markets.items():
            has_trades, has_book = (self._streams.has(kind + name) for kind in (_TRADES, _BOOK))
            if has_trades or has_book:
                marks[name] = {
                    "candle": self._closed.get(name),
                    "trade": market.last_trade_id if has_trades else None,
                    "book": self._way.told(_BOOK + name, self._books[name].stamp) if has_book else None,
                }
        return marks

    def _tell(self, stream: str, channel: str, events: list[Body], wall: int) -> None:
        for listener in self._streams.of(stream):
            listener.tell(channel, events, wall)


class _ToldBook:
    """What the listeners of one book have seen; `stamp` is the time of the last message, ms."""

    def __init__(self, market: SymbolMarket) -> None:
        self._market = market
        self.stamp = 0
        self._told = self._now()

    def next_stamp(self, wall: int) -> int:
        """The time of a new message."""
        self.stamp = max(wall, self.stamp + 1)
        return self.stamp

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The whole book as it is now; who heard of it before hears the same by the next change."""
        bids, asks = self._told
        return list(bids.items()), list(asks.items())

    def changed(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What changed since it was last told."""
        before, self._told = self._told, self._now()
        return _difference(before[0], self._told[0]), _difference(before[1], self._told[1])

    def _now(self) -> tuple[Levels, Levels]:
        return dict(self._market.book.bids), dict(self._market.book.asks)


def _difference(old: Levels, new: Levels) -> list[tuple[int, int]]:
    changed = [(price, qty) for price, qty in new.items() if old.get(price) != qty]
    return changed + [(price, 0) for price in old if price not in new]


def _book_event(
    kind: str, name: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], wall: int
) -> Body:
    told = stamp(wall)
    return {
        "type": kind,
        "product_id": name,
        "updates": [
            {"side": side, "event_time": told, "price_level": plain(price), "new_quantity": plain(qty) or "0"}
            for side, levels in (("bid", bids), ("offer", asks))
            for price, qty in levels
        ],
    }
