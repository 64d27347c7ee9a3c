"""REST over HTTP: find the endpoint, check who asks, run the handler, put the answer into KuCoin's envelope.

Not here: what endpoints do. Invariant: no request, however broken, is answered with 5xx or ends the process,
unless `hostility` was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.connections import StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.kucoin import errors
from venues.sandbox.kucoin.params import Params, of_body, of_query
from venues.sandbox.kucoin.private_api import PrivateApi
from venues.sandbox.kucoin.public_api import PublicApi
from venues.sandbox.kucoin.signing import account_of
from venues.sandbox.kucoin.tokens import Tokens
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.wall import VenueClock

SOCKETS = "/endpoint"
_BULLET = "/api/v1/bullet-"
_SIGNED = "KC-API-KEY"
_MINUTE_MS = 60_000
Change = Literal["", "order", "cancel"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of `public` and `private` is set; `changes` says what it does to orders."""

    public: Callable[[Params], object] | None = None
    private: Callable[[Account, Params], object] | None = None
    changes: Change = ""


def endpoints_of(public: PublicApi, private: PrivateApi) -> dict[tuple[str, str], Endpoint]:
    """Endpoints by method and path; one that ends in a slash has the client id behind it."""
    order, cancel = Endpoint(private=private.order), Endpoint(private=private.cancel, changes="cancel")
    return {
        ("GET", "/api/v1/timestamp"): Endpoint(public.time),
        ("GET", "/api/v2/symbols"): Endpoint(public.symbols),
        ("GET", "/api/v3/currencies"): Endpoint(public.currencies),
        ("GET", "/api/v1/market/candles"): Endpoint(public.candles),
        ("GET", "/api/v1/market/histories"): Endpoint(public.trades),
        ("GET", "/api/v1/market/stats"): Endpoint(public.stats),
        ("GET", "/api/v1/market/orderbook/level2_100"): Endpoint(public.book),
        ("GET", "/api/v1/hf/accounts/opened"): Endpoint(private=private.opened),
        ("GET", "/api/ua/v1/account/mode"): Endpoint(private=private.mode),
        ("GET", "/api/v3/margin/symbols"): Endpoint(private=private.cross_symbols),
        ("GET", "/api/v1/isolated/symbols"): Endpoint(private=private.isolated_symbols),
        ("GET", "/api/v1/accounts"): Endpoint(private=private.accounts),
        ("GET", "/api/v1/trade-fees"): Endpoint(private=private.trade_fees),
        ("GET", "/api/v1/user/api-key"): Endpoint(private=private.api_key),
        ("POST", "/api/v1/hf/orders"): Endpoint(private=private.place, changes="order"),
        ("POST", "/api/v1/hf/orders/sync"): Endpoint(private=private.place_sync, changes="order"),
        ("DELETE", "/api/v1/hf/orders/client-order/"): cancel,
        ("DELETE", "/api/v1/hf/orders/sync/client-order/"): Endpoint(
            private=private.cancel_sync, changes="cancel"
        ),
        ("GET", "/api/v1/hf/orders/client-order/"): order,
        ("GET", "/api/v1/hf/orders/active"): Endpoint(private=private.active),
        ("GET", "/api/v1/hf/orders/done"): Endpoint(private=private.done),
        ("GET", "/api/v1/hf/fills"): Endpoint(private=private.fills),
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
        tokens: Tokens,
    ) -> None:
        self._exchange = exchange
        self._endpoints = endpoints
        self._limits = limits
        self._hub = hub
        self._fates = fates
        self._wall = wall
        self._tokens = tokens

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        envelope: dict[str, object]
        try:
            found = self._answered(request, await _read_body(request))
            status, envelope = 200, {"code": "200000", "data": found}
        except errors.VenueError as error:
            status, envelope = error.status, {"code": str(error.code), "msg": error.msg}
        except Unanswered:
            status, envelope = 500, {}
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return web.Response(
            status=status,
            body=msgspec.json.encode(envelope),
            headers=headers | (self._pool() if _SIGNED in request.headers else {}),
        )

    def _pool(self) -> dict[str, str]:
        """What a signed answer says of its pool; the sandbox has one for all, which a minute fills again."""
        most, spent = self._limits.weight_limit, self._limits.weight
        return {
            "gw-ratelimit-limit": str(most),
            "gw-ratelimit-remaining": str(max(0, most - spent)),
            "gw-ratelimit-reset": str(_MINUTE_MS - self._wall.ms() % _MINUTE_MS),
        }

    def _answered(self, request: web.Request, body: bytes) -> object:
        path, _, query = request.raw_path.partition("?")
        if request.method == "POST" and path in (_BULLET + "public", _BULLET + "private"):
            self._spend("")
            owner = self._signer(request, body) if path.endswith("private") else None
            return self._tokens.give(owner, f"ws://{request.host}{SOCKETS}")
        endpoint, named = self._endpoint(request.method, path)
        self._spend(endpoint.changes)
        if endpoint.public is not None:
            return endpoint.public(Params(of_query(query)))
        account = self._signer(request, body)
        assert endpoint.private is not None
        params = Params((of_body(body) if request.method == "POST" else of_query(query)) | named)
        if endpoint.changes:
            return self._meet(endpoint.changes, endpoint.private, account, params)
        return endpoint.private(account, params)

    def _endpoint(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        endpoint = self._endpoints.get((method, path))
        if endpoint is not None and not path.endswith("/"):
            return endpoint, {}
        before, slash, name = path.rpartition("/")
        endpoint = self._endpoints.get((method, before + slash))
        if endpoint is None or not name:
            raise errors.no_such_route()
        return endpoint, {"clientOid": name}

    def _spend(self, changes: Change) -> None:
        if self._limits.spend(1, changes == "order", self._wall.ms()) is not None:
            raise errors.too_many()

    def _signer(self, request: web.Request, body: bytes) -> Account:
        return account_of(
            request.headers, request.method, request.raw_path, body, self._exchange.accounts, self._wall.ms()
        )

    def _meet(
        self, changes: Change, handle: Callable[[Account, Params], object], account: Account, params: Params
    ) -> object:
        fresh = partial(_check_deadline, params, self._wall)
        fresh()
        execute = partial(handle, account, params)
        named = params.get("clientOid")
        try:
            if changes == "cancel":
                return self._fates.meet_cancel(account, lambda: named or "", execute, fresh)
            return self._fates.meet(account, named, execute, fresh)
        except Throttled:
            raise errors.too_many() from None
        except Failed:
            raise errors.failed() from None


def _check_deadline(params: Params, wall: VenueClock) -> None:
    """Refuse an order that comes after the time within which its sender wanted it."""
    stamp, window = params.integer("clientTimestamp"), params.integer("allowMaxTimeWindow")
    if window is None:
        return
    if stamp is None:
        raise errors.empty("clientTimestamp")
    if stamp + window < wall.ms():
        raise errors.too_late()


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.VenueError(errors.PARAMETER, "Parameter Error", 413) from error
    except web.RequestPayloadError as error:
        raise errors.not_json() from error
