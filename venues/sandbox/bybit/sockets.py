"""The WebSocket side: public and private topics with their commands.

Not here: what topics say. Invariant: whatever a client sends is answered with success or an error; only a
client that breaks the WebSocket protocol itself is disconnected; private topics need `auth` first.
"""

from __future__ import annotations

import itertools

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.bybit.private_stream import PRIVATE_TOPICS, PrivateStreams
from venues.sandbox.bybit.signing import socket_account
from venues.sandbox.bybit.streams import MarketTopics
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts
from venues.sandbox.wall import VenueClock

_PUBLIC, _PRIVATE = "/v5/public/spot", "/v5/private"
# A public spot subscription may name at most so many topics.
_MOST_TOPICS = 10


class _Client:
    """One connection: its number, and the account once it proved to own it."""

    def __init__(self, connection: Connection, number: int, is_private: bool) -> None:
        self.connection = connection
        self.name = f"sbx-{number}"
        self.is_private = is_private
        self.account: Account | None = None


class SocketServer:
    """Serves every WebSocket handshake by its path."""

    def __init__(
        self,
        exchange: Exchange,
        topics: MarketTopics,
        private: PrivateStreams,
        hub: StreamHub,
        wall: VenueClock,
    ) -> None:
        self._exchange = exchange
        self._wall = wall
        self._topics = topics
        self._private = private
        self._hub = hub
        self._numbers = itertools.count(1)
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        if request.path not in (_PUBLIC, _PRIVATE):
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        connection = Connection(request.transport, False)
        client = _Client(connection, next(self._numbers), request.path == _PRIVATE)
        self._sockets.add(socket)
        try:
            async for text in texts(socket):
                self._command(client, text)
                self._hub.flush()
        finally:
            self._sockets.discard(socket)
            self._private.drop(connection)
            self._topics.drop(connection)
        return socket

    async def close(self) -> None:
        """Close all connections."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"going away")

    def _command(self, client: _Client, text: str) -> None:
        message = decode(text)
        if message is None:
            self._answer(client, {}, "", "error:invalid json")
            return
        op = message.get("op")
        match op:
            case "ping":
                self._pong(client, message)
            case "auth" if client.is_private:
                found = socket_account(message.get("args"), self._exchange.accounts, self._wall.ms())
                if isinstance(found, Account):
                    client.account = found
                self._answer(client, message, "auth", found if isinstance(found, str) else "")
            case "subscribe" | "unsubscribe":
                self._listen(client, message, op)
            case _:
                self._answer(client, message, str(op)[:40], "error:invalid op")

    def _listen(self, client: _Client, message: Json, op: str) -> None:
        topics = message.get("args")
        wrong = self._wrong(client, topics)
        self._answer(client, message, op, wrong)
        if wrong or not isinstance(topics, list):
            return
        if op == "unsubscribe":
            self._private.unsubscribe(client.connection, topics)
            self._topics.unsubscribe(client.connection, topics)
        elif client.account is not None:
            self._private.subscribe(client.account, client.connection, topics)
        else:
            self._topics.subscribe(client.connection, topics)

    def _wrong(self, client: _Client, topics: object) -> str:
        """What is wrong with a list of topics, empty if nothing is."""
        if not isinstance(topics, list) or not topics or not all(isinstance(one, str) for one in topics):
            return "error:args is not a list of topics"
        if client.is_private and client.account is None:
            return "Request not authorized"
        if not client.is_private and len(topics) > _MOST_TOPICS:
            return f"error:args size >{_MOST_TOPICS}"
        for topic in topics:
            if not (topic in PRIVATE_TOPICS if client.is_private else self._topics.is_known(topic)):
                return f"error:handler not found,topic:{topic[:80]}"
        return ""

    def _answer(self, client: _Client, message: Json, op: str, wrong: str) -> None:
        ret_msg = wrong or (op if not client.is_private and op == "subscribe" else "")
        answer: Json = {"success": not wrong, "ret_msg": ret_msg, "conn_id": client.name}
        self._send(client, answer | _request_id(message) | {"op": op})

    def _pong(self, client: _Client, message: Json) -> None:
        if client.is_private:
            answer: Json = {"op": "pong", "args": [str(self._wall.ms())], "conn_id": client.name}
        else:
            answer = {"success": True, "ret_msg": "pong", "conn_id": client.name, "op": "ping"}
        self._send(client, answer | _request_id(message))

    def _send(self, client: _Client, answer: Json) -> None:
        self._hub.send(client.connection, msgspec.json.encode(answer).decode())


def _request_id(message: Json) -> Json:
    number = message.get("req_id")
    return {"req_id": str(number)} if isinstance(number, str | int) and not isinstance(number, bool) else {}
