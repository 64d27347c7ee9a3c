"""Endpoints of an account: balances, orders, own trades, and the wallet calls that clients make.

Parameters are checked with Binance's rules for each order type before the exchange sees them. Not
here: signatures (already checked) and matching. Invariant: a refused order leaves no trace but its
line in the truth log.
"""

from __future__ import annotations

import secrets

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.bodies import order_body
from venues.sandbox.binance.params import Params
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.instrument import ORDER_TYPES
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import PRICED_TYPES, STOP_TYPES, Order, OrderRequest
from venues.sandbox.units import money_text, text8

_UNSUPPORTED = ("icebergQty", "trailingDelta", "strategyId", "pegPriceType")


class PrivateApi:
    """Trading and account queries; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, maker_fee: str, taker_fee: str) -> None:
        self._exchange = exchange
        self._lists = lists
        self._fees = (maker_fee, taker_fee)
        assets = {
            asset
            for market in exchange.markets.values()
            for asset in (market.instrument.base, market.instrument.quote)
        }
        self._assets = sorted(
            assets | {asset for account in exchange.accounts.values() for asset in account.free}
        )

    def account(self, account: Account, params: Params) -> object:
        """GET /api/v3/account"""
        maker, taker = self._fees
        hide = params.optional("omitZeroBalances") == "true"
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {
                "maker": maker,
                "taker": taker,
                "buyer": "0.00000000",
                "seller": "0.00000000",
            },
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": True,
            "preventSor": False,
            "updateTime": self._exchange.clock,
            "accountType": "SPOT",
            "permissions": ["SPOT"],
            "uid": 1,
            "balances": [
                {
                    "asset": asset,
                    "free": money_text(account.free.get(asset, 0)),
                    "locked": money_text(account.locked.get(asset, 0)),
                }
                for asset in self._assets
                if account.total(asset) or not hide
            ],
        }

    def create(self, account: Account, params: Params) -> object:
        """POST /api/v3/order"""
        request, detail = self._request(params)
        order = self._exchange.submit(account, request)
        assert order is not None
        self._lists.accepted(order)
        return _creation_body(order, detail)

    def test(self, account: Account, params: Params) -> object:
        """POST /api/v3/order/test: all checks, no order"""
        self._exchange.submit(account, self._request(params)[0], test_only=True)
        return {}

    def query(self, account: Account, params: Params) -> object:
        """GET /api/v3/order"""
        order = self._exchange.find(account, *self._named(params))
        if order is None or not self._lists.shows(order):
            raise errors.no_such_order()
        return order_body(order)

    def cancel(self, account: Account, params: Params) -> object:
        """DELETE /api/v3/order"""
        order = self._exchange.find(account, *self._named(params))
        cancel_id = params.optional("newClientOrderId") or _fresh_id()
        if order is None or not order.is_open:
            raise errors.unknown_order()
        self._exchange.cancel(order, cancel_id)
        return _cancel_body(order)

    def cancel_all(self, account: Account, params: Params) -> object:
        """DELETE /api/v3/openOrders"""
        orders = self._exchange.open_orders(account, self._market(params).instrument.symbol)
        if not orders:
            raise errors.unknown_order()
        for order in orders:
            self._exchange.cancel(order, _fresh_id())
        return [_cancel_body(order) for order in orders]

    def open_orders(self, account: Account, params: Params) -> object:
        """GET /api/v3/openOrders"""
        symbol = None
        if params.optional_symbol() is not None:
            symbol = self._market(params).instrument.symbol
        found = self._exchange.open_orders(account, symbol)
        return [order_body(order) for order in found if self._lists.shows(order)]

    def all_orders(self, account: Account, params: Params) -> object:
        """GET /api/v3/allOrders"""
        symbol = self._market(params).instrument.symbol
        order_id, start, end = (params.integer(name) for name in ("orderId", "startTime", "endTime"))
        limit = self._lists.rows(params.limit(500, 1000))
        found = [
            order
            for order in self._exchange.by_account[account.name]
            if order.instrument.symbol == symbol
            and self._lists.shows(order)
            and (order_id is None or order.id >= order_id)
            and (start is None or order.created_ms >= start)
            and (end is None or order.created_ms <= end)
        ]
        forward = order_id is not None or start is not None
        return [order_body(order) for order in (found[:limit] if forward else found[-limit:])]

    def my_trades(self, account: Account, params: Params) -> object:
        """GET /api/v3/myTrades"""
        symbol = self._market(params).instrument.symbol
        order_id, from_id, start, end = (
            params.integer(name) for name in ("orderId", "fromId", "startTime", "endTime")
        )
        limit = self._lists.rows(params.limit(500, 1000))
        fills = sorted(
            (
                (fill, order)
                for order in self._exchange.by_account[account.name]
                if order.instrument.symbol == symbol
                and order_id in (None, order.id)
                and self._lists.shows(order)
                for fill in order.fills
                if (from_id is None or fill.trade_id >= from_id)
                and (start is None or fill.t >= start)
                and (end is None or fill.t <= end)
            ),
            key=lambda item: item[0].trade_id,
        )
        forward = from_id is not None or start is not None
        return [
            {
                "symbol": symbol,
                "id": fill.trade_id,
                "orderId": order.id,
                "orderListId": -1,
                "price": text8(fill.price),
                "qty": text8(fill.qty),
                "quoteQty": money_text(fill.price * fill.qty),
                "commission": money_text(fill.fee),
                "commissionAsset": fill.fee_asset,
                "time": fill.t,
                "isBuyer": order.is_buy,
                "isMaker": fill.maker,
                "isBestMatch": True,
            }
            for fill, order in (fills[:limit] if forward else fills[-limit:])
        ]

    def commission(self, account: Account, params: Params) -> object:
        """GET /api/v3/account/commission"""
        symbol = self._market(params).instrument.symbol
        maker, taker = self._fees
        rates = {"maker": maker, "taker": taker, "buyer": "0", "seller": "0"}
        none = dict.fromkeys(rates, "0")
        return {
            "symbol": symbol,
            "standardCommission": rates,
            "taxCommission": none,
            "specialCommission": none,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": "0",
            },
        }

    def trade_fees(self, account: Account, params: Params) -> object:
        """GET /sapi/v1/asset/tradeFee"""
        maker, taker = self._fees
        chosen = params.optional_symbol()
        if chosen is not None:
            self._market(params)
        return [
            {"symbol": symbol, "makerCommission": maker, "takerCommission": taker}
            for symbol in self._exchange.markets
            if chosen in (None, symbol)
        ]

    def coins(self, account: Account, params: Params) -> object:
        """GET /sapi/v1/capital/config/getall"""
        return [
            {
                "coin": asset,
                "name": asset,
                "depositAllEnable": False,
                "withdrawAllEnable": False,
                "free": money_text(account.free.get(asset, 0)),
                "locked": money_text(account.locked.get(asset, 0)),
                "freeze": "0",
                "withdrawing": "0",
                "ipoing": "0",
                "ipoable": "0",
                "storage": "0",
                "isLegalMoney": False,
                "trading": True,
                "networkList": [],
            }
            for asset in self._assets
        ]

    def nothing(self, account: Account, params: Params) -> object:
        """Margin listings: this venue has no margin"""
        return []

    def _market(self, params: Params) -> SymbolMarket:
        market = self._exchange.markets.get(params.symbol())
        if market is None:
            raise errors.invalid_symbol()
        return market

    def _named(self, params: Params) -> tuple[str, int | None, str | None]:
        symbol = self._market(params).instrument.symbol
        order_id, client_id = params.integer("orderId"), params.optional("origClientOrderId")
        if order_id is None and client_id is None:
            raise errors.VenueError(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        return symbol, order_id, client_id

    def _request(self, params: Params) -> tuple[OrderRequest, str]:
        """A new order's parameters, each checked for its type."""
        instrument = self._market(params).instrument
        side = params.choice("side", ("BUY", "SELL"), errors.VenueError(-1117, "Invalid side."))
        kind = params.choice("type", ORDER_TYPES, errors.VenueError(-1116, "Invalid orderType."))
        for name in _UNSUPPORTED:
            if params.has(name):
                raise errors.unwanted(name)
        by_quote = kind == "MARKET" and params.has("quoteOrderQty")
        if by_quote and params.has("quantity"):
            raise errors.VenueError(-1128, "Combination of optional parameters invalid.")
        quote_qty = params.units("quoteOrderQty") * 10**8 if by_quote else 0
        qty = 0 if by_quote else params.units("quantity")
        price = self._only_for("price", kind in PRICED_TYPES, params)
        stop_price = self._only_for("stopPrice", kind in STOP_TYPES, params)
        timed = kind in PRICED_TYPES and kind != "LIMIT_MAKER"
        in_force = "GTC"
        if timed:
            in_force = params.choice(
                "timeInForce", ("GTC", "IOC", "FOK"), errors.VenueError(-1115, "Invalid timeInForce.")
            )
        elif params.has("timeInForce"):
            raise errors.unwanted("timeInForce")
        client_id = params.optional("newClientOrderId") or _fresh_id()
        default = "FULL" if kind in ("MARKET", "LIMIT") else "ACK"
        detail = params.optional("newOrderRespType") or default
        if detail not in ("ACK", "RESULT", "FULL"):
            raise errors.VenueError(-1136, "Invalid newOrderRespType.")
        return OrderRequest(
            instrument, side, kind, in_force, client_id, qty, quote_qty, price, stop_price
        ), detail

    @staticmethod
    def _only_for(name: str, wanted: bool, params: Params) -> int:
        if wanted:
            return params.units(name)
        if params.has(name):
            raise errors.unwanted(name)
        return 0


def _fresh_id() -> str:
    return secrets.token_urlsafe(16)


def _creation_body(order: Order, detail: str) -> dict[str, object]:
    body: dict[str, object] = {
        "symbol": order.instrument.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.request.client_order_id,
        "transactTime": order.updated_ms,
    }
    if detail == "ACK":
        return body
    full = order_body(order)
    names = (
        "price",
        "origQty",
        "executedQty",
        "origQuoteOrderQty",
        "cummulativeQuoteQty",
        "status",
        "timeInForce",
        "type",
        "side",
        "workingTime",
        "selfTradePreventionMode",
    )
    body |= {name: full[name] for name in names}
    if order.request.stop_price:
        body["stopPrice"] = full["stopPrice"]
    if detail == "FULL":
        body["fills"] = [
            {
                "price": text8(fill.price),
                "qty": text8(fill.qty),
                "commission": money_text(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in order.fills
        ]
    return body


def _cancel_body(order: Order) -> dict[str, object]:
    full = order_body(order)
    names = (
        "symbol",
        "orderId",
        "orderListId",
        "price",
        "origQty",
        "executedQty",
        "origQuoteOrderQty",
        "cummulativeQuoteQty",
        "status",
        "timeInForce",
        "type",
        "side",
        "stopPrice",
        "selfTradePreventionMode",
    )
    return {name: full[name] for name in names} | {
        "origClientOrderId": order.request.client_order_id,
        "clientOrderId": order.cancel_id,
        "transactTime": order.updated_ms,
    }
