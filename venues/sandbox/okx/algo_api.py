"""Endpoints of algo orders: stops with a limit are placed, cancelled, asked for and listed.

A stop has a direction: one that sells waits for a fall and one that buys for a rise, and who is beyond it is
refused. Not here: signatures (already checked), matching, how they are shown (`algos`). Invariant: as
`private_api`; what was set off is cancelled as a plain order and not here.
"""

from __future__ import annotations

import secrets

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.okx import errors
from venues.sandbox.okx.algos import CONDITIONAL, algo_number, algo_state, is_pending, is_stop, order_number
from venues.sandbox.okx.bodies import Body, algo_body
from venues.sandbox.okx.lists import page_of
from venues.sandbox.okx.names import markets_by_id
from venues.sandbox.okx.params import Params
from venues.sandbox.okx.tags import Tags
from venues.sandbox.orders import Order, OrderRequest
from venues.sandbox.refusals import Reason

_UNSUPPORTED = (
    "attachAlgoOrds", "tpTriggerPx", "tpOrdPx", "triggerPx", "callbackRatio", "callbackSpread", "ccy",
    "closeFraction", "tgtCcy",
)  # fmt: skip
_STATES = ("effective", "canceled", "order_failed")
_PAGE = 100


class AlgoApi:
    """Stops; each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, lists: Lists, tags: Tags) -> None:
        self._exchange = exchange
        self._lists = lists
        self._tags = tags
        self._markets = markets_by_id(exchange)

    def place(self, account: Account, params: Params) -> list[object]:
        """POST /api/v5/trade/order-algo"""
        request = self._request(params)
        try:
            with self._tags.announced(account, request.client_order_id, params.get("tag") or ""):
                order = self._exchange.submit(account, request)
        except errors.OrderError as error:
            raise errors.of_algo(error, is_buy=request.is_buy) from error
        assert order is not None
        self._lists.accepted(order)
        return [self._done(order)]

    def cancel(self, account: Account, params: Params) -> list[object]:
        """POST /api/v5/trade/cancel-algos, each order of its list"""
        order = self._chosen(account, params)
        name = params.text("instId")
        if order is None or not is_pending(order) or self._markets.get(name) is None:
            raise errors.spelled(Reason.NOT_OPEN)
        if self._markets[name].instrument.symbol != order.instrument.symbol:
            raise errors.spelled(Reason.NOT_OPEN)
        self._exchange.cancel(order, "user")
        return [self._done(order)]

    def order(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/order-algo"""
        order = self._chosen(account, params)
        if order is None or not self._lists.shows(order):
            raise errors.no_such_order()
        return [algo_body(order, self._tags.of(order))]

    def pending(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/orders-algo-pending"""
        return self._listed(params, [one for one in self._mine(account, params) if is_pending(one)])

    def history(self, account: Account, params: Params) -> list[object]:
        """GET /api/v5/trade/orders-algo-history: by state, or the one of a number"""
        number, state = params.get("algoId"), params.get("state")
        if number is None and state is None:
            raise errors.VenueError(50015, "Either parameter state or algoId is required")
        if state is not None:
            params.one_of("state", _STATES)
        found = [
            one
            for one in self._mine(account, params)
            if not is_pending(one)
            and state in (None, algo_state(one))
            and number in (None, str(algo_number(one)))
        ]
        return self._listed(params, found)

    def _mine(self, account: Account, params: Params) -> list[Order]:
        """Stops of the account, newest first."""
        kind = params.text("ordType")
        name = params.get("instId")
        if name is not None and name not in self._markets:
            raise errors.unknown_instrument()
        symbol = None if name is None else self._markets[name].instrument.symbol
        is_asked = params.is_spot() and CONDITIONAL in kind.split(",")
        return [
            one
            for one in reversed(self._exchange.by_account[account.name])
            if is_asked and is_stop(one) and symbol in (None, one.instrument.symbol)
        ]

    def _listed(self, params: Params, newest_first: list[Order]) -> list[object]:
        shown = [one for one in newest_first if self._lists.shows(one)]
        page = page_of(params, shown, algo_number, self._lists.rows(_PAGE))
        return [algo_body(one, self._tags.of(one)) for one in page]

    def _chosen(self, account: Account, params: Params) -> Order | None:
        """The stop of an id, of a client id the newest; the venue's own id counts more."""
        number, client_id = params.get("algoId"), params.get("algoClOrdId")
        if number is None and client_id is None:
            raise errors.VenueError(50015, "Either parameter algoId or algoClOrdId is required")
        if number is None:
            order = self._exchange.find_anywhere(account, None, client_id or "")
        elif number.isascii() and number.isdigit() and len(number) < 19:
            order = self._exchange.find_anywhere(account, order_number(int(number)), "")
        else:
            order = None
        return order if order is not None and is_stop(order) else None

    def _done(self, order: Order) -> Body:
        return {
            "algoId": str(algo_number(order)),
            "algoClOrdId": order.request.client_order_id,
            "clOrdId": "",
            "tag": self._tags.of(order),
            "sCode": "0",
            "sMsg": "",
        }

    def _request(self, params: Params) -> OrderRequest:
        """A new stop's parameters."""
        market = self._markets.get(params.text("instId"))
        if market is None:
            raise errors.unknown_instrument()
        if (
            params.text("tdMode") != "cash"
            or params.text("ordType") != CONDITIONAL
            or any(params.get(name) is not None for name in _UNSUPPORTED)
            or params.get("slTriggerPxType") not in (None, "last")
            or params.get("slOrdPx") == "-1"
        ):
            raise errors.unsupported()
        side = params.one_of("side", ("buy", "sell"))
        amount = params.units("sz", errors.spelled(Reason.QUANTITY_OFF_GRID))
        trigger, price = (
            params.units(name, errors.spelled(Reason.PRICE_OFF_GRID)) for name in ("slTriggerPx", "slOrdPx")
        )
        for name, value in (("sz", amount), ("slTriggerPx", trigger), ("slOrdPx", price)):
            if value == 0:
                raise errors.bad_parameter(name)
        return OrderRequest(
            market.instrument,
            side.upper(),
            "STOP_LOSS_LIMIT",
            "GTC",
            params.get("algoClOrdId") or f"sbx{secrets.randbelow(10**18)}",
            amount,
            0,
            price,
            trigger,
        )
