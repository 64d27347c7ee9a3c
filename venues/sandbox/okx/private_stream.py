"""Private channels: orders with their executions, and balances, to who proved to own the account.

Not here: proving it (`sockets`). Invariant: an event only goes to connections of its account; each execution
is told with the order's state that it led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.okx.algos import is_plain
from venues.sandbox.okx.bodies import Body, balance_body, told_body
from venues.sandbox.okx.names import INST_TYPES, inst_id, markets_by_id
from venues.sandbox.okx.tags import Tags
from venues.sandbox.orders import Fill, Order

# What was asked for, as JSON: it comes back with each event.
Topic = str
_UID = "1"
_SPOT = ("SPOT", "ANY")


class PrivateStreams:
    """Who listens to which account, and the texts of the events."""

    def __init__(self, hub: StreamHub, exchange: Exchange, way: PrivateWay, tags: Tags) -> None:
        self._hub = hub
        self._way = way
        self._tags = tags
        self._exchange = exchange
        self._markets = markets_by_id(exchange)
        self._listeners: dict[str, dict[Connection, dict[Topic, Mapping[str, str]]]] = {}
        exchange.settlement.report = self.report
        exchange.settlement.position = self.position

    def is_known(self, arg: Mapping[str, str]) -> bool:
        """Whether an argument names a channel that can be subscribed to."""
        match arg.get("channel"):
            case "orders":
                return arg.get("instType") in (*INST_TYPES, "ANY") and (
                    "instId" not in arg or arg["instId"] in self._markets
                )
            case "account":
                return True
        return False

    def subscribe(self, account: Account, connection: Connection, arg: Mapping[str, str]) -> None:
        """Add a channel of an account that the connection owns; balances are told at once."""
        topics = self._listeners.setdefault(account.name, {}).setdefault(connection, {})
        topics[_named(arg)] = arg
        if arg["channel"] == "account":
            held = [asset for asset in sorted(account.free) if account.total(asset)]
            body = balance_body(account, held, self._exchange.clock)
            self._hub.send(connection, _text(arg, msgspec.json.encode([body]).decode()))

    def unsubscribe(self, connection: Connection, arg: Mapping[str, str]) -> None:
        """Remove a channel of a connection."""
        for listeners in self._listeners.values():
            listeners.get(connection, {}).pop(_named(arg), None)

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection."""
        for listeners in self._listeners.values():
            listeners.pop(connection, None)

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """An order changed."""
        tag = self._tags.of(order)
        if is_plain(order) and self._listeners.get(order.account.name):
            body, subject = told_body(order, fill, tag), order.request.client_order_id
            self._tell(order.account, "orders", inst_id(order.instrument), body, subject)

    def position(self, account: Account, assets: list[str]) -> None:
        """Balances changed."""
        if self._listeners.get(account.name):
            self._tell(account, "account", "", balance_body(account, assets, self._exchange.clock))

    def _tell(self, account: Account, channel: str, name: str, body: Body, subject: str = "") -> None:
        encoded = msgspec.json.encode([body]).decode()
        self._way.tell(account.name, channel, subject, partial(self._send, account, channel, name, encoded))

    def _send(self, account: Account, channel: str, name: str, encoded: str) -> None:
        for connection, topics in self._listeners.get(account.name, {}).items():
            for arg in topics.values():
                if arg["channel"] == channel and (channel == "account" or _wants(arg, name)):
                    self._hub.send(connection, _text(arg, encoded))


def _wants(arg: Mapping[str, str], name: str) -> bool:
    return arg["instType"] in _SPOT and arg.get("instId", name) == name


def _named(arg: Mapping[str, str]) -> Topic:
    return msgspec.json.encode(dict(sorted(arg.items()))).decode()


def _text(arg: Mapping[str, str], encoded: str) -> str:
    shown = msgspec.json.encode({**arg, "uid": _UID}).decode()
    return f'{{"arg":{shown},"data":{encoded}}}'
