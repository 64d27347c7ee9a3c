"""The private topic `/spotMarket/tradeOrders`: an account's orders with their trades.

An order that may rest is told as open when it is accepted, also if it trades at once; one that may not is
told with its first trade or its end. Not here: who may listen (`sockets`). Invariant: an event only goes to
connections of its account; each trade is told before the end that it led to.
"""

from __future__ import annotations

from functools import partial

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.kucoin.bodies import told_body
from venues.sandbox.orders import PRICED_TYPES, Fill, Order

TOPIC = "/spotMarket/tradeOrders"


class PrivateStreams:
    """Who listens to which account, and the texts of the events."""

    def __init__(self, hub: StreamHub, exchange: Exchange, way: PrivateWay) -> None:
        self._hub = hub
        self._way = way
        self._listeners: dict[str, dict[Connection, None]] = {}
        exchange.settlement.report = self.report

    def subscribe(self, account: Account, connection: Connection) -> None:
        """Tell a connection of an account that it proved to own."""
        self._listeners.setdefault(account.name, {})[connection] = None

    def drop(self, connection: Connection) -> None:
        """Forget a connection."""
        for listeners in self._listeners.values():
            listeners.pop(connection, None)

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """An order changed."""
        if not self._listeners.get(order.account.name):
            return
        request = order.request
        if fill is not None:
            self._tell(order, "match", "open" if fill.maker else "match", fill)
            if order.status == "FILLED":
                self._tell(order, "filled", "done", None)
        elif not order.is_open:
            self._tell(order, "canceled", "done", None)
        elif kind == "NEW" and request.time_in_force == "GTC" and request.type in PRICED_TYPES:
            self._tell(order, "open", "open", None)

    def _tell(self, order: Order, kind: str, status: str, fill: Fill | None) -> None:
        message = {
            "type": "message",
            "topic": TOPIC,
            "subject": "orderChange",
            "channelType": "private",
            "data": told_body(order, kind, status, fill),
        }
        text = msgspec.json.encode(message).decode()
        name = order.account.name
        self._way.tell(name, kind, order.request.client_order_id, partial(self._send, name, text))

    def _send(self, name: str, text: str) -> None:
        for connection in self._listeners.get(name, {}):
            self._hub.send(connection, text)
