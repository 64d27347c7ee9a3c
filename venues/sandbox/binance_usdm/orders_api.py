"""Endpoints of orders: new, cancelled, asked for, and what they traded.

Parameters are checked with Binance's rules for each order type before the exchange sees them. Not here:
signatures (already checked), matching and margin. Invariant: a refused order leaves no trace but its line in
the truth log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.params import Params
from venues.sandbox.binance_usdm import bodies
from venues.sandbox.binance_usdm import errors as contract_errors
from venues.sandbox.binance_usdm.modes_api import ModesApi
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import PRICED_TYPES, STOP_TYPES, Order, OrderRequest

_UNSUPPORTED = ("callbackRate", "activationPrice", "activatePrice", "priceMatch", "goodTillDate")
_FORCES = ("GTC", "IOC", "FOK", "GTX")


class OrdersApi:
    """Trading; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, modes: ModesApi) -> None:
        self._exchange = exchange
        self._lists = lists
        self._modes = modes

    def create(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/order"""
        kind = params.choice(
            "type", ("LIMIT", "MARKET", *bodies.STOPS), errors.VenueError(-1116, "Invalid orderType.")
        )
        if kind in bodies.STOPS:
            raise contract_errors.use_algo_orders()
        if params.optional("closePosition") == "true":
            raise errors.VenueError(-4136, f"Target strategy invalid for orderType {kind},closePosition true")
        if params.has("stopPrice"):
            raise errors.unwanted("stopPrice")
        request = self._request(account, params, kind, params.optional("newClientOrderId"), 0)
        return bodies.order_body(self._submit(account, request))

    def create_algo(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/algoOrder"""
        if params.text("algoType") != "CONDITIONAL":
            raise errors.VenueError(-1130, "Data sent for parameter 'algoType' is not valid.")
        kind = params.choice("type", bodies.STOPS, errors.VenueError(-1116, "Invalid orderType."))
        trigger = params.units("triggerPrice")
        kind, client_id = bodies.STOPS[kind], params.optional("clientAlgoId")
        request = self._request(account, params, kind, client_id, trigger)
        return bodies.algo_body(self._submit(account, request))

    def test(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/order/test: all checks, no order"""
        kind = params.choice("type", ("LIMIT", "MARKET"), errors.VenueError(-1116, "Invalid orderType."))
        request = self._request(account, params, kind, params.optional("newClientOrderId"), 0)
        self._exchange.submit(account, request, test_only=True)
        return {}

    def query(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/order"""
        order = self._named(account, params)
        if order is None or not bodies.is_plain(order) or not self._lists.shows(order):
            raise errors.no_such_order()
        return bodies.order_body(order)

    def query_open(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/openOrder"""
        order = self._named(account, params)
        if order is None or not (bodies.is_plain(order) and order.is_open and self._lists.shows(order)):
            raise errors.no_such_order()
        return bodies.order_body(order)

    def query_algo(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/algoOrder"""
        order = self._named_algo(account, params)
        if order is None or not self._lists.shows(order):
            raise errors.no_such_order()
        return bodies.algo_body(order)

    def cancel(self, account: Account, params: Params) -> object:
        """DELETE /fapi/v1/order"""
        order = self._named(account, params)
        if order is None or not order.is_open or not bodies.is_plain(order):
            raise errors.unknown_order()
        self._exchange.cancel(order, order.request.client_order_id)
        return bodies.order_body(order)

    def cancel_algo(self, account: Account, params: Params) -> object:
        """DELETE /fapi/v1/algoOrder"""
        order = self._named_algo(account, params)
        if order is None or not order.is_waiting_stop or not order.is_open:
            raise errors.unknown_order()
        self._exchange.cancel(order, order.request.client_order_id)
        return {
            "algoId": bodies.algo_number(order),
            "clientAlgoId": order.request.client_order_id,
            "code": "200",
            "msg": "success",
        }

    def cancel_all(self, account: Account, params: Params) -> object:
        """DELETE /fapi/v1/allOpenOrders"""
        return self._cancel_all(account, params, bodies.is_plain)

    def cancel_all_algos(self, account: Account, params: Params) -> object:
        """DELETE /fapi/v1/algoOpenOrders"""
        return self._cancel_all(account, params, lambda order: order.is_waiting_stop)

    def open_orders(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/openOrders"""
        found = self._exchange.open_orders(account, self._optional_symbol(params))
        return self._shown(found, bodies.is_plain, bodies.order_body)

    def open_algos(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/openAlgoOrders"""
        found = self._exchange.open_orders(account, self._optional_symbol(params))
        return self._shown(found, lambda order: order.is_waiting_stop, bodies.algo_body)

    def all_orders(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/allOrders"""
        chosen = self._chosen(account, params, params.integer("orderId"))
        return self._paged(chosen, bodies.is_plain, bodies.order_body, params)

    def all_algos(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/allAlgoOrders"""
        algo_id = params.integer("algoId")
        chosen = self._chosen(account, params, None if algo_id is None else bodies.order_number(algo_id))
        return self._paged(chosen, lambda order: order.request.type in STOP_TYPES, bodies.algo_body, params)

    def force_orders(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/forceOrders"""
        symbol = self._optional_symbol(params)
        found = [
            order
            for order in self._exchange.by_account[account.name]
            if order.is_liquidation and symbol in (None, order.instrument.symbol)
        ]
        return [bodies.order_body(order) for order in found[-params.limit(50, 100) :]]

    def user_trades(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/userTrades"""
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
        return [bodies.trade_body(*one) for one in (fills[:limit] if forward else fills[-limit:])]

    def _submit(self, account: Account, request: OrderRequest) -> Order:
        order = self._exchange.submit(account, request)
        assert order is not None
        self._lists.accepted(order)
        return order

    def _cancel_all(self, account: Account, params: Params, wanted: Callable[[Order], bool]) -> object:
        symbol = self._market(params).instrument.symbol
        for order in self._exchange.open_orders(account, symbol):
            if wanted(order):
                self._exchange.cancel(order, order.request.client_order_id)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _shown(
        self, orders: Iterable[Order], wanted: Callable[[Order], bool], body: Callable[[Order], object]
    ) -> list[object]:
        return [body(order) for order in orders if wanted(order) and self._lists.shows(order)]

    def _chosen(self, account: Account, params: Params, from_id: int | None) -> list[Order]:
        symbol = self._market(params).instrument.symbol
        start, end = params.integer("startTime"), params.integer("endTime")
        return [
            order
            for order in self._exchange.by_account[account.name]
            if order.instrument.symbol == symbol
            and (from_id is None or order.id >= from_id)
            and (start is None or order.created_ms >= start)
            and (end is None or order.created_ms <= end)
        ]

    def _paged(
        self,
        orders: list[Order],
        wanted: Callable[[Order], bool],
        body: Callable[[Order], object],
        params: Params,
    ) -> object:
        rows = self._shown(orders, wanted, body)
        limit = self._lists.rows(params.limit(500, 1000))
        forward = any(params.has(name) for name in ("orderId", "algoId", "startTime"))
        return rows[:limit] if forward else rows[-limit:]

    def _market(self, params: Params) -> SymbolMarket:
        market = self._exchange.markets.get(params.symbol())
        if market is None:
            raise errors.invalid_symbol()
        return market

    def _optional_symbol(self, params: Params) -> str | None:
        if params.optional_symbol() is None:
            return None
        return self._market(params).instrument.symbol

    def _named(self, account: Account, params: Params) -> Order | None:
        symbol = self._market(params).instrument.symbol
        order_id, client_id = params.integer("orderId"), params.optional("origClientOrderId")
        if order_id is None and client_id is None:
            raise errors.VenueError(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        return self._exchange.find(account, symbol, order_id, client_id)

    def _named_algo(self, account: Account, params: Params) -> Order | None:
        algo_id, client_id = params.integer("algoId"), params.optional("clientAlgoId")
        if algo_id is None and client_id is None:
            raise errors.VenueError(
                -1102, "Param 'algoId' or 'clientAlgoId' must be sent, but both were empty/null!"
            )
        number = None if algo_id is None else bodies.order_number(algo_id)
        order = self._exchange.find_anywhere(account, number, client_id or "")
        return order if order is not None and order.request.type in STOP_TYPES else None

    def _request(
        self, account: Account, params: Params, kind: str, client_id: str | None, trigger: int
    ) -> OrderRequest:
        """A new order's parameters, each checked for its type."""
        instrument = self._market(params).instrument
        side = params.choice("side", ("BUY", "SELL"), errors.VenueError(-1117, "Invalid side."))
        self._modes.check_order(account, params)
        for name in _UNSUPPORTED:
            if params.has(name):
                raise errors.unwanted(name)
        closes = params.optional("closePosition") == "true"
        reduces = params.optional("reduceOnly") == "true"
        if closes and (reduces or params.has("quantity") or kind in PRICED_TYPES):
            raise errors.VenueError(-4136, f"Target strategy invalid for orderType {kind},closePosition true")
        in_force = "GTC"
        if kind in PRICED_TYPES:
            wrong = errors.VenueError(-1115, "Invalid timeInForce.")
            in_force = (
                params.choice("timeInForce", _FORCES, wrong)
                if kind == "LIMIT"
                else (params.optional("timeInForce") or "GTC")
            )
            if in_force not in _FORCES or (in_force == "GTX" and kind != "LIMIT"):
                raise wrong
        elif params.has("price"):
            raise errors.unwanted("price")
        working = params.optional("workingType") or "CONTRACT_PRICE"
        if working not in ("CONTRACT_PRICE", "MARK_PRICE"):
            raise errors.VenueError(-1130, "Data sent for parameter 'workingType' is not valid.")
        is_maker = in_force == "GTX"
        return OrderRequest(
            instrument,
            side,
            "LIMIT_MAKER" if is_maker else kind,
            "GTC" if is_maker else in_force,
            client_id or secrets.token_urlsafe(16),
            0 if closes else params.units("quantity"),
            price=params.units("price") if kind in PRICED_TYPES else 0,
            stop_price=trigger,
            reduce_only=reduces,
            close_position=closes,
            by_mark=working == "MARK_PRICE",
        )
