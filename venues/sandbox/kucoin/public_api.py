"""Endpoints without a signature: time, pairs, candles, trades, day's figures, books.

Handlers take parsed parameters and return the `data` of the answer. Not here: HTTP. Invariant: nothing from
after the market clock is visible.
"""

from __future__ import annotations

from collections.abc import Mapping

from venues.sandbox.exchange import Exchange
from venues.sandbox.kucoin import errors
from venues.sandbox.kucoin.bodies import Body, candle_row, levels, listing, plain, plain_money, trade_row
from venues.sandbox.kucoin.names import markets_by_id, pair_id
from venues.sandbox.kucoin.params import Params
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession
from venues.sandbox.wall import VenueClock

_MOST_CANDLES = 1500
_MOST_TRADES = 100
_SOME_LEVELS = 100


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

    def time(self, params: Params) -> object:
        """GET /api/v1/timestamp: wall time"""
        return self._wall.ms()

    def symbols(self, params: Params) -> object:
        """GET /api/v2/symbols"""
        return [listing(market.instrument, market.is_listed) for market in self._markets.values()]

    def currencies(self, params: Params) -> object:
        """GET /api/v3/currencies: none has a chain, nothing can be sent"""
        return []

    def candles(self, params: Params) -> object:
        """GET /api/v1/market/candles, newest first; the first may be opening just now"""
        market = self._market(params)
        length = self._bars.get(params.text("type"))
        if length is None:
            raise errors.bad_parameter("type")
        start, end = params.integer("startAt"), params.integer("endAt")
        rows = self._session.histories[market.instrument.symbol].rows(
            length,
            None if start is None else start * 1000,
            None if not end else end * 1000 - 1,
            _MOST_CANDLES,
            self._exchange.clock,
        )
        return [candle_row(bar) for bar in reversed(rows)]

    def trades(self, params: Params) -> object:
        """GET /api/v1/market/histories, newest first"""
        return [trade_row(done) for done in list(self._market(params).tape)[-_MOST_TRADES:][::-1]]

    def book(self, params: Params) -> object:
        """GET /api/v1/market/orderbook/level2_100"""
        market = self._market(params)
        book = market.book
        return {
            "time": self._wall.ms(),
            "sequence": str(book.update_id),
            "bids": levels(list(book.bids.items())[:_SOME_LEVELS]),
            "asks": levels(list(book.asks.items())[:_SOME_LEVELS]),
        }

    def stats(self, params: Params) -> object:
        """GET /api/v1/market/stats: best prices and the last 24 hours of a pair"""
        market = self._market(params)
        last = market.last_price
        high = low = last
        volume = quote = 0
        day = self._session.histories[market.instrument.symbol].day()
        if day is not None:
            _, _, high, low, volume, quote, _ = day
        bid, ask = market.book.best(False) or (0, 0), market.book.best(True) or (0, 0)
        body: Body = {
            "time": self._exchange.clock,
            "symbol": pair_id(market.instrument),
            "buy": plain(bid[0]),
            "sell": plain(ask[0]),
            "last": plain(last),
            "high": plain(high),
            "low": plain(low),
            "vol": plain(volume),
            "volValue": plain_money(quote),
        }
        return body

    def _market(self, params: Params) -> SymbolMarket:
        market = self._markets.get(params.text("symbol"))
        if market is None:
            raise errors.unknown_pair()
        return market
