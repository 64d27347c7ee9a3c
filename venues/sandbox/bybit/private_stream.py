"""Private topics: orders, executions and the wallet, to connections that proved to own the account.

Not here: proving it (`sockets`). Invariant: an event only goes to connections of its account; the execution
of a trade is told before the order's new state.
"""

from __future__ import annotations

from functools import partial

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.bybit.bodies import Body, execution_body, order_body, wallet_body
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.orders import Fill, Order
from venues.sandbox.wall import VenueClock

PRIVATE_TOPICS = ("order", "order.spot", "execution", "execution.spot", "wallet")


class PrivateStreams:
    """Who listens to which account, and the texts of the events."""

    def __init__(
        self,
        hub: StreamHub,
        exchange: Exchange,
        rates: tuple[str, str],
        way: PrivateWay,
        wall: VenueClock,
    ) -> None:
        self._hub = hub
        self._way = way
        self._wall = wall
        self._rates = rates
        self._listeners: dict[str, dict[Connection, set[str]]] = {}
        self._next_id = 1
        exchange.settlement.report = self.report
        exchange.settlement.position = self.position

    def subscribe(self, account: Account, connection: Connection, topics: list[str]) -> None:
        """Add topics of an account that the connection owns."""
        self._listeners.setdefault(account.name, {}).setdefault(connection, set()).update(topics)

    def unsubscribe(self, connection: Connection, topics: list[str]) -> None:
        """Remove topics of a connection."""
        for listeners in self._listeners.values():
            listeners.get(connection, set()).difference_update(topics)

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection."""
        for listeners in self._listeners.values():
            listeners.pop(connection, None)

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """An order changed."""
        if not self._listeners.get(order.account.name):
            return
        if fill is not None:
            leaves = order.remaining if order.is_open else 0
            self._tell(order.account, "execution", execution_body(order, fill, leaves, self._rates))
        body = order_body(order)
        if kind == "NEW" and order.triggered:
            self._tell(order.account, "order", body | {"orderStatus": "Triggered"})
        self._tell(order.account, "order", body)

    def position(self, account: Account, assets: list[str]) -> None:
        """Balances changed."""
        if self._listeners.get(account.name):
            self._tell(account, "wallet", wallet_body(account, assets))

    def _tell(self, account: Account, kind: str, body: Body) -> None:
        encoded = msgspec.json.encode([body]).decode()
        subject = str(body.get("orderLinkId", ""))
        self._way.tell(account.name, kind, subject, partial(self._send, account, kind, encoded))

    def _send(self, account: Account, kind: str, encoded: str) -> None:
        for connection, topics in self._listeners[account.name].items():
            for topic in sorted(topics):
                if topic.partition(".")[0] == kind:
                    self._hub.send(
                        connection,
                        f'{{"id":"sbx-{self._next_id}","topic":"{topic}","creationTime":{self._wall.ms()},'
                        f'"data":{encoded}}}',
                    )
        self._next_id += 1
