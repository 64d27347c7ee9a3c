"""The WebSocket side: one address, a token that says who is there, and topics.

Not here: what topics say, who gets tokens. Invariant: whatever a client sends is answered; only a client
without a token, or one that breaks the WebSocket protocol itself, is disconnected; a private topic needs the
token of an account.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts
from venues.sandbox.kucoin.private_stream import TOPIC, PrivateStreams
from venues.sandbox.kucoin.rest_server import SOCKETS
from venues.sandbox.kucoin.streams import MarketTopics
from venues.sandbox.kucoin.tokens import Tokens

_SHOWN = 200
_MOST_TOPICS = 100


class _Client:
    """One connection, and the account that its token speaks for."""

    def __init__(self, connection: Connection, account: Account | None) -> None:
        self.connection = connection
        self.account = account


class SocketServer:
    """Serves every WebSocket handshake."""

    def __init__(self, topics: MarketTopics, private: PrivateStreams, hub: StreamHub, tokens: Tokens) -> None:
        self._topics = topics
        self._private = private
        self._hub = hub
        self._tokens = tokens
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        if request.path != SOCKETS:
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        connection = Connection(request.transport, False)
        named, token = request.query.get("connectId", ""), request.query.get("token", "")
        if not self._tokens.is_known(token):
            self._send(connection, {"id": named, "type": "error", "code": 401, "data": "token is invalid"})
            self._hub.flush()
            await socket.close(code=1008)
            return socket
        client = _Client(connection, self._tokens.owner(token))
        self._sockets.add(socket)
        self._send(connection, {"id": named, "type": "welcome"})
        self._hub.flush()
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
        message = decode(text) or {}
        match message.get("type"):
            case "ping":
                self._send(client.connection, {"id": _id_of(message), "type": "pong"})
            case "subscribe" | "unsubscribe" as kind:
                self._listen(client, message, begins=kind == "subscribe")
            case _:
                self._refuse(client, message, 415, "type is not supported")

    def _listen(self, client: _Client, message: Json, *, begins: bool) -> None:
        topic = message.get("topic")
        is_private = topic == TOPIC
        topics = self._topics.topics_of(topic) if isinstance(topic, str) and not is_private else None
        account = client.account if is_private else None
        if account is None and not 0 < len(topics or ()) <= _MOST_TOPICS:
            self._refuse(client, message, 404, f"topic {str(topic)[:_SHOWN]} is not found")
            return
        if message.get("response") is True:
            self._send(client.connection, {"id": _id_of(message), "type": "ack"})
        match account, begins:
            case None, True:
                self._topics.subscribe(client.connection, topics or [])
            case None, False:
                self._topics.unsubscribe(client.connection, topics or [])
            case Account(), True:
                self._private.subscribe(account, client.connection)
            case _:
                self._private.drop(client.connection)

    def _refuse(self, client: _Client, message: Json, code: int, why: str) -> None:
        self._send(client.connection, {"id": _id_of(message), "type": "error", "code": code, "data": why})

    def _send(self, connection: Connection, answer: Json) -> None:
        self._hub.send(connection, msgspec.json.encode(answer).decode())


def _id_of(message: Json) -> str:
    found = message.get("id", "")
    return str(found)[:_SHOWN] if isinstance(found, str | int) else ""
