"""Endpoints without a token: time, products, candles, trades, books, and the currencies that ccxt asks for.

Not here: HTTP. Invariant: nothing from after the market clock is visible.
"""

from __future__ import annotations

from venues.sandbox.coinbase import errors
from venues.sandbox.coinbase.bodies import Body, candle_body, levels, product_body, trade_body
from venues.sandbox.coinbase.names import markets_by_id, product_id, stamp
from venues.sandbox.coinbase.params import Query
from venues.sandbox.exchange import Exchange
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession
from venues.sandbox.wall import VenueClock

_MINUTE_MS = 60_000
_LENGTHS = {
    "ONE_MINUTE": 1, "FIVE_MINUTE": 5, "FIFTEEN_MINUTE": 15, "THIRTY_MINUTE": 30, "ONE_HOUR": 60,
    "TWO_HOUR": 120, "SIX_HOUR": 360, "ONE_DAY": 1440,
}  # fmt: skip
_MOST_CANDLES = 350
_MOST_TRADES = 1000


class PublicApi:
    """Market data queries."""

    def __init__(self, exchange: Exchange, session: MarketSession, wall: VenueClock) -> None:
        self._exchange = exchange
        self._session = session
        self._wall = wall
        self._markets = markets_by_id(exchange)

    def time(self, query: Query) -> Body:
        """GET /api/v3/brokerage/time: wall time"""
        now = self._wall.ms()
        return {"iso": stamp(now), "epochSeconds": str(now // 1000), "epochMillis": str(now)}

    def products(self, query: Query) -> Body:
        """GET /api/v3/brokerage/market/products; there are no futures here"""
        is_spot = query.get("product_type") in (None, "SPOT")
        found = [product_body(market) for market in self._markets.values() if is_spot]
        return {"products": found, "num_products": len(found)}

    def candles(self, name: str, query: Query) -> Body:
        """GET /api/v3/brokerage/market/products/{product_id}/candles, newest first

        The first may be opening just now.
        """
        market = self._market(name)
        minutes = _LENGTHS.get(query.get("granularity") or "")
        start, end = query.integer("start"), query.integer("end")
        if minutes is None or minutes * _MINUTE_MS % self._session.length_ms:
            raise errors.invalid("granularity")
        if start is None or end is None or end < start:
            raise errors.invalid("start, end")
        if (end - start) // (60 * minutes) > _MOST_CANDLES:
            raise errors.invalid(f"start, end: at most {_MOST_CANDLES} candles")
        history = self._session.histories[market.instrument.symbol]
        now = self._exchange.clock
        rows = history.rows(minutes * _MINUTE_MS, start * 1000, end * 1000, _MOST_CANDLES, now)
        return {"candles": [candle_body(bar) for bar in reversed(rows)]}

    def ticker(self, name: str, query: Query) -> Body:
        """GET /api/v3/brokerage/market/products/{product_id}/ticker: trades, newest first, and best prices"""
        market = self._market(name)
        bid, ask = market.book.best(False) or (0, 0), market.book.best(True) or (0, 0)
        newest = list(market.tape)[-query.limit(100, _MOST_TRADES) :][::-1]
        best = [one["price"] for one in levels([bid, ask])]
        return {
            "trades": [trade_body(name, done) for done in newest],
            "best_bid": best[0],
            "best_ask": best[1],
        }

    def book(self, query: Query) -> Body:
        """GET /api/v3/brokerage/market/product_book"""
        market = self._market(query.get("product_id") or "")
        most = query.limit(1000, 1000)
        return {
            "pricebook": {
                "product_id": product_id(market.instrument),
                "bids": levels(list(market.book.bids.items())[:most]),
                "asks": levels(list(market.book.asks.items())[:most]),
                "time": stamp(self._wall.ms()),
            }
        }

    def currencies(self, query: Query) -> Body:
        """GET /v2/currencies and /v2/currencies/crypto: none has a network, nothing can be sent"""
        return {"data": []}

    def exchange_rates(self, query: Query) -> Body:
        """GET /v2/exchange-rates"""
        return {"data": {"currency": "USD", "rates": {}}}

    def _market(self, name: str) -> SymbolMarket:
        market = self._markets.get(name)
        if market is None:
            raise errors.not_found("product")
        return market
