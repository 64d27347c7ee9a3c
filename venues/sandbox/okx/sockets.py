"""The WebSocket side: public, business and private channels with their commands.

Not here: what channels say. Invariant: whatever a client sends is answered with an event; only a client that
breaks the WebSocket protocol itself is disconnected; private channels need `login` first.
"""

from __future__ import annotations

import itertools
from typing import Final, Literal

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts
from venues.sandbox.okx.private_stream import PrivateStreams
from venues.sandbox.okx.signing import socket_account
from venues.sandbox.okx.streams import MarketChannels
from venues.sandbox.wall import VenueClock

Side = Literal["public", "business", "private"]
_SIDES: Final[dict[str, Side]] = {
    "/ws/v5/public": "public",
    "/ws/v5/business": "business",
    "/ws/v5/private": "private",
}
_MOST_ARGS = 480
_SHOWN = 200


class _Client:
    """One connection: its number, and the account once it proved to own it."""

    def __init__(self, connection: Connection, number: int, side: Side) -> None:
        self.connection = connection
        self.name = f"sbx{number}"
        self.side = side
        self.account: Account | None = None


class SocketServer:
    """Serves every WebSocket handshake by its path."""

    def __init__(
        self,
        exchange: Exchange,
        channels: MarketChannels,
        private: PrivateStreams,
        hub: StreamHub,
        wall: VenueClock,
    ) -> None:
        self._exchange = exchange
        self._wall = wall
        self._channels = channels
        self._private = private
        self._hub = hub
        self._numbers = itertools.count(1)
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        side = _SIDES.get(request.path)
        if side is None:
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        connection = Connection(request.transport, False)
        client = _Client(connection, next(self._numbers), side)
        self._sockets.add(socket)
        try:
            async for text in texts(socket):
                self._command(client, text)
                self._hub.flush()
        finally:
            self._sockets.discard(socket)
            self._private.drop(connection)
            self._channels.drop(connection)
        return socket

    async def close(self) -> None:
        """Close all connections."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"going away")

    def _command(self, client: _Client, text: str) -> None:
        if text == "ping":  # its answer is no JSON either
            self._hub.send(client.connection, "pong")
            return
        message = decode(text)
        op = message.get("op") if message is not None else None
        match op:
            case "login":
                self._log_in(client, message or {})
            case "subscribe" | "unsubscribe":
                self._listen(client, message or {}, op, text)
            case _:
                self._refuse(client, 60012, f"Illegal request: {text[:_SHOWN]}")

    def _log_in(self, client: _Client, message: Json) -> None:
        if client.side == "public":
            self._refuse(client, 60008, "Login is not supported for public channels.")
            return
        found = socket_account(message.get("args"), self._exchange.accounts, self._wall.ms())
        if isinstance(found, Account):
            client.account = found
            self._send(client, {"event": "login", "code": "0", "msg": "", "connId": client.name})
        else:
            self._refuse(client, *found)

    def _listen(self, client: _Client, message: Json, op: str, text: str) -> None:
        arguments = message.get("args")
        if not isinstance(arguments, list) or not 0 < len(arguments) <= _MOST_ARGS:
            self._refuse(client, 60012, f"Illegal request: {text[:_SHOWN]}")
            return
        if client.side == "private" and client.account is None:
            self._refuse(client, 60011, "Please log in")
            return
        for each in arguments:
            arg = _texts_of(each)
            if arg is None or not self._is_known(client, arg):
                shown = ",".join(f"{name}:{value}" for name, value in (arg or {}).items())[:_SHOWN]
                self._refuse(client, 60018, f"{shown or 'channel:'} doesn't exist")
                continue
            self._send(client, {"event": op, "arg": arg, "connId": client.name})
            if op == "unsubscribe":
                self._leave(client, arg)
            elif client.account is not None and client.side == "private":
                self._private.subscribe(client.account, client.connection, arg)
            else:
                self._channels.subscribe(client.connection, arg)

    def _is_known(self, client: _Client, arg: dict[str, str]) -> bool:
        if client.side == "private":
            return self._private.is_known(arg)
        return self._channels.is_known(arg, is_business=client.side == "business")

    def _leave(self, client: _Client, arg: dict[str, str]) -> None:
        if client.side == "private":
            self._private.unsubscribe(client.connection, arg)
        else:
            self._channels.unsubscribe(client.connection, arg)

    def _refuse(self, client: _Client, code: int, msg: str) -> None:
        self._send(client, {"event": "error", "code": str(code), "msg": msg, "connId": client.name})

    def _send(self, client: _Client, answer: Json) -> None:
        self._hub.send(client.connection, msgspec.json.encode(answer).decode())


def _texts_of(arg: object) -> dict[str, str] | None:
    """An argument whose values are texts, without those that nobody here reads."""
    if not isinstance(arg, dict) or not all(isinstance(value, str) for value in arg.values()):
        return None
    return {name: value for name, value in arg.items() if name in ("channel", "instId", "instType") and value}
