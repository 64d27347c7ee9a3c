"""An account's streams: its orders, and its executions, to whoever asks by its address.

The venue is a public chain: nobody proves anything. Not here: sockets. Invariant: an event only goes to
listeners of its account; an execution is told before the order's state that it led to.
"""

from __future__ import annotations

from functools import partial

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.hyperliquid.bodies import basic_order, fill_body, status
from venues.sandbox.hyperliquid.info_api import InfoApi
from venues.sandbox.hyperliquid.names import Names
from venues.sandbox.hyperliquid.signing import Signers
from venues.sandbox.orders import Fill, Order

KINDS = ("orderUpdates", "userFills")
_MOST_SNAPSHOT = 2000


class PrivateStreams:
    """Who listens to which account; the streams of one are named ``kind:account``."""

    def __init__(
        self, hub: StreamHub, exchange: Exchange, way: PrivateWay, names: Names, signers: Signers,
        info: InfoApi,
    ) -> None:  # fmt: skip
        self._hub = hub
        self._way = way
        self._names = names
        self._signers = signers
        self._info = info
        self._listeners: dict[tuple[str, str], dict[Connection, str]] = {}
        exchange.settlement.report = self.report
        exchange.settlement.position = lambda account, assets: None

    def subscribe(self, connection: Connection, kind: str, user: str) -> None:
        """Add a listener; executions begin with what was."""
        account = self._signers.account_at(user)
        if account is not None:
            self._listeners.setdefault((kind, account.name), {})[connection] = user
        if kind == "userFills":
            fills = [] if account is None else self._info.fills(account)
            newest = [
                fill_body(self._names.coin(order.instrument), order, fill)
                for order, fill in reversed(fills[-_MOST_SNAPSHOT:])
            ]
            data = {"isSnapshot": True, "user": user, "fills": newest}
            self._hub.send(connection, _text(kind, data))

    def unsubscribe(self, connection: Connection, kind: str, user: str) -> None:
        """Remove a listener."""
        account = self._signers.account_at(user)
        if account is not None:
            self._listeners.get((kind, account.name), {}).pop(connection, None)

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection."""
        for listeners in self._listeners.values():
            listeners.pop(connection, None)

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """An order changed."""
        coin = self._names.coin(order.instrument)
        if fill is not None:
            self._tell(order, "userFills", {"fills": [fill_body(coin, order, fill)]})
        state = {
            "order": basic_order(coin, order), "status": status(order), "statusTimestamp": order.updated_ms,
        }  # fmt: skip
        self._tell(order, "orderUpdates", [state])

    def _tell(self, order: Order, kind: str, data: dict[str, object] | list[object]) -> None:
        account = order.account
        if self._listeners.get((kind, account.name)):
            deliver = partial(self._send, account, kind, data)
            self._way.tell(account.name, kind, order.request.client_order_id, deliver)

    def _send(self, account: Account, kind: str, data: dict[str, object] | list[object]) -> None:
        for connection, user in self._listeners.get((kind, account.name), {}).items():
            told = {"user": user, **data} if isinstance(data, dict) else data
            self._hub.send(connection, _text(kind, told))


def _text(channel: str, data: object) -> str:
    return msgspec.json.encode({"channel": channel, "data": data}).decode()
