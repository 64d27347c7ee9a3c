"""REST over HTTP: find the endpoint, check who asks, run the handler, put the answer into Kraken's envelope.

Not here: what endpoints do. Invariant: no request, however broken, is answered with 5xx or ends the process,
unless `hostility` was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.connections import StreamHub
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.kraken import errors
from venues.sandbox.kraken.bodies import Body
from venues.sandbox.kraken.params import Params, of_form
from venues.sandbox.kraken.private_api import PrivateApi
from venues.sandbox.kraken.public_api import PublicApi
from venues.sandbox.kraken.shut import TOO_MUCH
from venues.sandbox.kraken.signing import Keys
from venues.sandbox.rate_limits import Excess, RateLimits
from venues.sandbox.wall import VenueClock

_ROOT = "/0"
_NEAREST_MS, _FARTHEST_MS = 2_000, 60_000
Change = Literal["", "order", "cancel"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of `public` and `private` is set; `changes` says what it does to orders."""

    public: Callable[[Params], Body] | None = None
    private: Callable[[Account, Params], Body] | None = None
    changes: Change = ""


def endpoints_of(public: PublicApi, private: PrivateApi) -> dict[tuple[str, str], Endpoint]:
    """Endpoints by method and path."""
    return {
        ("GET", "/public/Time"): Endpoint(public.time),
        ("GET", "/public/Assets"): Endpoint(public.assets),
        ("GET", "/public/AssetPairs"): Endpoint(public.pairs),
        ("GET", "/public/OHLC"): Endpoint(public.candles),
        ("GET", "/public/Trades"): Endpoint(public.trades),
        ("GET", "/public/Ticker"): Endpoint(public.ticker),
        ("GET", "/public/Depth"): Endpoint(public.depth),
        ("POST", "/private/AddOrder"): Endpoint(private=private.place, changes="order"),
        ("POST", "/private/CancelOrder"): Endpoint(private=private.cancel, changes="cancel"),
        ("POST", "/private/OpenOrders"): Endpoint(private=private.open_orders),
        ("POST", "/private/ClosedOrders"): Endpoint(private=private.closed_orders),
        ("POST", "/private/QueryTrades"): Endpoint(private=private.trades),
        ("POST", "/private/TradesHistory"): Endpoint(private=private.history),
        ("POST", "/private/Balance"): Endpoint(private=private.balance),
        ("POST", "/private/TradeVolume"): Endpoint(private=private.volume),
        ("POST", "/private/GetApiKeyInfo"): Endpoint(private=private.key_info),
        ("POST", "/private/GetWebSocketsToken"): Endpoint(private=private.token),
    }


class RestServer:
    """Handles each HTTP request that is not a WebSocket handshake."""

    def __init__(
        self,
        endpoints: dict[tuple[str, str], Endpoint],
        keys: Keys,
        named: Callable[[Account, Params], str],
        limits: RateLimits,
        hub: StreamHub,
        fates: RequestFates,
        wall: VenueClock,
    ) -> None:
        self._endpoints = endpoints
        self._keys = keys
        self._named = named
        self._limits = limits
        self._hub = hub
        self._fates = fates
        self._wall = wall

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        status = 200
        try:
            answer: Body = {"error": [], "result": self._answered(request, await _read_body(request))}
        except errors.VenueError as error:
            answer, status = {"error": [error.msg]}, error.status
        except Unanswered:
            answer, status = {"error": ["EGeneral:Internal error"]}, 500
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        return web.Response(
            status=status, body=msgspec.json.encode(answer), headers={"Content-Type": "application/json"}
        )

    def _answered(self, request: web.Request, body: bytes) -> Body:
        path, _, query = request.raw_path.partition("?")
        endpoint = self._endpoints.get((request.method, path.removeprefix(_ROOT)))
        if endpoint is None or not path.startswith(_ROOT + "/"):
            raise errors.unknown_method()
        match self._limits.spend(1, endpoint.changes == "order", self._wall.ms()):
            case Excess.WEIGHT:
                raise errors.VenueError("EAPI:Rate limit exceeded", TOO_MUCH)
            case Excess.ORDERS:
                raise errors.VenueError("EOrder:Rate limit exceeded", TOO_MUCH)
        if endpoint.public is not None:
            return endpoint.public(Params(of_form(query)))
        account, form = self._keys.account_of(request.headers, path, body)
        params, handle = Params(form), endpoint.private
        assert handle is not None
        if not endpoint.changes:
            return handle(account, params)
        return self._meet(endpoint, account, params, lambda: handle(account, params))

    def _meet(
        self, endpoint: Endpoint, account: Account, params: Params, execute: Callable[[], Body]
    ) -> Body:
        until_ms = params.moment_ms("deadline") if endpoint.changes == "order" else None
        if until_ms is not None:
            left_ms = until_ms - self._wall.ms()
            if left_ms < 0:
                raise errors.too_late()
            if not _NEAREST_MS <= left_ms <= _FARTHEST_MS:
                raise errors.bad_arguments("deadline")

        def fresh() -> None:
            if until_ms is not None and self._wall.ms() > until_ms:
                raise errors.too_late()

        try:
            if endpoint.changes == "cancel":
                found = self._fates.meet_cancel(account, lambda: self._named(account, params), execute, fresh)
            else:
                found = self._fates.meet(account, params.get("cl_ord_id"), execute, fresh)
        except Throttled:
            raise errors.too_many_orders() from None
        except Failed:
            raise errors.internal() from None
        assert isinstance(found, dict)
        return found


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.VenueError("EGeneral:Invalid arguments", 413) from error
    except web.RequestPayloadError as error:
        raise errors.bad_arguments() from error
