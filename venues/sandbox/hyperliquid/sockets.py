"""The WebSocket side: one address for everything, one subscription a message.

Not here: what streams say. Invariant: whatever a client sends is answered; only a client that breaks the
WebSocket protocol itself is disconnected.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.hyperliquid.private_stream import KINDS, PrivateStreams
from venues.sandbox.hyperliquid.streams import MarketChannels
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts

_PATH = "/ws"
_SHOWN = 200


class SocketServer:
    """Serves every WebSocket handshake by its path."""

    def __init__(self, channels: MarketChannels, private: PrivateStreams, hub: StreamHub) -> None:
        self._channels = channels
        self._private = private
        self._hub = hub
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        if request.path != _PATH:
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        connection = Connection(request.transport, False)
        subscribed: set[str] = set()
        self._sockets.add(socket)
        try:
            async for text in texts(socket):
                self._command(connection, subscribed, text)
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

    def _command(self, connection: Connection, subscribed: set[str], text: str) -> None:
        message = decode(text)
        match message:
            case {"method": "ping"}:
                self._send(connection, {"channel": "pong"})
            case {"method": "subscribe" | "unsubscribe" as method, "subscription": dict() as subscription}:
                self._listen(connection, subscribed, method, subscription)
            case _:
                self._refuse(connection, f"Error parsing JSON into valid websocket request: {text[:_SHOWN]}")

    def _listen(self, connection: Connection, subscribed: set[str], method: str, subscription: Json) -> None:
        shown = msgspec.json.encode(subscription).decode()
        kind, user = subscription.get("type"), subscription.get("user")
        is_private = kind in KINDS and isinstance(user, str)
        stream = None if is_private else self._channels.stream_of(subscription)
        if not is_private and stream is None:
            self._refuse(connection, f"Invalid subscription {shown[:_SHOWN]}")
            return
        name = f"{kind}:{str(user).lower()}" if is_private else str(stream)
        is_new = name not in subscribed
        if is_new != (method == "subscribe"):
            word = "Already unsubscribed" if is_new else "Already subscribed"
            self._refuse(connection, f"{word}: {shown[:_SHOWN]}")
            return
        told: Json = {"method": method, "subscription": subscription}
        self._send(connection, {"channel": "subscriptionResponse", "data": told})
        streams = self._private if is_private else self._channels
        if method == "subscribe":
            subscribed.add(name)
        else:
            subscribed.discard(name)
        if isinstance(streams, PrivateStreams):
            change = streams.subscribe if method == "subscribe" else streams.unsubscribe
            change(connection, str(kind), str(user))
        elif method == "subscribe":
            streams.subscribe(connection, str(stream))
        else:
            streams.unsubscribe(connection, str(stream))

    def _refuse(self, connection: Connection, said: str) -> None:
        self._send(connection, {"channel": "error", "data": said})

    def _send(self, connection: Connection, answer: Json) -> None:
        self._hub.send(connection, msgspec.json.encode(answer).decode())
