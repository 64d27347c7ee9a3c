"""REST over HTTP: find the endpoint, check who asks, run the handler, put the answer into OKX's envelope.

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
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.okx import errors
from venues.sandbox.okx.algo_api import AlgoApi
from venues.sandbox.okx.dead_man_api import DeadManApi
from venues.sandbox.okx.params import Params, of_batch, of_body, of_query
from venues.sandbox.okx.private_api import PrivateApi
from venues.sandbox.okx.public_api import PublicApi
from venues.sandbox.okx.signing import account_of, check_deadline, check_stamp
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.wall import VenueClock

_ROOT = "/api/v5"
_TOO_MANY = 429
Change = Literal["", "order", "cancel"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of `public` and `private` is set; `changes` says what it does to orders, `many` that to a list.

    Without ``has_deadline`` only the time stamp of the request says when it is too late.
    """

    public: Callable[[Params], list[object]] | None = None
    private: Callable[[Account, Params], list[object]] | None = None
    changes: Change = ""
    many: bool = False
    has_deadline: bool = True


def endpoints_of(
    public: PublicApi, private: PrivateApi, algos: AlgoApi, dead_man: DeadManApi
) -> dict[tuple[str, str], Endpoint]:
    """Endpoints by method and path."""
    return {
        ("GET", "/public/time"): Endpoint(public.time),
        ("GET", "/public/instruments"): Endpoint(public.instruments),
        ("GET", "/market/candles"): Endpoint(public.candles),
        ("GET", "/market/history-candles"): Endpoint(public.candles),
        ("GET", "/market/trades"): Endpoint(public.trades),
        ("GET", "/market/ticker"): Endpoint(public.ticker),
        ("GET", "/market/tickers"): Endpoint(public.tickers),
        ("GET", "/market/books"): Endpoint(public.books),
        ("POST", "/trade/order"): Endpoint(private=private.place, changes="order"),
        ("POST", "/trade/batch-orders"): Endpoint(private=private.place, changes="order", many=True),
        ("POST", "/trade/cancel-order"): Endpoint(private=private.cancel, changes="cancel"),
        ("POST", "/trade/cancel-batch-orders"): Endpoint(private=private.cancel, changes="cancel", many=True),
        ("POST", "/trade/order-algo"): Endpoint(private=algos.place, changes="order", has_deadline=False),
        ("POST", "/trade/cancel-algos"): Endpoint(
            private=algos.cancel, changes="cancel", many=True, has_deadline=False
        ),
        ("GET", "/trade/order-algo"): Endpoint(private=algos.order),
        ("GET", "/trade/orders-algo-pending"): Endpoint(private=algos.pending),
        ("GET", "/trade/orders-algo-history"): Endpoint(private=algos.history),
        ("POST", "/trade/cancel-all-after"): Endpoint(private=dead_man.cancel_all_after),
        ("GET", "/trade/order"): Endpoint(private=private.order),
        ("GET", "/trade/orders-pending"): Endpoint(private=private.pending),
        ("GET", "/trade/orders-history"): Endpoint(private=private.history),
        ("GET", "/trade/fills"): Endpoint(private=private.fills),
        ("GET", "/trade/fills-history"): Endpoint(private=private.fills_history),
        ("GET", "/account/balance"): Endpoint(private=private.balance),
        ("GET", "/account/config"): Endpoint(private=private.config),
        ("GET", "/account/trade-fee"): Endpoint(private=private.trade_fee),
        ("GET", "/asset/currencies"): Endpoint(private=private.currencies),
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """What an envelope is made of."""

    code: int
    msg: str
    data: list[object]
    status: int = 200


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
        try:
            answer = self._answered(request, await _read_body(request))
        except errors.OrderError as error:
            answer = Answer(1, "Operation failed.", [self._refused(None, error)])
        except errors.VenueError as error:
            answer = Answer(error.code, error.msg, [], error.status)
        except Unanswered:
            answer = Answer(50026, "", [], 500)
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        envelope = {"code": str(answer.code), "msg": answer.msg, "data": answer.data}
        return web.Response(
            status=answer.status,
            body=msgspec.json.encode(envelope),
            headers={"Content-Type": "application/json; charset=utf-8"},
        )

    def _answered(self, request: web.Request, body: bytes) -> Answer:
        path, _, query = request.raw_path.partition("?")
        endpoint = self._endpoints.get((request.method, path.removeprefix(_ROOT)))
        if endpoint is None or not path.startswith(_ROOT + "/"):
            raise errors.no_such_route()
        if self._limits.spend(1, endpoint.changes == "order", self._wall.ms()) is not None:
            raise errors.too_many()
        if endpoint.public is not None:
            return Answer(0, "", endpoint.public(Params(of_query(query))))
        account = account_of(
            request.headers, request.method, request.raw_path, body, self._exchange.accounts, self._wall.ms()
        )
        deadline = request.headers.get("expTime") if endpoint.has_deadline else None
        if endpoint.changes:
            check_deadline(deadline, self._wall.ms())
            every = of_batch(body) if endpoint.many else [of_body(body)]
            stamp = request.headers["OK-ACCESS-TIMESTAMP"]

            def fresh() -> None:
                check_stamp(stamp, self._wall.ms())
                check_deadline(deadline, self._wall.ms())

            return self._changed(endpoint, account, [Params(each) for each in every], fresh)
        assert endpoint.private is not None
        params = Params(of_body(body) if request.method == "POST" else of_query(query))
        return Answer(0, "", endpoint.private(account, params))

    def _changed(
        self, endpoint: Endpoint, account: Account, every: list[Params], fresh: Callable[[], None]
    ) -> Answer:
        rows: list[object] = []
        refused = 0
        for params in every:
            try:
                rows += self._meet(endpoint, account, params, fresh)
            except errors.VenueError as error:
                # in a list an order that cannot be read fails alone; hostility concerns the whole request
                if error.status >= _TOO_MANY or not (endpoint.many or isinstance(error, errors.OrderError)):
                    raise
                rows.append(self._refused(params, error))
                refused += 1
        if not refused:
            return Answer(0, "", rows)
        return Answer(1 if refused == len(every) else 2, "Operation failed.", rows)

    def _meet(
        self, endpoint: Endpoint, account: Account, params: Params, fresh: Callable[[], None]
    ) -> list[object]:
        handle = endpoint.private
        assert handle is not None

        def execute() -> list[object]:
            return handle(account, params)

        try:
            if endpoint.changes == "cancel":
                found = self._fates.meet_cancel(account, lambda: self._named(params), execute, fresh)
            else:
                found = self._fates.meet(account, _client_id(params), execute, fresh)
        except Throttled:
            raise errors.too_many() from None
        except Failed:
            raise errors.VenueError(50026, "System error. Try again later.", 500) from None
        assert isinstance(found, list)
        return found

    def _refused(self, params: Params | None, error: errors.VenueError) -> object:
        return {
            "ordId": "",
            "clOrdId": (params.get("clOrdId") if params else None) or "",
            "algoId": "",
            "algoClOrdId": (params.get("algoClOrdId") if params else None) or "",
            "tag": (params.get("tag") if params else None) or "",
            "ts": str(self._exchange.clock),
            "sCode": str(error.code),
            "sMsg": error.msg,
        }

    def _named(self, params: Params) -> str:
        """The client id of the order that a cancel names."""
        number = params.get("ordId") or ""
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        order = self._exchange.orders.get(int(number)) if is_number else None
        return order.request.client_order_id if order else _client_id(params) or ""


def _client_id(params: Params) -> str | None:
    return params.get("clOrdId") or params.get("algoClOrdId")


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.VenueError(50002, "JSON syntax error", 413) from error
    except web.RequestPayloadError as error:
        raise errors.not_json() from error
