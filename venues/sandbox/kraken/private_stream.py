"""The private channel `executions`: states of orders and executions, to who came with the account's token.

Not here: tokens (`signing`). Invariant: an event only goes to connections of its account; an execution is
told before the state that it led to.
"""

from __future__ import annotations

from functools import partial

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.kraken.bodies import Body, told_fill, told_state
from venues.sandbox.orders import Fill, Order

CHANNEL = "executions"
_SHOWN_TRADES = 50


class PrivateStreams:
    """Who listens to which account, and the texts of the events."""

    def __init__(self, hub: StreamHub, exchange: Exchange, way: PrivateWay) -> None:
        self._hub = hub
        self._way = way
        self._exchange = exchange
        self._listeners: dict[str, dict[Connection, int]] = {}
        exchange.settlement.report = self.report

    def subscribe(
        self, account: Account, connection: Connection, *, with_orders: bool, with_trades: bool
    ) -> None:
        """Add a listener and tell it what is open, and the last executions if it asked for them."""
        self._listeners.setdefault(account.name, {})[connection] = 0
        mine = self._exchange.by_account[account.name]
        rows = (
            [told_state(one, "status", one.updated_ms) for one in mine if one.is_open] if with_orders else []
        )
        if with_trades:
            done = [(fill, one) for one in mine for fill in one.fills]
            done.sort(key=lambda each: each[0].trade_id)
            rows += [told_fill(one, fill) for fill, one in done[-_SHOWN_TRADES:]]
        self._send_to(account, connection, rows, "snapshot")

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection, or one that listens no more."""
        for listeners in self._listeners.values():
            listeners.pop(connection, None)

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """An order changed."""
        if not self._listeners.get(order.account.name):
            return
        match kind:
            case "NEW":
                self._tell(order, told_state(order, "pending_new", order.created_ms))
                self._tell(order, told_state(order, "new", order.created_ms))
            case "TRADE" if fill is not None:
                self._tell(order, told_fill(order, fill))
                if order.status == "FILLED":
                    self._tell(order, told_state(order, "filled", order.updated_ms))
            case _:
                self._tell(order, told_state(order, "canceled", order.updated_ms))

    def _tell(self, order: Order, row: Body) -> None:
        send = partial(self._send, order.account, row)
        self._way.tell(order.account.name, CHANNEL, order.request.client_order_id, send)

    def _send(self, account: Account, row: Body) -> None:
        for connection in list(self._listeners.get(account.name, {})):
            self._send_to(account, connection, [row], "update")

    def _send_to(self, account: Account, connection: Connection, rows: list[Body], kind: str) -> None:
        listeners = self._listeners[account.name]
        listeners[connection] += 1
        message = {"channel": CHANNEL, "type": kind, "data": rows, "sequence": listeners[connection]}
        self._hub.send(connection, msgspec.json.encode(message).decode())
