"""Endpoints without a signature: what spot has, and mark prices, funding and contracts.

Not here: HTTP, how the mark comes to be (`perpetual.clearing`). Invariant: nothing from after the market
clock is visible.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from venues.sandbox.binance import errors
from venues.sandbox.binance.messages import levels
from venues.sandbox.binance.params import Params
from venues.sandbox.binance.public_api import PublicApi
from venues.sandbox.binance_usdm.bodies import listing
from venues.sandbox.exchange import Exchange
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.perpetual.assembly import Perpetuals
from venues.sandbox.session import MarketSession
from venues.sandbox.units import ONE, text8
from venues.sandbox.wall import VenueClock

_INTEREST = "0.00010000"


class ContractPublicApi(PublicApi):
    """Market data queries."""

    def __init__(
        self,
        exchange: Exchange,
        session: MarketSession,
        intervals: Mapping[str, int],
        limits: tuple[int, int],
        wall: VenueClock,
        perpetuals: Perpetuals,
    ) -> None:
        super().__init__(exchange, session, intervals, *limits, wall)
        self._perpetuals = perpetuals

    def exchange_info(self, params: Params) -> object:
        """GET /fapi/v1/exchangeInfo"""
        return {
            "timezone": "UTC",
            "serverTime": self._wall.ms(),
            "futuresType": "U_MARGINED",
            "rateLimits": self._rate_limits,
            "exchangeFilters": [],
            "assets": [{"asset": self._perpetuals.asset, "marginAvailable": True, "autoAssetExchange": "0"}],
            "symbols": [self._listing(market) for market in self._exchange.markets.values()],
        }

    def depth(self, params: Params) -> object:
        """GET /fapi/v1/depth"""
        book = self._market(params).book
        limit = params.limit(500, 1000)
        bids, asks = levels(list(book.bids.items())[:limit]), levels(list(book.asks.items())[:limit])
        return msgspec.Raw(
            f'{{"lastUpdateId":{book.update_id},"E":{self._wall.ms()},"T":{self._exchange.clock},'
            f'"bids":{bids},"asks":{asks}}}'.encode()
        )

    def premium_index(self, params: Params) -> object:
        """GET /fapi/v1/premiumIndex"""
        return self._one_or_many(params, self._premium)

    def funding_rates(self, params: Params) -> object:
        """GET /fapi/v1/fundingRate: what was settled"""
        symbol = self._market(params).instrument.symbol if params.optional_symbol() is not None else None
        start, end = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(100, 1000)
        rows = [
            {
                "symbol": each.symbol,
                "fundingTime": each.t,
                "fundingRate": text8(each.rate),
                "markPrice": text8(each.mark),
            }
            for each in self._perpetuals.clearing.settled
            if symbol in (None, each.symbol)
            and (start is None or each.t >= start)
            and (end is None or each.t <= end)
        ]
        return rows[:limit] if start is not None else rows[-limit:]

    def funding_info(self, params: Params) -> object:
        """GET /fapi/v1/fundingInfo"""
        hours = self._perpetuals.config.funding_hours
        return [
            {
                "symbol": symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": hours,
                "disclaimer": False,
            }
            for symbol in self._exchange.markets
        ]

    def mark_klines(self, params: Params) -> object:
        """GET /fapi/v1/markPriceKlines: the mark follows the public market, so these are its candles"""
        rows = self.klines(params)
        assert isinstance(rows, list)
        return [[*row[:5], "0", row[6], "0", row[8], "0", "0", "0"] for row in rows]

    def status(self, params: Params) -> object:
        """GET /sapi/v1/system/status"""
        return {"status": 0, "msg": "normal"}

    def average_price(self, params: Params) -> object:
        """Contracts have none"""
        raise errors.unsupported_path("avgPrice")

    def _listing(self, market: SymbolMarket) -> object:
        brackets = self._perpetuals.brackets[market.instrument.symbol].rows
        rates = (
            text8(brackets[0].rate * 100),
            text8(ONE * 100 // brackets[0].leverage),
            self._perpetuals.config.liquidation_fee,
        )
        return listing(market.instrument, market.is_listed, rates)

    def _premium(self, market: SymbolMarket) -> object:
        symbol, clearing = market.instrument.symbol, self._perpetuals.clearing
        index = text8(clearing.index(symbol))
        return {
            "symbol": symbol,
            "markPrice": text8(clearing.mark(symbol)),
            "indexPrice": index,
            "estimatedSettlePrice": index,
            "lastFundingRate": text8(clearing.rate(symbol)),
            "interestRate": _INTEREST,
            "nextFundingTime": clearing.next_funding_ms,
            "time": self._wall.ms(),
        }
