"""Endpoints of an account: orders, executions, balance, and what clients ask about the key itself.

Not here: signatures (already checked) and matching. Invariant: a refused order leaves no trace but its line
in the truth log.
"""

from __future__ import annotations

import secrets

from venues.sandbox.accounts import Account
from venues.sandbox.bybit import errors
from venues.sandbox.bybit.bodies import PLAIN, STOP, Body, execution_body, filter_of, order_body, wallet_body
from venues.sandbox.bybit.lists import page_of, span_of
from venues.sandbox.bybit.params import Params
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.instrument import Instrument
from venues.sandbox.orders import Fill, Order, OrderRequest
from venues.sandbox.units import ONE

_UNSUPPORTED = ("takeProfit", "stopLoss", "trailingStop", "slippageTolerance", "bboSideType")
_RECENT_CLOSED = 500


class PrivateApi:
    """Trading and account queries; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, rates: tuple[str, str]) -> None:
        self._exchange = exchange
        self._lists = lists
        self._rates = rates

    def create(self, account: Account, params: Params) -> object:
        """POST /v5/order/create"""
        order = self._exchange.submit(account, self._request(params))
        assert order is not None
        self._lists.accepted(order)
        return _named(order)

    def cancel(self, account: Account, params: Params) -> object:
        """POST /v5/order/cancel"""
        params.spot()
        symbol = self._instrument(params).symbol
        kind = params.order_filter() or PLAIN
        order = self._chosen(account, params)
        if order is None or order.instrument.symbol != symbol or not order.is_open:
            raise errors.no_such_order()
        if kind != (STOP if order.is_waiting_stop else PLAIN):
            raise errors.no_such_order()
        self._exchange.cancel(order, "user")
        return _named(order)

    def cancel_all(self, account: Account, params: Params) -> object:
        """POST /v5/order/cancel-all"""
        params.spot()
        symbol = None if params.get("symbol") is None else self._instrument(params).symbol
        kind = params.order_filter() or PLAIN
        orders = [
            one
            for one in self._exchange.open_orders(account, symbol)
            if kind == (STOP if one.is_waiting_stop else PLAIN)
        ]
        for order in orders:
            self._exchange.cancel(order, "user")
        return {"list": [_named(order) for order in orders], "success": "1"}

    def realtime(self, account: Account, params: Params) -> object:
        """GET /v5/order/realtime: open orders; by id, or asked for, also the newest that are closed"""
        params.spot()
        symbol = None if params.get("symbol") is None else self._instrument(params).symbol
        mine = self._exchange.by_account[account.name][::-1]
        closed = [order for order in mine if not order.is_open][:_RECENT_CLOSED]
        open_only = params.get("openOnly") or "0"
        if open_only not in ("0", "1", "2"):
            raise errors.bad_parameter("openOnly invalid")
        if self._is_by_id(params):
            oldest = closed[-1].id if len(closed) == _RECENT_CLOSED else 0
            order = self._chosen(account, params)
            found = [order] if order is not None and (order.is_open or order.id >= oldest) else []
        else:
            wanted = [one for one in mine if one.is_open] if open_only == "0" else closed
            found = [one for one in wanted if symbol in (None, one.instrument.symbol)]
        return self._listed(params, found)

    def history(self, account: Account, params: Params) -> object:
        """GET /v5/order/history: closed orders"""
        params.spot()
        symbol = None if params.get("symbol") is None else self._instrument(params).symbol
        if self._is_by_id(params):
            order = self._chosen(account, params)
            found = [order] if order is not None else []
        else:
            first, last = span_of(params, self._exchange.clock)
            found = [
                one
                for one in reversed(self._exchange.by_account[account.name])
                if symbol in (None, one.instrument.symbol) and first <= one.created_ms <= last
            ]
        return self._listed(params, [one for one in found if not one.is_open])

    def executions(self, account: Account, params: Params) -> object:
        """GET /v5/execution/list"""
        params.spot()
        symbol = None if params.get("symbol") is None else self._instrument(params).symbol
        if self._is_by_id(params):
            order = self._chosen(account, params)
            orders, first, last = [order] if order is not None else [], 0, 2**62
        else:
            orders = self._exchange.by_account[account.name]
            first, last = span_of(params, self._exchange.clock)
        fills: list[tuple[Fill, Order, int]] = []
        for order in orders:
            if symbol in (None, order.instrument.symbol) and self._lists.shows(order):
                leaves = order.qty
                for fill in order.fills:
                    leaves -= fill.qty
                    if first <= fill.t <= last:
                        fills.append((fill, order, leaves))
        fills.sort(key=lambda one: -one[0].trade_id)
        page, cursor = page_of(params, fills, lambda one: one[0].trade_id, 50, self._lists.rows(100))
        rows = [execution_body(order, fill, leaves, self._rates) for fill, order, leaves in page]
        return {"category": "spot", "list": rows, "nextPageCursor": cursor}

    def wallet(self, account: Account, params: Params) -> object:
        """GET /v5/account/wallet-balance"""
        if params.get("accountType") != "UNIFIED":
            raise errors.bad_parameter("accountType only support UNIFIED.")
        asked = params.get("coin")
        names = sorted(account.free) if asked is None else asked.split(",")
        held = [name for name in names if asked is not None or account.total(name)]
        return {"list": [wallet_body(account, held)]}

    def account_info(self, account: Account, params: Params) -> object:
        """GET /v5/account/info"""
        return {
            "unifiedMarginStatus": 6,
            "marginMode": "REGULAR_MARGIN",
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
            "updatedTime": str(self._exchange.clock),
        }

    def fee_rate(self, account: Account, params: Params) -> object:
        """GET /v5/account/fee-rate"""
        params.spot()
        symbols = list(self._exchange.markets)
        if params.get("symbol") is not None:
            symbols = [self._instrument(params).symbol]
        maker, taker = self._rates
        rows = [{"symbol": each, "makerFeeRate": maker, "takerFeeRate": taker} for each in symbols]
        return {"category": "spot", "list": rows}

    def key(self, account: Account, params: Params) -> object:
        """GET /v5/user/query-api: what the key may do"""
        wallet = ["Withdraw"] if account.can_withdraw else []
        return {
            "id": "1",
            "note": account.name,
            "apiKey": account.api_key,
            "readOnly": 0,
            "secret": "",
            "permissions": {"Spot": ["SpotTrade"], "Wallet": wallet, "ContractTrade": [], "Options": []},
            "ips": ["*"],
            "type": 1,
            "unified": 0,
            "uta": 1,
            "userID": 1,
            "isMaster": True,
        }

    def coins(self, account: Account, params: Params) -> object:
        """GET /v5/asset/coin/query-info: coins without networks, nothing can be sent"""
        names = {market.instrument.base for market in self._exchange.markets.values()}
        names |= {market.instrument.quote for market in self._exchange.markets.values()} | set(account.free)
        rows = [{"name": each, "coin": each, "remainAmount": "0", "chains": []} for each in sorted(names)]
        return {"rows": rows}

    def _instrument(self, params: Params) -> Instrument:
        market = self._exchange.markets.get(params.text("symbol"))
        if market is None:
            raise errors.VenueError(170121, "Invalid symbol.")
        return market.instrument

    @staticmethod
    def _is_by_id(params: Params) -> bool:
        return params.get("orderId") is not None or params.get("orderLinkId") is not None

    def _chosen(self, account: Account, params: Params) -> Order | None:
        """The order of an id; the venue's own id counts more."""
        number, client_id = params.get("orderId"), params.get("orderLinkId")
        if number is None and client_id is None:
            raise errors.bad_parameter("orderId or orderLinkId is required")
        if number is None:
            return self._exchange.find_anywhere(account, None, client_id or "")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        return self._exchange.find_anywhere(account, int(number), "")

    def _listed(self, params: Params, newest_first: list[Order]) -> Body:
        kind = params.order_filter()
        shown = [one for one in newest_first if self._lists.shows(one) and kind in (None, filter_of(one))]
        page, cursor = page_of(params, shown, lambda one: one.id, 20, self._lists.rows(50))
        return {"category": "spot", "list": [order_body(one) for one in page], "nextPageCursor": cursor}

    def _request(self, params: Params) -> OrderRequest:
        """A new order's parameters."""
        params.spot()
        instrument = self._instrument(params)
        side, kind = params.text("side"), params.text("orderType")
        filtered = params.order_filter() or PLAIN
        if side not in ("Buy", "Sell"):
            raise errors.VenueError(170117, "Invalid side.")
        if kind not in ("Limit", "Market"):
            raise errors.VenueError(170116, "Invalid orderType.")
        if (
            any(params.get(name) is not None for name in _UNSUPPORTED)
            or filtered not in (PLAIN, STOP)
            or (filtered == PLAIN and params.get("triggerPrice") is not None)
            or (filtered == STOP and (kind != "Limit" or params.get("timeInForce") == "PostOnly"))
            or params.get("isLeverage") not in (None, "0")
        ):
            raise errors.unsupported()
        in_force = params.get("timeInForce") or "GTC"
        if in_force not in ("GTC", "IOC", "FOK", "PostOnly"):
            raise errors.VenueError(170115, "Invalid timeInForce.")
        unit = params.get("marketUnit") or ("quoteCoin" if side == "Buy" else "baseCoin")
        if unit not in ("baseCoin", "quoteCoin"):
            raise errors.invalid("marketUnit")
        amount = params.units("qty", 170137)
        if amount == 0:
            raise errors.VenueError(170136, "Order quantity exceeded lower limit.")
        by_quote = kind == "Market" and unit == "quoteCoin"
        price = params.units("price", 170134) if kind == "Limit" else 0
        if kind == "Limit" and price == 0:
            raise errors.VenueError(170133, "Order price lower than the minimum.")
        engine_type = "MARKET" if kind == "Market" else "LIMIT_MAKER" if in_force == "PostOnly" else "LIMIT"
        stop_price = params.units("triggerPrice", 170134) if filtered == STOP else 0
        if filtered == STOP:
            engine_type = self._stop_type(instrument, side, stop_price)
        return OrderRequest(
            instrument,
            side.upper(),
            engine_type,
            in_force if engine_type not in ("MARKET", "LIMIT_MAKER") else "GTC",
            params.get("orderLinkId") or _fresh_id(),
            0 if by_quote else amount,
            amount * ONE if by_quote else 0,
            price,
            stop_price,
        )

    def _stop_type(self, instrument: Instrument, side: str, stop_price: int) -> str:
        """What a spot order with a trigger is: nobody can say a direction, so it goes by the last price."""
        if stop_price == 0:
            raise errors.VenueError(170133, "Order price lower than the minimum.")
        last = self._exchange.markets[instrument.symbol].last_price
        waits_for_a_fall = stop_price <= last
        return "STOP_LOSS_LIMIT" if waits_for_a_fall == (side == "Sell") else "TAKE_PROFIT_LIMIT"


def _fresh_id() -> str:
    return str(secrets.randbelow(10**18))


def _named(order: Order) -> Body:
    return {"orderId": str(order.id), "orderLinkId": order.request.client_order_id}
