"""Endpoints of an account: orders, executions, balances, and what clients ask about the key itself.

Not here: tokens (already checked) and matching. Invariant: a refused order leaves no trace but its line in
the truth log; a second order of a client id is the first one, whatever else it asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from venues.sandbox.accounts import Account
from venues.sandbox.coinbase import errors
from venues.sandbox.coinbase.bodies import (
    Body,
    account_body,
    configuration,
    fill_body,
    order_body,
    status_of,
)
from venues.sandbox.coinbase.names import markets_by_id, product_id
from venues.sandbox.coinbase.params import Query, text, units
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.orders import Fill, Order, OrderRequest
from venues.sandbox.refusals import Reason
from venues.sandbox.units import ONE

Entry = TypeVar("Entry")
_PAGE = 1000
_KINDS = {
    "market_market_ioc": ("MARKET", "GTC"),
    "limit_limit_gtc": ("LIMIT", "GTC"),
    "limit_limit_fok": ("LIMIT", "FOK"),
    "sor_limit_ioc": ("LIMIT", "IOC"),
}
_NOTHING_SAID = "UNKNOWN_FAILURE_REASON"


class PrivateApi:
    """Trading and account queries; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, rates: tuple[str, str]) -> None:
        self._exchange = exchange
        self._lists = lists
        self._rates = rates
        self._markets = markets_by_id(exchange)

    def place(self, account: Account, values: Mapping[str, Any]) -> Body:
        """POST /api/v3/brokerage/orders"""
        order = self._exchange.submit(account, self._request(values))
        assert order is not None
        self._lists.accepted(order)
        return {
            "success": True,
            "failure_reason": _NOTHING_SAID,
            "order_id": str(order.id),
            "success_response": {
                "order_id": str(order.id),
                "product_id": product_id(order.instrument),
                "side": order.request.side,
                "client_order_id": order.request.client_order_id,
            },
            "order_configuration": configuration(order),
        }

    def cancel(self, account: Account, number: str) -> Body:
        """One result of POST /api/v3/brokerage/orders/batch_cancel"""
        order = self._numbered(account, number)
        is_open = order is not None and order.is_open
        if order is not None and is_open:
            self._exchange.cancel(order, "user")
        reason = "UNKNOWN_CANCEL_FAILURE_REASON" if is_open else "UNKNOWN_CANCEL_ORDER"
        return {"success": is_open, "failure_reason": reason, "order_id": number}

    def order(self, account: Account, number: str, query: Query) -> Body:
        """GET /api/v3/brokerage/orders/historical/{order_id}"""
        order = self._numbered(account, number)
        if order is None or not self._lists.shows(order):
            raise errors.not_found("order")
        return {"order": order_body(order)}

    def batch(self, account: Account, query: Query) -> Body:
        """GET /api/v3/brokerage/orders/historical/batch, newest first"""
        products, wanted = query.every("product_ids"), query.every("order_status")
        if "OPEN" in wanted and len(wanted) > 1:
            raise errors.invalid("order_status")
        found = [
            one
            for one in reversed(self._exchange.by_account[account.name])
            if (not products or product_id(one.instrument) in products)
            and (not wanted or status_of(one) in wanted)
            and self._lists.shows(one)
        ]
        rows, cursor = self._page(query, found)
        return {
            "orders": [order_body(one) for one in rows], "sequence": "0", "has_next": bool(cursor),
            "cursor": cursor,
        }  # fmt: skip

    def fills(self, account: Account, query: Query) -> Body:
        """GET /api/v3/brokerage/orders/historical/fills, newest first"""
        products, numbers = query.every("product_ids"), query.every("order_ids")
        found: list[tuple[Fill, Order]] = [
            (fill, order)
            for order in self._exchange.by_account[account.name]
            if (not products or product_id(order.instrument) in products)
            and (not numbers or str(order.id) in numbers)
            and self._lists.shows(order)
            for fill in order.fills
        ]
        found.sort(key=lambda one: -one[0].trade_id)
        rows, cursor = self._page(query, found)
        return {"fills": [fill_body(order, fill) for fill, order in rows], "cursor": cursor}

    def accounts(self, account: Account, query: Query) -> Body:
        """GET /api/v3/brokerage/accounts"""
        rows, cursor = self._page(query, sorted(account.free))
        return {
            "accounts": [account_body(account, asset) for asset in rows], "has_next": bool(cursor),
            "cursor": cursor, "size": len(rows),
        }  # fmt: skip

    def summary(self, account: Account, query: Query) -> Body:
        """GET /api/v3/brokerage/transaction_summary"""
        maker, taker = self._rates
        return {
            "total_fees": 0,
            "fee_tier": {"pricing_tier": "Advanced 1", "maker_fee_rate": maker, "taker_fee_rate": taker},
        }

    def permissions(self, account: Account, query: Query) -> Body:
        """GET /api/v3/brokerage/key_permissions"""
        return {
            "can_view": True,
            "can_trade": True,
            "can_transfer": account.can_withdraw,
            "portfolio_uuid": account.name,
            "portfolio_type": "DEFAULT",
        }

    def _numbered(self, account: Account, number: str) -> Order | None:
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        return self._exchange.find_anywhere(account, int(number), "")

    def _page(self, query: Query, rows: Sequence[Entry]) -> tuple[Sequence[Entry], str]:
        """Rows of a page, and where the next one begins, empty at the end."""
        first = query.integer("cursor") or 0
        last = first + self._lists.rows(query.limit(_PAGE, _PAGE))
        return rows[first:last], str(last) if last < len(rows) else ""

    def _request(self, values: Mapping[str, Any]) -> OrderRequest:
        """A new order's parameters."""
        client_id = text(values, "client_order_id")
        market = self._markets.get(text(values, "product_id"))
        if market is None:
            raise errors.OrderError("INVALID_PRODUCT_ID", "product_id is not known")
        side = text(values, "side")
        if side not in ("BUY", "SELL"):
            raise errors.OrderError("INVALID_SIDE", "side is not known")
        found = values.get("order_configuration")
        if not isinstance(found, dict) or len(found) != 1:
            raise errors.invalid("order_configuration")
        ((kind, terms),) = found.items()
        if kind not in _KINDS:
            raise errors.unsupported()
        if not isinstance(terms, dict):
            raise errors.invalid(str(kind))
        engine_type, in_force = _KINDS[kind]
        by_quote = engine_type == "MARKET" and "quote_size" in terms
        size = units(
            terms, "quote_size" if by_quote else "base_size", errors.spelled(Reason.QUANTITY_OFF_GRID)
        )
        if terms.get("post_only") is True and kind == "limit_limit_gtc":
            engine_type = "LIMIT_MAKER"
        is_market = engine_type == "MARKET"
        price = 0 if is_market else units(terms, "limit_price", errors.spelled(Reason.PRICE_OFF_GRID))
        return OrderRequest(
            market.instrument, side, engine_type, in_force, client_id, 0 if by_quote else size,
            size * ONE if by_quote else 0, price,
        )  # fmt: skip
