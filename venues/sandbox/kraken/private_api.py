"""Endpoints of an account: orders, executions, balances, and what clients ask about the key itself.

Not here: signatures (already checked) and matching. Invariant: a refused order leaves no trace but its line
in the truth log.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.kraken import errors
from venues.sandbox.kraken.bodies import Body, fill_body, order_body, plain_money
from venues.sandbox.kraken.names import (
    asset_id,
    markets_by_name,
    order_number,
    pair_id,
    read_number,
    trade_number,
)
from venues.sandbox.kraken.params import Params
from venues.sandbox.kraken.signing import TOKEN_S, Keys
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import Order, OrderRequest
from venues.sandbox.refusals import Reason
from venues.sandbox.wall import VenueClock

_FLAGS = frozenset({"fciq", "post", "nompp"})
_UNSUPPORTED = (
    "userref",
    "leverage",
    "reduce_only",
    "displayvol",
    "price2",
    "expiretm",
    "starttm",
    "validate",
)
_IN_FORCE = ("GTC", "IOC", "FOK")
_PAGE = 50
_MOST_IN_QUERY = 20
_RIGHTS = (
    "query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades",
    "create-ws-token",
)  # fmt: skip


class PrivateApi:
    """Trading and account queries; each handler gets the account that signed."""

    def __init__(
        self, exchange: Exchange, lists: Lists, percents: tuple[str, str], keys: Keys, wall: VenueClock
    ) -> None:
        self._exchange = exchange
        self._lists = lists
        self._percents = percents
        self._keys = keys
        self._wall = wall
        self._markets = markets_by_name(exchange)

    def place(self, account: Account, params: Params) -> Body:
        """POST /0/private/AddOrder"""
        request = self._request(params)
        order = self._exchange.submit(account, request)
        assert order is not None
        self._lists.accepted(order)
        return {
            "descr": {"order": f"{params.get('type')} {params.get('volume')} {params.get('pair')}"},
            "txid": [order_number(order.id)],
        }

    def cancel(self, account: Account, params: Params) -> Body:
        """POST /0/private/CancelOrder"""
        order = self.named(account, params)
        if order is None or not order.is_open:
            raise errors.spelled(Reason.NOT_OPEN)
        self._exchange.cancel(order, "user")
        return {"count": 1}

    def open_orders(self, account: Account, params: Params) -> Body:
        """POST /0/private/OpenOrders: all of them"""
        listed = self._listed(account, params, is_open=True)
        return {"open": {name: body for name, (_, body) in listed.items()}}

    def closed_orders(self, account: Account, params: Params) -> Body:
        """POST /0/private/ClosedOrders: newest first, in pages"""
        start = params.integer("start", 0) * 1000
        listed = self._listed(account, params, is_open=False)
        found = {name: body for name, (closed_ms, body) in listed.items() if closed_ms > start}
        first = params.integer("ofs", 0)
        page = list(found)[first : first + self._lists.rows(_PAGE)]
        return {"closed": {name: found[name] for name in page}, "count": len(found)}

    def trades(self, account: Account, params: Params) -> Body:
        """POST /0/private/QueryTrades"""
        names = params.text("txid").split(",")
        if len(names) > _MOST_IN_QUERY:
            raise errors.bad_arguments("txid")
        return {
            trade_number(fill.trade_id): fill_body(order, fill)
            for order in self._exchange.by_account[account.name]
            for fill in order.fills
            if trade_number(fill.trade_id) in names and self._lists.shows(order)
        }

    def history(self, account: Account, params: Params) -> Body:
        """POST /0/private/TradesHistory: newest first, in pages"""
        start, first = params.integer("start", 0) * 1000, params.integer("ofs", 0)
        found = [
            (fill, order)
            for order in self._exchange.by_account[account.name]
            for fill in order.fills
            if fill.t > start and self._lists.shows(order)
        ]
        found.sort(key=lambda each: -each[0].trade_id)
        page = found[first : first + self._lists.rows(_PAGE)]
        trades = {trade_number(fill.trade_id): fill_body(order, fill) for fill, order in page}
        return {"trades": trades, "count": len(found)}

    def balance(self, account: Account, params: Params) -> Body:
        """POST /0/private/Balance"""
        return {
            asset_id(name): plain_money(account.total(name))
            for name in sorted(account.free)
            if account.total(name)
        }

    def volume(self, account: Account, params: Params) -> Body:
        """POST /0/private/TradeVolume: the account's fees, in percent"""
        maker, taker = self._percents
        ids = [
            pair_id(self._market_of(name).instrument)
            for name in (params.get("pair") or "").split(",")
            if name
        ]
        return {
            "currency": "ZUSD",
            "volume": "0.0000",
            "fees": {each: _fee(taker) for each in ids},
            "fees_maker": {each: _fee(maker) for each in ids},
        }

    def key_info(self, account: Account, params: Params) -> Body:
        """POST /0/private/GetApiKeyInfo"""
        more = ["withdraw-funds"] if account.can_withdraw else []
        return {
            "apiKeyName": account.name, "apiKey": account.api_key, "nonceWindow": "0",
            "permissions": [*_RIGHTS, *more], "ipAllowlist": [],
        }  # fmt: skip

    def token(self, account: Account, params: Params) -> Body:
        """POST /0/private/GetWebSocketsToken"""
        return {"token": self._keys.token_of(account, self._wall.ms()), "expires": TOKEN_S}

    def named(self, account: Account, params: Params) -> Order | None:
        """The order of a number, of a client id the newest."""
        number, client_id = params.get("txid"), params.get("cl_ord_id")
        if (number is None) == (client_id is None):
            raise errors.bad_arguments("txid")
        if number is None:
            return self._exchange.find_anywhere(account, None, str(client_id))
        order_id = read_number(number)
        return None if order_id is None else self._exchange.find_anywhere(account, order_id, "")

    def _listed(self, account: Account, params: Params, *, is_open: bool) -> Mapping[str, tuple[int, Body]]:
        """When they changed, ms, and what they are like, newest first."""
        client_id, with_trades = params.get("cl_ord_id"), params.flag("trades")
        return {
            order_number(one.id): (one.updated_ms, order_body(one, with_trades))
            for one in reversed(self._exchange.by_account[account.name])
            if one.is_open == is_open
            and client_id in (None, one.request.client_order_id)
            and self._lists.shows(one)
        }

    def _market_of(self, name: str) -> SymbolMarket:
        market = self._markets.get(name)
        if market is None:
            raise errors.unknown_pair()
        return market

    def _request(self, params: Params) -> OrderRequest:
        """A new order's parameters."""
        instrument = self._market_of(params.text("pair")).instrument
        unsupported = next((name for name in _UNSUPPORTED if params.get(name) is not None), None)
        if unsupported is not None:
            raise errors.bad_arguments(unsupported)
        flags = {each for each in (params.get("oflags") or "").split(",") if each}
        if not flags <= _FLAGS:
            raise errors.bad_arguments("oflags")
        side = params.one_of("type", ("buy", "sell"))
        kind = params.one_of("ordertype", ("market", "limit"))
        in_force = params.one_of("timeinforce", _IN_FORCE, "GTC")
        is_maker = "post" in flags
        if is_maker and (kind == "market" or in_force != "GTC"):
            raise errors.bad_arguments("oflags")
        price = 0 if kind == "market" else params.units("price")
        return OrderRequest(
            instrument,
            side.upper(),
            "MARKET" if kind == "market" else "LIMIT_MAKER" if is_maker else "LIMIT",
            in_force,
            params.get("cl_ord_id") or f"sbx{secrets.randbelow(10**14)}",
            params.units("volume"),
            0,
            price,
        )


def _fee(percent: str) -> Body:
    return {"fee": percent, "minfee": "0.0000", "maxfee": percent, "nextfee": None, "tiervolume": "0.0000"}
