"""The channel `user`: orders as they change, to who proved to own the account.

Not here: proving it (`sockets`). Invariant: an event only goes to sockets of its account; what an order came
to is told, and no trade of it.
"""

from __future__ import annotations

from functools import partial

from venues.sandbox.accounts import Account
from venues.sandbox.coinbase.bodies import Body, told_body
from venues.sandbox.coinbase.listeners import Listener, Streams
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.orders import Fill, Order
from venues.sandbox.wall import VenueClock

_IN_SNAPSHOT = 50


class PrivateStreams:
    """Who listens to which account, and the events."""

    def __init__(self, exchange: Exchange, way: PrivateWay, wall: VenueClock) -> None:
        self._exchange = exchange
        self._way = way
        self._wall = wall
        self._streams = Streams()
        exchange.settlement.report = self.report

    def subscribe(self, listener: Listener, account: Account) -> None:
        """Add a listener to an account that it owns, and tell what is open."""
        listener.account = account
        self._streams.add(account.name, listener)
        rows = [told_body(one) for one in self._exchange.open_orders(account, None)]
        for first in range(0, max(1, len(rows)), _IN_SNAPSHOT):
            part = rows[first : first + _IN_SNAPSHOT]
            listener.tell("user", [{"type": "snapshot", "orders": part}], self._wall.ms())

    def drop(self, listener: Listener) -> None:
        """Forget a closed socket, or one that listens no more."""
        self._streams.drop(listener)

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """An order changed."""
        name = order.account.name
        if self._streams.has(name):
            deliver = partial(self._send, name, told_body(order))
            self._way.tell(name, kind, order.request.client_order_id, deliver)

    def _send(self, name: str, body: Body) -> None:
        for listener in self._streams.of(name):
            listener.tell("user", [{"type": "update", "orders": [body]}], self._wall.ms())
