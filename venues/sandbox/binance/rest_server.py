"""REST over HTTP: find the endpoint, check who asks, run the handler, encode the answer.

Every answer is JSON, also for requests that make no sense. Not here: what endpoints do. Invariant:
no request, however broken, is answered with 5xx or ends the process, unless `hostility` was asked for.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.authentication import (
    account_of,
    check_signature,
    check_timestamp,
    split_signature,
)
from venues.sandbox.binance.endpoints import Endpoint, PrivateHandler
from venues.sandbox.binance.params import Params
from venues.sandbox.binance.rate_limits import headers as headers_of
from venues.sandbox.binance.rate_limits import spend
from venues.sandbox.binance.user_stream import UserStreams
from venues.sandbox.connections import StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.wall import VenueClock

LISTEN_KEY_PATHS = ("/api/v3/userDataStream", "/api/v1/userDataStream")
_NEW_IDS = ("newClientOrderId", "clientAlgoId")
_OLD_IDS = ("origClientOrderId", "clientAlgoId")
_MAX_FIELDS = 200
_THROTTLED_S = 1
_JSON = {"Content-Type": "application/json;charset=UTF-8"}


class RestServer:
    """Handles each HTTP request that is not a WebSocket handshake."""

    def __init__(
        self,
        exchange: Exchange,
        endpoints: dict[str, dict[str, Endpoint]],
        limits: RateLimits,
        users: UserStreams,
        hub: StreamHub,
        fates: RequestFates,
        wall: VenueClock,
        listen_key_paths: tuple[str, ...] = LISTEN_KEY_PATHS,
    ) -> None:
        self._exchange = exchange
        self._endpoints = endpoints
        self._limits = limits
        self._users = users
        self._hub = hub
        self._fates = fates
        self._wall = wall
        self._listen_key_paths = listen_key_paths

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        is_order, retry_s = False, 0
        try:
            body = await _read_body(request)
            path, _, query = request.raw_path.partition("?")
            if path in self._listen_key_paths:
                answer = self._listen_key(request, query, body)
            else:
                endpoint = self._find(path, request.method)
                is_order = endpoint.is_order
                spend(self._limits, endpoint.weight, is_order, self._wall.ms())
                answer = self._run(endpoint, request, query, body)
            status, content = 200, msgspec.json.encode(answer)
        except errors.VenueError as error:
            status, content, retry_s = error.status, msgspec.json.encode(error.body()), error.retry_s
        except Unanswered:
            status, content = 503, b""
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        headers = _JSON | headers_of(self._limits, is_order)
        if retry_s:
            headers["Retry-After"] = str(retry_s)
        return web.Response(status=status, body=content, headers=headers)

    def _find(self, path: str, method: str) -> Endpoint:
        methods = self._endpoints.get(path)
        if methods is None:
            raise errors.unsupported_path(path)
        endpoint = methods.get(method)
        if endpoint is None:
            raise errors.wrong_method(method)
        return endpoint

    def _run(self, endpoint: Endpoint, request: web.Request, query: str, body: str) -> object:
        if endpoint.public is not None:
            return endpoint.public(Params(_decode(query, body)))
        assert endpoint.private is not None
        account, params = self._authenticate(request, query, body)
        if endpoint.is_order or endpoint.is_cancel:
            return self._meet(endpoint.private, endpoint.is_cancel, account, params)
        return endpoint.private(account, params)

    def _meet(self, handle: PrivateHandler, is_cancel: bool, account: Account, params: Params) -> object:
        def execute() -> object:
            return handle(account, params)

        def check_fresh() -> None:
            check_timestamp(params, self._wall.ms())

        try:
            if is_cancel:
                return self._fates.meet_cancel(account, lambda: self._named(params), execute, check_fresh)
            return self._fates.meet(account, _first(params, _NEW_IDS), execute, check_fresh)
        except Throttled:
            raise errors.VenueError(
                -1003, "Too many requests; please use the websocket.", 429, _THROTTLED_S
            ) from None
        except Failed:
            raise errors.VenueError(
                -1000, "An unknown error occurred while processing the request.", 503
            ) from None

    def _named(self, params: Params) -> str:
        """The client id of the order that a cancel names."""
        order = self._exchange.orders.get(params.integer("orderId") or params.integer("algoId") or 0)
        return _first(params, _OLD_IDS) or (order.request.client_order_id if order else "")

    def _authenticate(self, request: web.Request, query: str, body: str) -> tuple[Account, Params]:
        account = account_of(request.headers.get("X-MBX-APIKEY"), self._exchange.accounts)
        query, in_query = split_signature(query)
        body, in_body = split_signature(body)
        params = Params(_decode(query, body))
        check_signature(account.secret, query + body, in_query or in_body)
        check_timestamp(params, self._wall.ms())
        return account, params

    def _listen_key(self, request: web.Request, query: str, body: str) -> object:
        spend(self._limits, 2, False, self._wall.ms())
        account = account_of(request.headers.get("X-MBX-APIKEY"), self._exchange.accounts)
        if request.method == "POST":
            return {"listenKey": self._users.new_listen_key(account)}
        if request.method not in ("PUT", "DELETE"):
            raise errors.wrong_method(request.method)
        key = self._users.named_key(account, Params(_decode(query, body)))
        self._users.check_listen_key(account, key, request.method == "DELETE")
        return {}


def _first(params: Params, names: tuple[str, ...]) -> str | None:
    """What is sent under any of some names."""
    return next((found for name in names if (found := params.optional(name))), None)


async def _read_body(request: web.Request) -> str:
    try:
        return (await request.read()).decode("utf-8", "surrogateescape")
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.VenueError(-1101, "Too many parameters; the request is too large.", 413) from error
    except web.RequestPayloadError as error:
        raise errors.VenueError(-1102, "The request's body could not be read.") from error


def _decode(query: str, body: str) -> dict[str, str]:
    """Parameters of query and body together; a name sent twice is refused."""
    text = "&".join(part for part in (query, body) if part)
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise errors.VenueError(-1101, "Too many parameters sent.") from error
    values = dict(pairs)
    if len(values) != len(pairs):
        raise errors.VenueError(-1101, "Duplicate values for a parameter detected.")
    return values
