"""The WebSocket side, version 2: public and private channels with their commands.

Not here: what channels say. Invariant: whatever a client sends is answered; only a client that breaks the
WebSocket protocol itself is disconnected; the private channel needs a token.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts
from venues.sandbox.kraken.bodies import rfc3339
from venues.sandbox.kraken.private_stream import CHANNEL, PrivateStreams
from venues.sandbox.kraken.signing import Keys
from venues.sandbox.kraken.streams import MarketChannels
from venues.sandbox.wall import VenueClock

_PUBLIC: Final = "/v2"
_PRIVATE: Final = "/auth/v2"
_MOST_SYMBOLS = 1000


class SocketServer:
    """Serves every WebSocket handshake by its path."""

    def __init__(
        self, keys: Keys, channels: MarketChannels, private: PrivateStreams, hub: StreamHub, wall: VenueClock
    ) -> None:
        self._keys = keys
        self._channels = channels
        self._private = private
        self._hub = hub
        self._wall = wall
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        if request.path not in (_PUBLIC, _PRIVATE):
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        connection = Connection(request.transport, False)
        self._sockets.add(socket)
        status = {"api_version": "v2", "system": "online", "version": "2.0.0", "connection_id": 1}
        self._send(connection, {"channel": "status", "type": "update", "data": [status]})
        self._hub.flush()
        try:
            async for text in texts(socket):
                self._command(connection, text, is_private=request.path == _PRIVATE)
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

    def _command(self, connection: Connection, text: str, *, is_private: bool) -> None:
        message = decode(text)
        if message is None:
            self._send(connection, {"error": "Malformed request", "success": False})
            return
        given = message.get("params")
        params: Json = given if isinstance(given, dict) else {}
        match message.get("method"):
            case "ping":
                self._answer(connection, message, {"method": "pong"})
            case "subscribe" | "unsubscribe" if not params:
                self._refuse(connection, message, "Malformed request")
            case "subscribe" | "unsubscribe" if is_private:
                self._listen_privately(connection, message, params)
            case "subscribe" | "unsubscribe":
                self._listen(connection, message, params)
            case _:
                self._refuse(connection, message, "Event(s) not found")

    def _listen_privately(self, connection: Connection, message: Json, params: Json) -> None:
        account = self._keys.owner_of(params.get("token"), self._wall.ms())
        if account is None:
            self._refuse(connection, message, "ESession:Invalid session")
        elif params.get("channel") != CHANNEL:
            self._refuse(connection, message, "Subscription name invalid")
        elif message["method"] == "unsubscribe":
            self._private.drop(connection)
            self._agree(connection, message, {"channel": CHANNEL})
        else:
            with_orders = params.get("snap_orders", True) is True
            with_trades = params.get("snap_trades", False) is True
            result = {"channel": CHANNEL, "snap_orders": with_orders, "snap_trades": with_trades}
            self._agree(connection, message, result)
            self._private.subscribe(account, connection, with_orders=with_orders, with_trades=with_trades)

    def _listen(self, connection: Connection, message: Json, params: Json) -> None:
        symbols = params.get("symbol")
        if not isinstance(symbols, list) or not 0 < len(symbols) <= _MOST_SYMBOLS:
            self._refuse(connection, message, "Pair field must be an array")
            return
        for symbol in symbols:
            stream = self._channels.stream_of(params, symbol)
            if stream is None:
                self._refuse(connection, message, f"Currency pair not supported {str(symbol)[:40]}")
                continue
            self._agree(connection, message, {"channel": params["channel"], "symbol": symbol})
            if message["method"] == "unsubscribe":
                self._channels.unsubscribe(connection, stream)
            else:
                self._channels.subscribe(connection, stream, whole=params.get("snapshot", True) is True)

    def _agree(self, connection: Connection, message: Json, result: Json) -> None:
        self._answer(connection, message, {"method": message["method"], "result": result, "success": True})

    def _refuse(self, connection: Connection, message: Json, error: str) -> None:
        method = message.get("method")
        self._answer(connection, message, {"method": str(method), "error": error, "success": False})

    def _answer(self, connection: Connection, message: Json, answer: Json) -> None:
        now = rfc3339(self._wall.ms())
        if isinstance(message.get("req_id"), int):
            answer["req_id"] = message["req_id"]
        self._send(connection, answer | {"time_in": now, "time_out": now})

    def _send(self, connection: Connection, answer: Json) -> None:
        self._hub.send(connection, msgspec.json.encode(answer).decode())
