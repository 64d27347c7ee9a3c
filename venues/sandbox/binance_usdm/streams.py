"""Market streams of contracts: those of spot with their own books, and mark prices.

Not here: sockets. Invariant: `pu` of a book's difference is `u` of the one before, so a hole shows; no two
marks of a symbol are of one time `E`, so a newer one is told from an older one.
"""

from __future__ import annotations

import re
from functools import partial

from venues.sandbox.binance import messages
from venues.sandbox.binance.streams import MarketPublisher, best_prices
from venues.sandbox.binance_usdm.bodies import average
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PublicWay
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import Order
from venues.sandbox.perpetual.assembly import Perpetuals
from venues.sandbox.session import MarketSession, Marks
from venues.sandbox.units import text8
from venues.sandbox.wall import VenueClock

_STREAM = re.compile(
    r"(?P<symbol>[a-z0-9]{1,40})@(?P<name>trade|aggTrade|miniTicker|ticker|bookTicker|forceOrder"
    r"|markPrice(?:@1s)?|kline_(?P<interval>[0-9]+[smhdw])"
    r"|depth(?P<levels>5|10|20)?(?:@(?:0|100|250|500)ms)?)"
)
_MARKS = ("!markPrice@arr", "!markPrice@arr@1s")
_ALL = ("!miniTicker@arr", "!ticker@arr", *_MARKS)


class ContractPublisher(MarketPublisher):
    """Market streams of Binance's contracts."""

    def __init__(
        self,
        session: MarketSession,
        exchange: Exchange,
        hub: StreamHub,
        way: PublicWay,
        wall: VenueClock,
        perpetuals: Perpetuals,
    ) -> None:
        super().__init__(session, exchange, hub, way, wall)
        self._perpetuals = perpetuals
        self._marked: dict[str, int] = {}  # `E` of the last mark
        perpetuals.clearing.liquidated = self.liquidated

    def is_known(self, stream: str) -> bool:
        """Whether a stream name is one that can be subscribed to."""
        if stream in _ALL:
            return True
        match = _STREAM.fullmatch(stream)
        if match is None or match["symbol"].upper() not in self._streams:
            return False
        return match["interval"] is None or match["interval"] in self.intervals

    def subscribe(self, connection: Connection, streams: list[str]) -> None:
        """Add listeners; who begins to listen to marks hears the one there is, however slow the market is."""
        super().subscribe(connection, streams)
        self._wall = self._wall_clock.ms()
        for stream in streams:
            symbol = stream.partition("@")[0].upper()
            if "@markPrice" in stream and symbol in self._streams and self._perpetuals.clearing.mark(symbol):
                self._hub.publish(stream, self._mark(symbol))

    def moved(self, market: SymbolMarket) -> None:
        """Publish trades, book changes and the mark of the step under way."""
        super().moved(market)
        symbol = market.instrument.symbol
        names = [stream for stream in self._streams[symbol] if "@markPrice" in stream]
        heard = [stream for stream in _MARKS if self._hub.has(stream)]
        if names or heard:
            text = self._mark(symbol)
            for stream in names:
                self._hub.publish(stream, text)
            for stream in heard:
                self._hub.publish(stream, f"[{text}]")

    def marks(self) -> Marks:
        """As of spot, and ``E`` of the last mark that listeners will see."""
        marks = super().marks()
        for symbol, told in marks.items():
            if any("@markPrice" in stream for stream in self._streams[symbol]):
                told["mark"] = self._marked.get(symbol)
        return marks

    def liquidated(self, order: Order, price: int) -> None:
        """Publish an order by which the venue closed a position, at its bankruptcy price."""
        symbol = order.instrument.symbol
        qty = text8(order.qty)
        self._hub.publish(
            f"{symbol.lower()}@forceOrder",
            f'{{"e":"forceOrder","E":{self._wall_clock.ms()},"o":{{"s":"{symbol}",'
            f'"S":"{order.request.side}","o":"LIMIT","f":"IOC","q":"{qty}","p":"{text8(price)}",'
            f'"ap":"{average(order)}","X":"FILLED","l":"{qty}","z":"{qty}","T":{self._exchange.clock}}}}}',
        )

    def _mark(self, symbol: str) -> str:
        clearing = self._perpetuals.clearing
        index, due = text8(clearing.index(symbol)), clearing.next_funding_ms
        # what is due at this moment is paid by it: the next one is the one after
        due += clearing.interval_ms if 0 < due <= self._exchange.clock else 0
        told = self._marked[symbol] = max(self._wall, self._marked.get(symbol, 0) + 1)
        return (
            f'{{"e":"markPriceUpdate","E":{told},"s":"{symbol}","p":"{text8(clearing.mark(symbol))}",'
            f'"ap":"{index}","i":"{index}","P":"{index}","r":"{text8(clearing.rate(symbol))}",'
            f'"T":{due}}}'
        )

    def _publish_book(self, market: SymbolMarket, streams: dict[str, None], wall: int) -> None:
        changes = market.book.changes()
        if changes is None:
            return
        symbol, book = market.instrument.symbol, market.book
        head = f'"E":{wall},"T":{self._exchange.clock},"s":"{symbol}"'
        first, last, bids, asks = changes
        for stream in streams:
            name = stream.partition("@")[2]
            if name == "bookTicker":
                (bid, bid_qty), (ask, ask_qty) = best_prices(market)
                self._hub.publish(
                    stream,
                    f'{{"e":"bookTicker","u":{book.update_id},{head},"b":"{text8(bid)}","B":"{text8(bid_qty)}",'
                    f'"a":"{text8(ask)}","A":"{text8(ask_qty)}"}}',
                )
            elif name.startswith("depth"):
                ids = f'"U":{first},"u":{last},"pu":{first - 1}'
                count = name.partition("@")[0][5:]
                if count:
                    shown = [list(side.items())[: int(count)] for side in (book.bids, book.asks)]
                    self._hub.publish(stream, _depth(head, ids, *shown))
                else:
                    publish = partial(self._hub.publish, stream, _depth(head, ids, bids, asks))
                    self._way.tell_difference(stream, last, first - 1, publish)


def _depth(head: str, ids: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> str:
    return f'{{"e":"depthUpdate",{head},{ids},"b":{messages.levels(bids)},"a":{messages.levels(asks)}}}'
