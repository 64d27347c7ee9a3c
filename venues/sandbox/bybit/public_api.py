"""Endpoints without a signature: time, instruments, candles, trades, tickers, books.

Handlers take parsed parameters and return the `result` of the answer. Product types that Bybit has and this
venue has not are listed empty, because clients ask for all of them. Not here: HTTP. Invariant: nothing from
after the market clock is visible.
"""

from __future__ import annotations

from collections.abc import Mapping

from venues.sandbox.bybit import errors
from venues.sandbox.bybit.bodies import Body, kline_row, listing, plain, plain_money, trade_row
from venues.sandbox.bybit.params import Params
from venues.sandbox.exchange import Exchange
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession
from venues.sandbox.units import ONE
from venues.sandbox.wall import VenueClock

_PERCENT_DECIMALS = 4


class PublicApi:
    """Market data queries."""

    def __init__(
        self, exchange: Exchange, session: MarketSession, intervals: Mapping[str, int], wall: VenueClock
    ) -> None:
        self._exchange = exchange
        self._wall = wall
        self._session = session
        self._intervals = intervals

    def time(self, params: Params) -> object:
        """GET /v5/market/time: wall time"""
        now = self._wall.ns()
        return {"timeSecond": str(now // 10**9), "timeNano": str(now)}

    def instruments(self, params: Params) -> object:
        """GET /v5/market/instruments-info"""
        category = params.category()
        chosen = self._chosen(params) if category == "spot" else []
        rows = [listing(market.instrument, market.is_listed) for market in chosen]
        return {"category": category, "list": rows, "nextPageCursor": ""}

    def kline(self, params: Params) -> object:
        """GET /v5/market/kline, newest first; the first row may be the candle that is just opening"""
        params.spot()
        market = self._market(params)
        length = self._intervals.get(params.get("interval") or "")
        if length is None:
            raise errors.bad_parameter("Invalid period!")
        symbol = market.instrument.symbol
        bars = self._session.histories[symbol].rows(
            length,
            params.integer("start"),
            params.integer("end"),
            params.limit(200, 1000),
            self._exchange.clock,
        )
        return {"category": "spot", "symbol": symbol, "list": [kline_row(bar) for bar in reversed(bars)]}

    def recent_trade(self, params: Params) -> object:
        """GET /v5/market/recent-trade, newest first"""
        params.spot()
        market = self._market(params)
        symbol = market.instrument.symbol
        newest = list(market.tape)[-params.limit(60, 60) :][::-1]
        return {"category": "spot", "list": [trade_row(symbol, done) for done in newest]}

    def tickers(self, params: Params) -> object:
        """GET /v5/market/tickers"""
        category = params.category()
        chosen = self._chosen(params) if category == "spot" else []
        rows = []
        for market in chosen:
            bid, ask = market.book.best(False) or (0, 0), market.book.best(True) or (0, 0)
            best = {
                "bid1Price": plain(bid[0]),
                "bid1Size": plain(bid[1]),
                "ask1Price": plain(ask[0]),
                "ask1Size": plain(ask[1]),
            }
            rows.append(day_body(self._session, market) | best)
        return {"category": category, "list": rows}

    def orderbook(self, params: Params) -> object:
        """GET /v5/market/orderbook"""
        params.spot()
        market = self._market(params)
        most = params.limit(1, 200)
        book = market.book
        return {
            "s": market.instrument.symbol,
            "b": [[plain(price), plain(qty)] for price, qty in list(book.bids.items())[:most]],
            "a": [[plain(price), plain(qty)] for price, qty in list(book.asks.items())[:most]],
            "ts": self._wall.ms(),
            "u": book.update_id,
            "seq": book.update_id,
            "cts": self._exchange.clock,
        }

    def _market(self, params: Params) -> SymbolMarket:
        market = self._exchange.markets.get(params.get("symbol") or "")
        if market is None:
            raise errors.unknown_symbol()
        return market

    def _chosen(self, params: Params) -> list[SymbolMarket]:
        if params.get("symbol") is None:
            return list(self._exchange.markets.values())
        return [self._market(params)]


def day_body(session: MarketSession, market: SymbolMarket) -> Body:
    """The last 24 hours of a symbol, as REST and the topic `tickers` show them."""
    symbol, last = market.instrument.symbol, market.last_price
    day = session.histories[symbol].day()
    opened = high = low = last
    volume = quote = 0
    if day is not None:
        oldest, _, high, low, volume, quote, _ = day
        opened = oldest.open
    change = (last - opened) * ONE // opened if opened else 0
    return {
        "symbol": symbol,
        "lastPrice": plain(last),
        "highPrice24h": plain(high),
        "lowPrice24h": plain(low),
        "prevPrice24h": plain(opened),
        "volume24h": plain(volume),
        "turnover24h": plain_money(quote),
        "price24hPcnt": f"{change / ONE:.{_PERCENT_DECIMALS}f}",
        "usdIndexPrice": "",
    }
