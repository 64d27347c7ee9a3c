"""Private events: execution reports and balances, to the connections of the account's owner.

Connections subscribe through the WebSocket API (with a signature) or through a listen key; the
first kind gets events wrapped with a subscription id. Not here: what an event means for the books.
Invariant: an event only goes to connections that proved to own the account.
"""

from __future__ import annotations

import secrets
from functools import partial

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.params import Params
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.orders import Fill, Order
from venues.sandbox.units import money_text, text8
from venues.sandbox.wall import VenueClock

_PLAIN = -1


class UserStreams:
    """Who listens to which account, and the texts of the events."""

    def __init__(self, hub: StreamHub, exchange: Exchange, way: PrivateWay, wall: VenueClock) -> None:
        self._hub = hub
        self._exchange = exchange
        self._way = way
        self._wall = wall
        self._listeners: dict[str, dict[tuple[Connection, int], None]] = {}
        self._listen_keys: dict[str, Account] = {}
        self._next_execution = 1
        exchange.settlement.report = self.report
        exchange.settlement.position = self.position

    def subscribe(self, account: Account, connection: Connection) -> int:
        """Subscribe a WebSocket API connection; returns the subscription's id."""
        mine = [number for _, number in self._of(connection)]
        number = next(i for i in range(len(mine) + 1) if i not in mine)
        self._listeners.setdefault(account.name, {})[connection, number] = None
        return number

    def unsubscribe(self, connection: Connection, number: int | None) -> None:
        """End one subscription of a connection, or all."""
        for listeners in self._listeners.values():
            for key in [key for key in listeners if key[0] is connection and number in (None, key[1])]:
                del listeners[key]

    def subscriptions(self, connection: Connection) -> list[int]:
        """Ids of a connection's subscriptions."""
        return sorted(number for _, number in self._of(connection))

    def new_listen_key(self, account: Account) -> str:
        """A listen key; a valid one is kept, as at Binance."""
        for key, owner in self._listen_keys.items():
            if owner is account:
                return key
        key = secrets.token_hex(32)
        self._listen_keys[key] = account
        return key

    def named_key(self, account: Account, params: Params) -> str:
        """The listen key that a request means."""
        return params.text("listenKey")

    def check_listen_key(self, account: Account, key: str, close: bool) -> None:
        """Keep a listen key alive or close it."""
        if self._listen_keys.get(key) is not account:
            raise errors.VenueError(-1125, "This listenKey does not exist.")
        if close:
            del self._listen_keys[key]

    def join_by_key(self, key: str, connection: Connection) -> bool:
        """Subscribe the connection of a listen key's address; False if the key is unknown."""
        account = self._listen_keys.get(key)
        if account is None:
            return False
        self._listeners.setdefault(account.name, {})[connection, _PLAIN] = None
        return True

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """executionReport"""
        if self._listeners.get(order.account.name):
            body = execution_report(
                order, kind, fill, self._exchange.clock, self._next_execution, self._wall.ms()
            )
            self._tell(order.account, body, order.request.client_order_id)
        self._next_execution += 1

    def position(self, account: Account, assets: list[str]) -> None:
        """outboundAccountPosition"""
        if self._listeners.get(account.name):
            self._tell(
                account,
                {
                    "e": "outboundAccountPosition",
                    "E": self._wall.ms(),
                    "u": self._exchange.clock,
                    "B": [
                        {
                            "a": asset,
                            "f": money_text(account.free[asset]),
                            "l": money_text(account.locked[asset]),
                        }
                        for asset in assets
                    ],
                },
                "",
            )

    def _of(self, connection: Connection) -> list[tuple[Connection, int]]:
        return [key for listeners in self._listeners.values() for key in listeners if key[0] is connection]

    def _tell(self, account: Account, event: dict[str, object], subject: str) -> None:
        text = msgspec.json.encode(event).decode()
        self._way.tell(account.name, str(event["e"]), subject, partial(self._send, account, text))

    def _send(self, account: Account, text: str) -> None:
        for connection, number in self._listeners[account.name]:
            if number == _PLAIN:
                self._hub.send(connection, text)
            else:
                self._hub.send(connection, f'{{"subscriptionId":{number},"event":{text}}}')


def execution_report(
    order: Order, kind: str, fill: Fill | None, clock: int, execution: int, wall: int
) -> dict[str, object]:
    """The event for one change of an order; `kind` is Binance's execution type."""
    request = order.request
    canceled = kind == "CANCELED"
    return {
        "e": "executionReport",
        "E": wall,
        "s": order.instrument.symbol,
        "c": order.cancel_id if canceled else request.client_order_id,
        "S": request.side,
        "o": request.type,
        "f": request.time_in_force,
        "q": text8(order.qty),
        "p": text8(request.price),
        "P": text8(request.stop_price),
        "F": "0.00000000",
        "g": -1,
        "C": request.client_order_id if canceled else "",
        "x": kind,
        "X": order.status,
        "r": "NONE",
        "i": order.id,
        "l": text8(fill.qty) if fill else text8(0),
        "z": text8(order.cum_qty),
        "L": text8(fill.price) if fill else text8(0),
        "n": money_text(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": fill.t if fill else clock,
        "t": fill.trade_id if fill else -1,
        "I": execution,
        "w": not order.is_waiting_stop and order.is_open,
        "m": bool(fill and fill.maker),
        "M": fill is not None,
        "O": order.created_ms,
        "Z": money_text(order.cum_quote),
        "Y": money_text(fill.price * fill.qty) if fill else text8(0),
        "Q": money_text(request.quote_qty),
        "W": order.working_ms,
        "V": "EXPIRE_TAKER",
    }
