"""The actions of `/exchange`: orders, and cancels by cloid.

Each order of an action has a row of its own in the answer. Not here: who signed. Invariant: an order is
accepted by the engine or refused with the venue's sentence, and nothing changes otherwise.
"""

from __future__ import annotations

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.hyperliquid import errors
from venues.sandbox.hyperliquid.actions import Json, units
from venues.sandbox.hyperliquid.bodies import shown
from venues.sandbox.hyperliquid.names import Names, is_price
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import OrderRequest
from venues.sandbox.refusals import Reason
from venues.sandbox.units import ONE

_KINDS = {"Gtc": ("LIMIT", "GTC"), "Ioc": ("LIMIT", "IOC"), "Alo": ("LIMIT_MAKER", "GTC")}
_LEAST_VALUE = 10 * ONE * ONE


class ExchangeApi:
    """Carries out what was signed."""

    def __init__(self, exchange: Exchange, names: Names, lists: Lists) -> None:
        self._exchange = exchange
        self._names = names
        self._lists = lists

    def place(self, account: Account, order: Json) -> Json:
        """An order of the action `order`: the answer's row."""
        request = self._request(account, order)
        placed = self._exchange.submit(account, request)
        assert placed is not None
        self._lists.accepted(placed)
        if not placed.cum_qty:
            return {"resting": {"oid": placed.id, "cloid": request.client_order_id}}
        average = placed.cum_quote // placed.cum_qty
        told = {"totalSz": shown(placed.cum_qty), "avgPx": shown(average), "oid": placed.id}
        return {"filled" if not placed.is_open else "resting": told}

    def cancel(self, account: Account, cancel: Json) -> str:
        """An entry of the action `cancelByCloid`: the answer's row."""
        market = self._market(cancel["asset"])
        order = self._exchange.find(account, market.instrument.symbol, None, cancel["cloid"].lower())
        if order is None or not order.is_open:
            raise errors.spelled(Reason.NOT_OPEN)
        self._exchange.cancel(order, "user")
        return "success"

    def _market(self, asset: int) -> SymbolMarket:
        market = self._names.of_asset(asset)
        if market is None:
            raise errors.ActionError(f"Unknown asset {asset}")
        return market

    def _request(self, account: Account, order: Json) -> OrderRequest:
        market = self._market(order["a"])
        instrument = market.instrument
        price, qty = units(order["p"]), units(order["s"])
        if not is_price(instrument, price):
            raise errors.tick()
        if qty * price < _LEAST_VALUE:
            raise errors.least_value(instrument.quote)
        kind, in_force = _KINDS[order["t"]["limit"]["tif"]]
        if in_force == "IOC" and not market.plan(order["b"], account.name, price, qty, 0).trades:
            raise errors.nothing_to_match(order["a"])
        cloid = str(order.get("c", "")).lower()
        return OrderRequest(
            instrument, "BUY" if order["b"] else "SELL", kind, in_force, cloid, qty=qty, price=price
        )
