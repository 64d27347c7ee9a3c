"""Endpoints without a signature: time, instruments, candles, trades, tickers, books.

Handlers take parsed parameters and return the `data` of the answer. Product types that OKX has and this venue
has not are listed empty, because clients ask for all of them. Not here: HTTP. Invariant: nothing from after
the market clock is visible.
"""

from __future__ import annotations

from collections.abc import Mapping

from venues.sandbox.exchange import Exchange
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.okx import errors
from venues.sandbox.okx.bodies import Body, candle_row, levels, listing, plain, plain_money, trade_row
from venues.sandbox.okx.names import inst_id, markets_by_id
from venues.sandbox.okx.params import Params
from venues.sandbox.session import MarketSession
from venues.sandbox.wall import VenueClock

_MOST_CANDLES = 300
_MOST_TRADES = 500
_MOST_LEVELS = 400


class PublicApi:
    """Market data queries."""

    def __init__(
        self, exchange: Exchange, session: MarketSession, bars: Mapping[str, int], wall: VenueClock
    ) -> None:
        self._exchange = exchange
        self._wall = wall
        self._session = session
        self._bars = bars
        self._markets = markets_by_id(exchange)

    def time(self, params: Params) -> list[object]:
        """GET /api/v5/public/time: wall time"""
        return [{"ts": str(self._wall.ms())}]

    def instruments(self, params: Params) -> list[object]:
        """GET /api/v5/public/instruments"""
        if not params.is_spot(mandatory=True):
            return []
        numbers = {name: number for number, name in enumerate(self._markets, 1)}
        return [
            listing(market.instrument, market.is_listed, numbers[inst_id(market.instrument)])
            for market in self._chosen(params)
        ]

    def candles(self, params: Params) -> list[object]:
        """GET /api/v5/market/candles and history-candles, newest first; the first may be opening just now"""
        market = self._market(params)
        length = self._bars.get(params.get("bar") or "1m")
        if length is None:
            raise errors.bad_parameter("bar")
        after, before = params.integer("after"), params.integer("before")
        rows = self._session.histories[market.instrument.symbol].rows(
            length,
            None if before is None else before + 1,
            None if after is None else after - 1,
            params.limit(100, _MOST_CANDLES),
            self._exchange.clock,
        )
        now = self._exchange.clock
        return [candle_row(bar, bar.close_ms < now) for bar in reversed(rows)]

    def trades(self, params: Params) -> list[object]:
        """GET /api/v5/market/trades, newest first"""
        market = self._market(params)
        newest = list(market.tape)[-params.limit(100, _MOST_TRADES) :][::-1]
        return [trade_row(inst_id(market.instrument), done) for done in newest]

    def ticker(self, params: Params) -> list[object]:
        """GET /api/v5/market/ticker"""
        return [self.ticker_of(self._market(params))]

    def tickers(self, params: Params) -> list[object]:
        """GET /api/v5/market/tickers"""
        if not params.is_spot(mandatory=True):
            return []
        return [self.ticker_of(market) for market in self._markets.values()]

    def books(self, params: Params) -> list[object]:
        """GET /api/v5/market/books"""
        market = self._market(params)
        most = params.limit(1, _MOST_LEVELS, "sz")
        book = market.book
        return [
            {
                "asks": levels(list(book.asks.items())[:most]),
                "bids": levels(list(book.bids.items())[:most]),
                "ts": str(self._wall.ms()),
                "seqId": book.update_id,
            }
        ]

    def ticker_of(self, market: SymbolMarket) -> Body:
        """Best prices and the last 24 hours of a pair, as REST and the channel `tickers` show them."""
        return ticker_body(self._session, market)

    def _market(self, params: Params) -> SymbolMarket:
        market = self._markets.get(params.text("instId"))
        if market is None:
            raise errors.unknown_instrument()
        return market

    def _chosen(self, params: Params) -> list[SymbolMarket]:
        if params.get("instId") is None:
            return list(self._markets.values())
        return [self._market(params)]


def ticker_body(session: MarketSession, market: SymbolMarket) -> Body:
    """A row of the tickers."""
    last = market.last_price
    day = session.histories[market.instrument.symbol].day()
    opened = high = low = last
    volume = quote = 0
    if day is not None:
        oldest, _, high, low, volume, quote, _ = day
        opened = oldest.open
    bid, ask = market.book.best(False) or (0, 0), market.book.best(True) or (0, 0)
    _, _, last_size, _, told = market.tape[-1] if market.tape else (0, 0, 0, False, 0)
    return {
        "instType": "SPOT",
        "instId": inst_id(market.instrument),
        "last": plain(last),
        "lastSz": plain(last_size),
        "askPx": plain(ask[0]),
        "askSz": plain(ask[1]),
        "bidPx": plain(bid[0]),
        "bidSz": plain(bid[1]),
        "open24h": plain(opened),
        "high24h": plain(high),
        "low24h": plain(low),
        "vol24h": plain(volume),
        "volCcy24h": plain_money(quote),
        "sodUtc0": plain(opened),
        "sodUtc8": plain(opened),
        "ts": str(told),
    }
