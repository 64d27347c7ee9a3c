"""Endpoints without a signature: exchange information, candles, trades, books, tickers.

Handlers take parsed parameters and return what is to be encoded; an already encoded text comes as
`msgspec.Raw`. Not here: HTTP. Invariant: nothing from after the market clock is visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from venues.sandbox.binance import errors
from venues.sandbox.binance.bodies import kline_row, listing
from venues.sandbox.binance.messages import percent
from venues.sandbox.binance.params import Params
from venues.sandbox.binance.streams import best_prices, depth_text
from venues.sandbox.exchange import Exchange
from venues.sandbox.matching import PublicTrade, SymbolMarket
from venues.sandbox.session import MarketSession
from venues.sandbox.units import money_text, text8
from venues.sandbox.wall import VenueClock


class PublicApi:
    """Market data queries."""

    def __init__(
        self,
        exchange: Exchange,
        session: MarketSession,
        intervals: Mapping[str, int],
        weight_limit: int,
        order_limit: int,
        wall: VenueClock,
    ) -> None:
        self._exchange = exchange
        self._wall = wall
        self._session = session
        self._intervals = intervals
        self._rate_limits = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": weight_limit,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": order_limit},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": order_limit * 8640},
        ]

    def ping(self, params: Params) -> object:
        """GET /api/v3/ping"""
        return {}

    def time(self, params: Params) -> object:
        """GET /api/v3/time: wall time"""
        return {"serverTime": self._wall.ms()}

    def exchange_info(self, params: Params) -> object:
        """GET /api/v3/exchangeInfo"""
        markets = self._chosen(params)
        return {
            "timezone": "UTC",
            "serverTime": self._wall.ms(),
            "rateLimits": self._rate_limits,
            "exchangeFilters": [],
            "symbols": [listing(market.instrument, market.is_listed) for market in markets],
        }

    def no_contracts(self, params: Params) -> object:
        """exchangeInfo of the futures venues: nothing is listed there"""
        return {
            "timezone": "UTC",
            "serverTime": self._wall.ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "assets": [],
            "symbols": [],
            "optionSymbols": [],
        }

    def system_status(self, params: Params) -> object:
        """GET /sapi/v1/system/status"""
        return {"status": 0, "msg": "normal"}

    def depth(self, params: Params) -> object:
        """GET /api/v3/depth"""
        market = self._market(params)
        return msgspec.Raw(depth_text(market, params.limit(100, 5000)).encode())

    def klines(self, params: Params) -> object:
        """GET /api/v3/klines; the last row may be the candle that is just opening"""
        market = self._market(params)
        length = self._intervals.get(params.text("interval"))
        if length is None:
            raise errors.VenueError(-1120, "Invalid interval.")
        history = self._session.histories[market.instrument.symbol]
        start, end = params.integer("startTime"), params.integer("endTime")
        bars = history.rows(length, start, end, params.limit(500, 1000), self._exchange.clock)
        return [kline_row(bar) for bar in bars]

    def trades(self, params: Params) -> object:
        """GET /api/v3/trades and historicalTrades"""
        market = self._market(params)
        return [_trade_row(done) for done in self._tape(market, params)]

    def agg_trades(self, params: Params) -> object:
        """GET /api/v3/aggTrades; each trade is its own aggregate"""
        market = self._market(params)
        start, end = params.integer("startTime"), params.integer("endTime")
        found = [
            done
            for done in self._tape(market, params, 1000 if start is not None else None)
            if (start is None or done[4] >= start) and (end is None or done[4] <= end)
        ]
        limit = params.limit(500, 1000)
        found = found[:limit] if start is not None else found[-limit:]
        return [_agg_row(done) for done in found]

    def average_price(self, params: Params) -> object:
        """GET /api/v3/avgPrice: the last price, as the filters use it"""
        market = self._market(params)
        return {"mins": 0, "price": text8(market.last_price), "closeTime": self._exchange.clock}

    def ticker_24h(self, params: Params) -> object:
        """GET /api/v3/ticker/24hr"""
        return self._one_or_many(params, self._day_row)

    def ticker_price(self, params: Params) -> object:
        """GET /api/v3/ticker/price"""
        return self._one_or_many(
            params, lambda market: {"symbol": market.instrument.symbol, "price": text8(market.last_price)}
        )

    def ticker_book(self, params: Params) -> object:
        """GET /api/v3/ticker/bookTicker"""
        return self._one_or_many(params, _book_row)

    def _one_or_many(self, params: Params, row: object) -> object:
        assert callable(row)
        if params.has("symbol"):
            return row(self._market(params))
        return [row(market) for market in self._chosen(params)]

    def _market(self, params: Params) -> SymbolMarket:
        return self._listed(params.symbol())

    def _listed(self, symbol: str) -> SymbolMarket:
        market = self._exchange.markets.get(symbol)
        if market is None:
            raise errors.invalid_symbol()
        return market

    def _chosen(self, params: Params) -> Iterable[SymbolMarket]:
        symbol, symbols = params.optional_symbol(), params.symbols()
        if symbol is not None and symbols is not None:
            raise errors.VenueError(-1128, "Combination of optional parameters invalid.")
        if symbol is not None:
            return [self._listed(symbol)]
        if symbols is not None:
            return [self._listed(one) for one in symbols]
        return self._exchange.markets.values()

    @staticmethod
    def _tape(market: SymbolMarket, params: Params, limit: int | None = None) -> list[PublicTrade]:
        most = limit or params.limit(500, 1000)
        from_id = params.integer("fromId")
        tape = list(market.tape)
        if from_id is not None:
            return [done for done in tape if done[0] >= from_id][:most]
        return tape[-most:]

    def _day_row(self, market: SymbolMarket) -> object:
        symbol = market.instrument.symbol
        bid, ask = best_prices(market)
        day = self._session.histories[symbol].day()
        row: dict[str, object] = {
            "symbol": symbol,
            "lastPrice": text8(market.last_price),
            "lastQty": text8(0),
            "bidPrice": text8(bid[0]),
            "bidQty": text8(bid[1]),
            "askPrice": text8(ask[0]),
            "askQty": text8(ask[1]),
        }
        if day is None:
            zeros = (
                "priceChange",
                "priceChangePercent",
                "weightedAvgPrice",
                "prevClosePrice",
                "openPrice",
                "highPrice",
                "lowPrice",
                "volume",
                "quoteVolume",
            )
            return (
                row
                | dict.fromkeys(zeros, text8(0))
                | {
                    "openTime": self._exchange.clock,
                    "closeTime": self._exchange.clock,
                    "firstId": -1,
                    "lastId": -1,
                    "count": 0,
                }
            )
        oldest, newest, high, low, volume, quote, count = day
        change = market.last_price - oldest.open
        return row | {
            "priceChange": text8(change),
            "priceChangePercent": percent(change, oldest.open),
            "weightedAvgPrice": text8(quote // volume if volume else 0),
            "prevClosePrice": text8(oldest.open),
            "openPrice": text8(oldest.open),
            "highPrice": text8(high),
            "lowPrice": text8(low),
            "volume": text8(volume),
            "quoteVolume": money_text(quote),
            "openTime": oldest.open_ms,
            "closeTime": newest.close_ms,
            "firstId": oldest.first_id,
            "lastId": newest.last_id,
            "count": count,
        }


def _book_row(market: SymbolMarket) -> object:
    bid, ask = best_prices(market)
    return {
        "symbol": market.instrument.symbol,
        "bidPrice": text8(bid[0]),
        "bidQty": text8(bid[1]),
        "askPrice": text8(ask[0]),
        "askQty": text8(ask[1]),
    }


def _trade_row(done: PublicTrade) -> object:
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "id": trade_id,
        "price": text8(price),
        "qty": text8(qty),
        "quoteQty": money_text(price * qty),
        "time": t,
        "isBuyerMaker": buyer_is_maker,
        "isBestMatch": True,
    }


def _agg_row(done: PublicTrade) -> object:
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "a": trade_id,
        "p": text8(price),
        "q": text8(qty),
        "f": trade_id,
        "l": trade_id,
        "T": t,
        "m": buyer_is_maker,
        "M": True,
    }
