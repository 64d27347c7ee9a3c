"""Endpoints without a signature: time, assets, pairs, candles, trades, tickers, books.

Handlers take parsed parameters and return the `result` of the answer. Not here: HTTP. Invariant: nothing from
after the market clock is visible.
"""

from __future__ import annotations

from collections.abc import Mapping

from venues.sandbox.exchange import Exchange
from venues.sandbox.kraken import errors
from venues.sandbox.kraken.bodies import Body, candle_row, listed_asset, listing, plain, trade_row
from venues.sandbox.kraken.names import asset_id, markets_by_name, pair_id
from venues.sandbox.kraken.params import Params
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.session import MarketSession
from venues.sandbox.wall import VenueClock

_MOST_CANDLES = 720
_MOST_TRADES = 1000
_MOST_LEVELS = 500


class PublicApi:
    """Market data queries."""

    def __init__(
        self, exchange: Exchange, session: MarketSession, bars: Mapping[int, int], percents: tuple[str, str],
        wall: VenueClock,
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._session = session
        self._bars = bars
        self._percents = percents
        self._wall = wall
        self._markets = markets_by_name(exchange)

    def time(self, params: Params) -> Body:
        """GET /0/public/Time: wall time, in whole seconds"""
        return {"unixtime": self._wall.ms() // 1000, "rfc1123": ""}

    def assets(self, params: Params) -> Body:
        """GET /0/public/Assets"""
        names = {
            asset
            for market in self._exchange.markets.values()
            for asset in (market.instrument.base, market.instrument.quote)
        }
        return {asset_id(each): listed_asset(each) for each in sorted(names)}

    def pairs(self, params: Params) -> Body:
        """GET /0/public/AssetPairs"""
        return {
            pair_id(market.instrument): listing(market.instrument, market.is_listed, self._percents)
            for market in self._exchange.markets.values()
        }

    def candles(self, params: Params) -> Body:
        """GET /0/public/OHLC, oldest first; the last one may be opening just now"""
        market = self._market(params)
        length = self._bars.get(params.integer("interval", 1))
        if length is None:
            raise errors.bad_arguments("interval")
        since = params.integer("since", 0)
        rows = self._session.histories[market.instrument.symbol].rows(
            length, since * 1000 + 1 if since else None, None, _MOST_CANDLES, self._exchange.clock
        )
        last = rows[-1].open_ms // 1000 if rows else 0
        return {pair_id(market.instrument): [candle_row(bar) for bar in rows], "last": last}

    def trades(self, params: Params) -> Body:
        """GET /0/public/Trades: the newest, oldest first"""
        market = self._market(params)
        count = max(1, min(params.integer("count", _MOST_TRADES), _MOST_TRADES))
        newest = list(market.tape)[-count:]
        last = str(newest[-1][4] * 1_000_000) if newest else "0"
        return {pair_id(market.instrument): [trade_row(done) for done in newest], "last": last}

    def ticker(self, params: Params) -> Body:
        """GET /0/public/Ticker"""
        asked = params.get("pair")
        markets = (
            list(self._exchange.markets.values())
            if asked is None
            else [self._market_of(each) for each in asked.split(",")]
        )
        return {pair_id(market.instrument): self._ticker_of(market) for market in markets}

    def depth(self, params: Params) -> Body:
        """GET /0/public/Depth"""
        market = self._market(params)
        most = max(1, min(params.integer("count", 100), _MOST_LEVELS))
        book, now = market.book, self._wall.ms() // 1000
        return {
            pair_id(market.instrument): {
                name: [[plain(price), plain(qty), now] for price, qty in list(side.items())[:most]]
                for name, side in (("asks", book.asks), ("bids", book.bids))
            }
        }

    def _ticker_of(self, market: SymbolMarket) -> Body:
        last = market.last_price
        day = self._session.histories[market.instrument.symbol].day()
        opened = high = low = last
        volume = count = 0
        if day is not None:
            oldest, _, high, low, volume, _, count = day
            opened = oldest.open
        ask, bid = market.book.best(True) or (0, 0), market.book.best(False) or (0, 0)
        size = market.tape[-1][2] if market.tape else 0
        return {
            "a": [plain(ask[0]), "1", plain(ask[1])],
            "b": [plain(bid[0]), "1", plain(bid[1])],
            "c": [plain(last), plain(size)],
            "v": [plain(volume)] * 2,
            "p": [plain(last)] * 2,
            "t": [count] * 2,
            "l": [plain(low)] * 2,
            "h": [plain(high)] * 2,
            "o": plain(opened),
        }

    def _market(self, params: Params) -> SymbolMarket:
        return self._market_of(params.text("pair"))

    def _market_of(self, name: str) -> SymbolMarket:
        market = self._markets.get(name)
        if market is None:
            raise errors.unknown_pair()
        return market
