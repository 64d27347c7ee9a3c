"""REST over HTTP: find the endpoint, check who asks, run the handler, put the answer into Bybit's envelope.

Not here: what endpoints do. Invariant: no request, however broken, is answered with 5xx or ends the process,
unless `hostility` was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.bybit import errors
from venues.sandbox.bybit.params import Params, of_body, of_query
from venues.sandbox.bybit.private_api import PrivateApi
from venues.sandbox.bybit.public_api import PublicApi
from venues.sandbox.bybit.signing import account_of, check_fresh
from venues.sandbox.connections import StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.rate_limits import Excess, RateLimits
from venues.sandbox.wall import VenueClock

_TEN_SECONDS_MS = 10_000
_THROTTLED_MS = 1000
_RESET = "X-Bapi-Limit-Reset-Timestamp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of `public` and `private` is set."""

    public: Callable[[Params], object] | None = None
    private: Callable[[Account, Params], object] | None = None
    is_order: bool = False
    is_cancel: bool = False


def endpoints_of(public: PublicApi, private: PrivateApi) -> dict[tuple[str, str], Endpoint]:
    """Endpoints by method and path."""
    return {
        ("GET", "/v5/market/time"): Endpoint(public.time),
        ("GET", "/v5/market/instruments-info"): Endpoint(public.instruments),
        ("GET", "/v5/market/kline"): Endpoint(public.kline),
        ("GET", "/v5/market/recent-trade"): Endpoint(public.recent_trade),
        ("GET", "/v5/market/tickers"): Endpoint(public.tickers),
        ("GET", "/v5/market/orderbook"): Endpoint(public.orderbook),
        ("POST", "/v5/order/create"): Endpoint(private=private.create, is_order=True),
        ("POST", "/v5/order/cancel"): Endpoint(private=private.cancel, is_cancel=True),
        ("POST", "/v5/order/cancel-all"): Endpoint(private=private.cancel_all),
        ("GET", "/v5/order/realtime"): Endpoint(private=private.realtime),
        ("GET", "/v5/order/history"): Endpoint(private=private.history),
        ("GET", "/v5/execution/list"): Endpoint(private=private.executions),
        ("GET", "/v5/account/wallet-balance"): Endpoint(private=private.wallet),
        ("GET", "/v5/account/info"): Endpoint(private=private.account_info),
        ("GET", "/v5/account/fee-rate"): Endpoint(private=private.fee_rate),
        ("GET", "/v5/user/query-api"): Endpoint(private=private.key),
        ("GET", "/v5/asset/coin/query-info"): Endpoint(private=private.coins),
    }


class RestServer:
    """Handles each HTTP request that is not a WebSocket handshake."""

    def __init__(
        self,
        exchange: Exchange,
        endpoints: dict[tuple[str, str], Endpoint],
        limits: RateLimits,
        hub: StreamHub,
        fates: RequestFates,
        wall: VenueClock,
    ) -> None:
        self._exchange = exchange
        self._endpoints = endpoints
        self._limits = limits
        self._hub = hub
        self._fates = fates
        self._wall = wall

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        headers = {}
        status, code, msg, result = 200, 0, "OK", None
        try:
            body = await _read_body(request)
            path, _, query = request.raw_path.partition("?")
            endpoint = self._endpoints.get((request.method, path))
            if endpoint is None:
                raise errors.no_such_route()
            self._count(endpoint.is_order)
            if endpoint.is_order:
                headers = self._limit_headers()
            result = self._run(endpoint, request, query, body)
        except errors.VenueError as error:
            status, code, msg = error.status, error.code, error.msg
            if error.reset_ms:
                headers[_RESET] = str(self._wall.ms() + error.reset_ms)
        except Unanswered:
            status, code, msg = 503, 10016, ""
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        envelope = {
            "retCode": code,
            "retMsg": msg,
            "result": {} if result is None else result,
            "retExtInfo": {},
            "time": self._wall.ms(),
        }
        return web.Response(
            status=status,
            body=msgspec.json.encode(envelope),
            headers=headers | {"Content-Type": "application/json; charset=utf-8"},
        )

    def _count(self, is_order: bool) -> None:
        match self._limits.spend(1, is_order, self._wall.ms()):
            case Excess.WEIGHT:
                raise errors.VenueError(10018, "Exceeded the IP Rate Limit.", 403)
            case Excess.ORDERS:
                raise errors.VenueError(10006, "Too many visits. Exceeded the API Rate Limit.")

    def _limit_headers(self) -> dict[str, str]:
        limit = self._limits.order_limit
        return {
            "X-Bapi-Limit": str(limit),
            "X-Bapi-Limit-Status": str(limit - self._limits.orders),
            _RESET: str((self._wall.ms() // _TEN_SECONDS_MS + 1) * _TEN_SECONDS_MS),
        }

    def _run(self, endpoint: Endpoint, request: web.Request, query: str, body: bytes) -> object:
        if endpoint.public is not None:
            return endpoint.public(Params(of_query(query)))
        assert endpoint.private is not None
        is_post = request.method == "POST"
        payload = body if is_post else query.encode("utf-8", "surrogateescape")
        account = account_of(request.headers, payload, self._exchange.accounts, self._wall.ms())
        params = Params(of_body(body) if is_post else of_query(query))
        if not (endpoint.is_order or endpoint.is_cancel):
            return endpoint.private(account, params)
        handle = endpoint.private
        stamp = request.headers["X-BAPI-TIMESTAMP"]
        window = request.headers.get("X-BAPI-RECV-WINDOW", "")

        def execute() -> object:
            return handle(account, params)

        def fresh() -> None:
            check_fresh(stamp, window, self._wall.ms())

        try:
            if endpoint.is_cancel:
                return self._fates.meet_cancel(account, lambda: self._named(params), execute, fresh)
            return self._fates.meet(account, params.get("orderLinkId"), execute, fresh)
        except Throttled:
            raise errors.VenueError(
                10006, "Too many visits. Exceeded the API Rate Limit.", reset_ms=_THROTTLED_MS
            ) from None
        except Failed:
            raise errors.VenueError(10016, "Server error.", 503) from None

    def _named(self, params: Params) -> str:
        """The client id of the order that a cancel names."""
        number = params.get("orderId") or ""
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        order = self._exchange.orders.get(int(number)) if is_number else None
        return order.request.client_order_id if order else params.get("orderLinkId") or ""


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.VenueError(10001, "Request parameter error: too large", 413) from error
    except web.RequestPayloadError as error:
        raise errors.bad_parameter("the body could not be read") from error
