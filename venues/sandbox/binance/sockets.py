"""The WebSocket side: market streams with their subscribe commands, and the WebSocket API.

Not here: what streams say, what methods do. Invariant: whatever a client sends is answered with a
result or an error object; only a client that breaks the WebSocket protocol itself is disconnected.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.authentication import account_of, check_signature, check_timestamp
from venues.sandbox.binance.endpoints import Endpoint
from venues.sandbox.binance.params import Params
from venues.sandbox.binance.rate_limits import spend
from venues.sandbox.binance.streams import MarketPublisher
from venues.sandbox.binance.user_stream import UserStreams
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.wall import VenueClock


class Addresses(NamedTuple):
    """Where a venue answers: the WebSocket API, and streams; some take a listen key as a parameter."""

    api: str = "/ws-api/v3"
    streams: tuple[str, ...] = ("/stream/ws", "/stream", "/ws")
    combined: tuple[str, ...] = ("/stream",)
    key_parameter: str | None = None


_SPOT = Addresses()
_LISTEN_KEY_LENGTH = 64


class SocketServer:
    """Serves every WebSocket handshake by its path."""

    def __init__(
        self,
        exchange: Exchange,
        publisher: MarketPublisher,
        users: UserStreams,
        hub: StreamHub,
        endpoints: dict[str, Endpoint],
        limits: RateLimits,
        wall: VenueClock,
        addresses: Addresses = _SPOT,
    ) -> None:
        self._exchange = exchange
        self._wall = wall
        self._addresses = addresses
        self._publisher = publisher
        self._users = users
        self._hub = hub
        self._endpoints = endpoints
        self._limits = limits
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        path = request.path
        is_api = path.startswith(self._addresses.api)
        if not is_api and not path.startswith(self._addresses.streams):
            return web.json_response(errors.unsupported_path(path).body(), status=404)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        combined = path in self._addresses.combined
        connection = Connection(request.transport, combined)
        self._sockets.add(socket)
        try:
            if not is_api:
                self._subscribe_by_address(connection, request)
            async for text in texts(socket):
                reply = self._call(connection, text) if is_api else self._command(connection, text)
                self._hub.send(connection, reply)
                self._hub.flush()
        finally:
            self._sockets.discard(socket)
            self._users.unsubscribe(connection, None)
            self._publisher.drop(connection)
        return socket

    async def close(self) -> None:
        """Close all connections."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"going away")

    def _subscribe_by_address(self, connection: Connection, request: web.Request) -> None:
        names = request.path.rpartition("/ws/")[2].split("/") if "/ws/" in request.path else []
        query = parse_qs(request.query_string)
        listed = query.get("streams", [])
        names += listed[0].split("/") if listed else []
        names += query.get(self._addresses.key_parameter, []) if self._addresses.key_parameter else []
        self._publisher.subscribe(connection, [name for name in names if self._publisher.is_known(name)])
        for name in names:
            if len(name) == _LISTEN_KEY_LENGTH:
                self._users.join_by_key(name, connection)

    def _command(self, connection: Connection, text: str) -> str:
        """SUBSCRIBE and its relatives on a stream connection."""
        message = decode(text)
        if message is None:
            return _text({"error": {"code": 3, "msg": "Invalid JSON: expected an object"}, "id": None})
        number = message.get("id")
        if not isinstance(number, int | str | None) or isinstance(number, bool):
            return _text(
                {
                    "error": {"code": 2, "msg": "Invalid request: request ID must be an integer or string"},
                    "id": None,
                }
            )
        result, error = self._run_command(connection, message.get("method"), message.get("params"))
        return _text({"error": error, "id": number} if error else {"result": result, "id": number})

    def _run_command(
        self, connection: Connection, method: object, params: object
    ) -> tuple[object, Json | None]:
        if method == "LIST_SUBSCRIPTIONS":
            return list(connection.streams), None
        if method == "GET_PROPERTY":
            return connection.combined, None
        if method == "SET_PROPERTY":
            if (
                isinstance(params, list)
                and len(params) == 2
                and params[0] == "combined"
                and (isinstance(params[1], bool))
            ):
                connection.combined = params[1]
                return None, None
            return None, {"code": 1, "msg": "Invalid value type: expected Boolean"}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return None, {"code": 2, "msg": "Invalid request: unknown method"}
        if not isinstance(params, list) or not all(isinstance(one, str) for one in params):
            return None, {"code": 2, "msg": "Invalid request: params must be an array of strings"}
        unknown = [one for one in params if not self._publisher.is_known(one)]
        if unknown:
            return None, {"code": 2, "msg": f"Invalid request: invalid stream {unknown[0][:80]!r}"}
        if method == "SUBSCRIBE":
            self._publisher.subscribe(connection, params)
        else:
            self._publisher.unsubscribe(connection, params)
        return None, None

    def _call(self, connection: Connection, text: str) -> str:
        """One request of the WebSocket API."""
        message = decode(text)
        number = message.get("id") if message is not None else None
        if not isinstance(number, int | str | None) or isinstance(number, bool):
            number = None
        try:
            if message is None:
                raise errors.VenueError(-1135, "Invalid JSON Request")
            params = message.get("params", {})
            if not isinstance(params, dict):
                raise errors.VenueError(-1135, "Invalid JSON Request: 'params' must be an object.")
            result = self._run_call(connection, message.get("method"), _as_texts(params))
        except errors.VenueError as error:
            return _text({"id": number, "status": error.status, "error": error.body(), "rateLimits": []})
        return _text({"id": number, "status": 200, "result": result, "rateLimits": []})

    def _run_call(self, connection: Connection, method: object, values: dict[str, str]) -> object:
        if not isinstance(method, str) or not method:
            raise errors.missing("method")
        if method == "userDataStream.subscribe.signature":
            account, _ = self._authenticate(values)
            return {"subscriptionId": self._users.subscribe(account, connection)}
        if method == "userDataStream.unsubscribe":
            self._users.unsubscribe(connection, Params(values).integer("subscriptionId"))
            return {}
        if method == "session.subscriptions":
            return [{"subscriptionId": number} for number in self._users.subscriptions(connection)]
        endpoint = self._endpoints.get(method)
        if endpoint is None:
            raise errors.VenueError(-1000, f"Unknown method {method[:80]!r}.")
        spend(self._limits, endpoint.weight, endpoint.is_order, self._wall.ms())
        if endpoint.public is not None:
            return endpoint.public(Params(values))
        assert endpoint.private is not None
        account, params = self._authenticate(values)
        return endpoint.private(account, params)

    def _authenticate(self, values: dict[str, str]) -> tuple[Account, Params]:
        account = account_of(values.get("apiKey"), self._exchange.accounts)
        signature = values.pop("signature", None)
        signed = "&".join(f"{name}={values[name]}" for name in sorted(values))
        check_signature(account.secret, signed, signature)
        params = Params(values)
        check_timestamp(params, self._wall.ms())
        return account, params


def _as_texts(params: Json) -> dict[str, str]:
    """Parameters as the texts that were signed; lists as compact JSON."""
    values = {}
    for name, value in params.items():
        if isinstance(value, bool):
            values[name] = "true" if value else "false"
        elif isinstance(value, str):
            values[name] = value
        elif value is not None:
            values[name] = msgspec.json.encode(value).decode()
    return values


def _text(message: Json) -> str:
    return msgspec.json.encode(message).decode()
