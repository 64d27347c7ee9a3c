"""Endpoints of an account: orders, executions, balances, and what clients ask about the key itself.

Not here: signatures (already checked) and matching. Invariant: a refused order leaves no trace but its line
in the truth log.
"""

from __future__ import annotations

import secrets

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.okx import errors
from venues.sandbox.okx.algos import is_plain, is_stop
from venues.sandbox.okx.bodies import Body, balance_body, fill_body, order_body
from venues.sandbox.okx.lists import page_of, span_of
from venues.sandbox.okx.names import markets_by_id
from venues.sandbox.okx.params import Params
from venues.sandbox.okx.tags import Tags
from venues.sandbox.orders import Fill, Order, OrderRequest
from venues.sandbox.refusals import Reason
from venues.sandbox.units import ONE

_UNSUPPORTED = (
    "attachAlgoOrds", "slTriggerPx", "tpTriggerPx", "triggerPx", "callbackRatio", "callbackSpread", "ccy",
)  # fmt: skip
_KINDS = {
    "market": ("MARKET", "GTC"),
    "limit": ("LIMIT", "GTC"),
    "post_only": ("LIMIT_MAKER", "GTC"),
    "fok": ("LIMIT", "FOK"),
    "ioc": ("LIMIT", "IOC"),
}
_PAGE = 100
_DAY_MS = 86_400_000
_WEEK_MS, _THREE_DAYS_MS, _QUARTER_MS = 7 * _DAY_MS, 3 * _DAY_MS, 92 * _DAY_MS


class PrivateApi:
    """Trading and account queries; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, rates: tuple[str, str], tags: Tags) -> None:
        self._exchange = exchange
        self._lists = lists
        self._rates = rates
        self._tags = tags
        self._markets = markets_by_id(exchange)

    def place(self, account: Account, params: Params) -> list[object]:
        """POST /api/v5/trade/order, and each order of batch-orders"""
        request = self._request(params)
        with self._tags.announced(account, request.client_order_id, params.get("tag") or ""):
            order = self._exchange.submit(account, request)
        assert order is not None
        self._lists.accepted(order)
        return [self.done(order)]

    def cancel(self, account: Account, params: Params) -> list[object]:
        """POST /api/v5/trade/cancel-order, and each order of cancel-batch-orders"""
        order = self._chosen(account, params)
        if order is None or not order.is_open:
            raise errors.spelled(Reason.NOT_OPEN)
        self._exchange.cancel(order, "user")
        return [self.done(order)]

    def order(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/order"""
        order = self._chosen(account, params)
        if order is None or not self._lists.shows(order):
            raise errors.no_such_order()
        return [self._body(order)]

    def pending(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/orders-pending"""
        return self._listed(params, self._mine(account, params, params.is_spot(), is_open=True))

    def history(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/orders-history: what ended within a week"""
        found = self._mine(account, params, params.is_spot(mandatory=True), is_open=False)
        first, last = span_of(params, _WEEK_MS, self._exchange.clock)
        return self._listed(params, [one for one in found if first <= one.updated_ms <= last])

    def fills(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/fills: the last three days"""
        return self._fills(account, params, params.is_spot(), _THREE_DAYS_MS)

    def fills_history(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/fills-history: the last three months"""
        return self._fills(account, params, params.is_spot(mandatory=True), _QUARTER_MS)

    def balance(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/account/balance"""
        asked = params.get("ccy")
        names = sorted(account.free) if asked is None else asked.split(",")
        held = [name for name in names if account.total(name)]
        return [balance_body(account, held, self._exchange.clock)]

    def config(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/account/config: the account's mode, and what the key may do"""
        return [
            {
                "uid": "1",
                "mainUid": "1",
                "acctLv": "1",
                "posMode": "net_mode",
                "autoLoan": False,
                "enableSpotBorrow": False,
                "spotBorrowAutoRepay": False,
                "acctStpMode": "cancel_taker",
                "feeType": "0",
                "level": "Lv1",
                "label": account.name,
                "ip": "",
                "perm": "read_only,withdraw,trade" if account.can_withdraw else "read_only,trade",
                "roleType": "0",
                "type": "0",
                "kycLv": "3",
            }
        ]

    def trade_fee(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/account/trade-fee; what is paid is negative"""
        if not params.is_spot(mandatory=True):
            return []
        if params.get("instId") is not None:
            self._market(params)
        maker, taker = ("0" if float(rate) == 0 else f"-{rate}" for rate in self._rates)
        return [
            {
                "level": "Lv1",
                "instType": "SPOT",
                "maker": maker,
                "taker": taker,
                "makerU": "",
                "takerU": "",
                "makerUSDC": maker,
                "takerUSDC": taker,
                "ts": str(self._exchange.clock),
            }
        ]

    def currencies(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/asset/currencies: none has a network, nothing can be sent"""
        return []

    def done(self, order: Order) -> Body:
        """What a request is told that changed an order."""
        return {
            "ordId": str(order.id),
            "clOrdId": "" if is_stop(order) else order.request.client_order_id,
            "tag": self._tags.of(order),
            "ts": str(self._exchange.clock),
            "sCode": "0",
            "sMsg": "",
        }

    def _market(self, params: Params) -> SymbolMarket:
        market = self._markets.get(params.text("instId"))
        if market is None:
            raise errors.unknown_instrument()
        return market

    def _chosen(self, account: Account, params: Params) -> Order | None:
        """The order of an id, of a client id the newest; the venue's own id counts more."""
        symbol = self._market(params).instrument.symbol
        number, client_id = params.get("ordId"), params.get("clOrdId")
        if number is None and client_id is None:
            raise errors.VenueError(51003, "Either client order ID or order ID is required")
        if number is None:
            order = self._exchange.find(account, symbol, None, client_id)
            return None if order is None or is_stop(order) else order
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        order = self._exchange.find(account, symbol, int(number), None)
        return None if order is None or not is_plain(order) else order

    def _mine(self, account: Account, params: Params, is_spot: bool, *, is_open: bool) -> list[Order]:
        """Orders of the account, newest first."""
        symbol = None if params.get("instId") is None else self._market(params).instrument.symbol
        return [
            one
            for one in reversed(self._exchange.by_account[account.name])
            if is_spot
            and is_plain(one)
            and one.is_open == is_open
            and symbol in (None, one.instrument.symbol)
        ]

    def _listed(self, params: Params, newest_first: list[Order]) -> list[object]:
        shown = [one for one in newest_first if self._lists.shows(one)]
        return [
            self._body(one) for one in page_of(params, shown, lambda one: one.id, self._lists.rows(_PAGE))
        ]

    def _fills(self, account: Account, params: Params, is_spot: bool, longest_ms: int) -> list[object]:
        symbol = None if params.get("instId") is None else self._market(params).instrument.symbol
        number = params.get("ordId")
        first, last = span_of(params, longest_ms, self._exchange.clock)
        found: list[tuple[Fill, Order]] = [
            (fill, order)
            for order in (self._exchange.by_account[account.name] if is_spot else ())
            if symbol in (None, order.instrument.symbol)
            and number in (None, str(order.id))
            and self._lists.shows(order)
            for fill in order.fills
            if first <= fill.t <= last
        ]
        found.sort(key=lambda one: -one[0].trade_id)
        page = page_of(params, found, lambda one: one[0].trade_id, self._lists.rows(_PAGE))
        return [fill_body(order, fill, self._tags.of(order)) for fill, order in page]

    def _body(self, order: Order) -> Body:
        return order_body(order, self._tags.of(order))

    def _request(self, params: Params) -> OrderRequest:
        """A new order's parameters."""
        instrument = self._market(params).instrument
        if params.text("tdMode") != "cash" or any(params.get(name) is not None for name in _UNSUPPORTED):
            raise errors.unsupported()
        side = params.one_of("side", ("buy", "sell"))
        kind = params.one_of("ordType", tuple(_KINDS))
        unit = params.one_of(
            "tgtCcy", ("base_ccy", "quote_ccy"), "quote_ccy" if side == "buy" else "base_ccy"
        )
        amount = params.units("sz", errors.spelled(Reason.QUANTITY_OFF_GRID))
        if amount == 0:
            raise errors.bad_parameter("sz")
        is_market = kind == "market"
        by_quote = is_market and unit == "quote_ccy"
        price = 0 if is_market else params.units("px", errors.spelled(Reason.PRICE_OFF_GRID))
        if not is_market and price == 0:
            raise errors.bad_parameter("px")
        engine_type, in_force = _KINDS[kind]
        return OrderRequest(
            instrument,
            side.upper(),
            engine_type,
            in_force,
            params.get("clOrdId") or _fresh_id(),
            0 if by_quote else amount,
            amount * ONE if by_quote else 0,
            price,
        )


def _fresh_id() -> str:
    return f"sbx{secrets.randbelow(10**18)}"
