"""Endpoints of an account: orders, executions, balances, and what clients ask about the key itself.

Not here: signatures (already checked) and matching. Invariant: a refused order leaves no trace but its line
in the truth log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.kucoin import errors
from venues.sandbox.kucoin.bodies import Body, balance_rows, fill_body, order_body, plain
from venues.sandbox.kucoin.names import markets_by_id
from venues.sandbox.kucoin.params import Params
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import Fill, Order, OrderRequest
from venues.sandbox.refusals import Reason
from venues.sandbox.units import ONE

_UNSUPPORTED = ("stop", "stopPrice", "hidden", "iceberg", "visibleSize", "cancelAfter", "isIsolated")
_PAGE = 100
_MOST_FEES = 10
_KEPT_MS = 3 * 24 * 3_600_000
Entry = TypeVar("Entry")


class PrivateApi:
    """Trading and account queries; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, rates: tuple[str, str]) -> None:
        self._exchange = exchange
        self._lists = lists
        self._rates = rates
        self._markets = markets_by_id(exchange)

    def place(self, account: Account, params: Params) -> object:
        """POST /api/v1/hf/orders"""
        order = self._placed(account, params)
        return {"orderId": str(order.id), "clientOid": order.request.client_order_id}

    def place_sync(self, account: Account, params: Params) -> object:
        """POST /api/v1/hf/orders/sync: the answer says what became of it"""
        order = self._placed(account, params)
        return {
            "orderId": str(order.id),
            "orderTime": order.created_ms,
            "matchTime": self._exchange.clock,
            **_progress(order),
        }

    def cancel(self, account: Account, params: Params) -> object:
        """DELETE /api/v1/hf/orders/client-order/{clientOid}"""
        return {"clientOid": self._cancelled(account, params).request.client_order_id}

    def cancel_sync(self, account: Account, params: Params) -> object:
        """DELETE /api/v1/hf/orders/sync/client-order/{clientOid}"""
        return _progress(self._cancelled(account, params))

    def order(self, account: Account, params: Params) -> object:
        """GET /api/v1/hf/orders/client-order/{clientOid}: of an id the newest"""
        order = self._named(account, params)
        if order is None or not self._lists.shows(order):
            raise errors.no_such_order()
        return order_body(order)

    def active(self, account: Account, params: Params) -> object:
        """GET /api/v1/hf/orders/active: all of a pair, newest first"""
        return [order_body(one) for one in self._mine(account, params) if one.is_open]

    def done(self, account: Account, params: Params) -> object:
        """GET /api/v1/hf/orders/done: what ended within three days, newest first"""
        oldest = self._exchange.clock - _KEPT_MS
        ended = [one for one in self._mine(account, params) if not one.is_open and one.updated_ms >= oldest]
        return self._page(params, ended, lambda one: one.id, order_body)

    def fills(self, account: Account, params: Params) -> object:
        """GET /api/v1/hf/fills: those of three days, newest first"""
        number = params.get("orderId")
        oldest = self._exchange.clock - _KEPT_MS
        found: list[tuple[Fill, Order]] = [
            (fill, order)
            for order in self._mine(account, params)
            if number in (None, str(order.id))
            for fill in order.fills
            if fill.t >= oldest
        ]
        found.sort(key=lambda one: -one[0].trade_id)
        maker, taker = self._rates
        return self._page(
            params,
            found,
            lambda one: one[0].trade_id,
            lambda one: fill_body(one[1], one[0], maker if one[0].maker else taker),
        )

    def accounts(self, account: Account, params: Params) -> object:
        """GET /api/v1/accounts"""
        return [one for one in balance_rows(account) if params.get("type") in (None, one["type"])]

    def trade_fees(self, account: Account, params: Params) -> object:
        """GET /api/v1/trade-fees"""
        names = params.text("symbols").split(",")
        if len(names) > _MOST_FEES:
            raise errors.bad_parameter("symbols")
        if not all(name in self._markets for name in names):
            raise errors.unknown_pair()
        maker, taker = self._rates
        return [{"symbol": name, "takerFeeRate": taker, "makerFeeRate": maker} for name in names]

    def api_key(self, account: Account, params: Params) -> object:
        """GET /api/v1/user/api-key"""
        return {
            "remark": account.name,
            "apiKey": account.api_key,
            "apiVersion": 2,
            "permission": "General,Spot,Transfer" if account.can_withdraw else "General,Spot",
            "uid": 1,
            "isMaster": True,
        }

    def opened(self, account: Account, params: Params) -> object:
        """GET /api/v1/hf/accounts/opened"""
        return True

    def mode(self, account: Account, params: Params) -> object:
        """GET /api/ua/v1/account/mode"""
        return {"selfAccountMode": "CLASSIC"}

    def cross_symbols(self, account: Account, params: Params) -> object:
        """GET /api/v3/margin/symbols: no pair is traded on margin"""
        return {"timestamp": self._exchange.clock, "items": []}

    def isolated_symbols(self, account: Account, params: Params) -> object:
        """GET /api/v1/isolated/symbols"""
        return []

    def _placed(self, account: Account, params: Params) -> Order:
        order = self._exchange.submit(account, self._request(params))
        assert order is not None
        self._lists.accepted(order)
        return order

    def _cancelled(self, account: Account, params: Params) -> Order:
        order = self._named(account, params)
        if order is None or not order.is_open:
            raise errors.spelled(Reason.NOT_OPEN)
        self._exchange.cancel(order, "user")
        return order

    def _market(self, params: Params) -> SymbolMarket:
        market = self._markets.get(params.text("symbol"))
        if market is None:
            raise errors.unknown_pair()
        return market

    def _named(self, account: Account, params: Params) -> Order | None:
        symbol = self._market(params).instrument.symbol
        return self._exchange.find(account, symbol, None, params.text("clientOid"))

    def _mine(self, account: Account, params: Params) -> list[Order]:
        """Orders of the account in a pair that lists show by now, newest first."""
        symbol = self._market(params).instrument.symbol
        return [
            one
            for one in reversed(self._exchange.by_account[account.name])
            if one.instrument.symbol == symbol and self._lists.shows(one)
        ]

    def _page(
        self, params: Params, newest_first: Sequence[Entry], number_of: Callable[[Entry], int],
        body_of: Callable[[Entry], Body],
    ) -> object:  # fmt: skip
        last = params.integer("lastId")
        rows = [one for one in newest_first if not last or number_of(one) < last]
        rows = rows[: self._lists.rows(params.limit(20, _PAGE))]
        return {"lastId": number_of(rows[-1]) if rows else 0, "items": [body_of(one) for one in rows]}

    def _request(self, params: Params) -> OrderRequest:
        """A new order's parameters."""
        instrument = self._market(params).instrument
        for name in _UNSUPPORTED:
            if params.get(name) not in (None, "false"):
                raise errors.unsupported(name)
        side = params.one_of("side", ("buy", "sell"))
        is_market = params.one_of("type", ("limit", "market")) == "market"
        in_force = params.one_of("timeInForce", ("GTC", "IOC", "FOK"), "GTC")
        is_maker = params.one_of("postOnly", ("true", "false"), "false") == "true" and in_force == "GTC"
        by_quote = is_market and params.get("size") is None
        off_grid = errors.spelled(Reason.QUANTITY_OFF_GRID)
        amount = params.units("funds" if by_quote else "size", off_grid)
        price = 0 if is_market else params.units("price", errors.spelled(Reason.PRICE_OFF_GRID))
        if amount == 0 or (not is_market and price == 0):
            raise errors.bad_parameter("price" if amount else "size")
        kind = "MARKET" if is_market else "LIMIT_MAKER" if is_maker else "LIMIT"
        return OrderRequest(
            instrument,
            side.upper(),
            kind,
            "GTC" if is_market else in_force,
            params.text("clientOid"),
            0 if by_quote else amount,
            amount * ONE if by_quote else 0,
            price,
        )


def _progress(order: Order) -> Body:
    return {
        "clientOid": order.request.client_order_id,
        "originSize": plain(order.qty),
        "dealSize": plain(order.cum_qty),
        "remainSize": plain(order.remaining if order.is_open else 0),
        "canceledSize": plain(0 if order.is_open else order.remaining),
        "status": "open" if order.is_open else "done",
    }
