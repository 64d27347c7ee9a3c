"""REST over HTTP: questions on `/info`, signed actions on `/exchange`.

Not here: what they do. Invariant: no request, however broken, is answered with 5xx or ends the process,
unless `hostility` was asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.connections import StreamHub
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.hyperliquid import errors
from venues.sandbox.hyperliquid.actions import Json, Posted, read_object, read_posted
from venues.sandbox.hyperliquid.exchange_api import ExchangeApi
from venues.sandbox.hyperliquid.info_api import InfoApi
from venues.sandbox.hyperliquid.signing import Signers, check_fresh
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.wall import VenueClock


class RestServer:
    """Handles each HTTP request that is not a WebSocket handshake."""

    def __init__(
        self, info: InfoApi, orders: ExchangeApi, signers: Signers, limits: RateLimits, hub: StreamHub,
        fates: RequestFates, wall: VenueClock,
    ) -> None:  # fmt: skip
        self._info = info
        self._orders = orders
        self._signers = signers
        self._limits = limits
        self._hub = hub
        self._fates = fates
        self._wall = wall

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            response = _json(self._answered(request.method, request.path, await _read_body(request)))
        except errors.Malformed as error:
            response = web.Response(status=error.code, text=error.msg)
        except errors.Busy as error:
            response = web.Response(status=error.code, text="null")
        except errors.ActionError as error:
            response = _json({"status": "err", "response": error.msg})
        except Unanswered:
            response = web.Response(status=500)
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        return response

    def _answered(self, method: str, path: str, body: bytes) -> object:
        if method != "POST" or path not in ("/info", "/exchange"):
            raise errors.Busy(404)
        if path == "/info":
            query = read_object(body)
            self._spend(self._info.weight(query), is_order=False)
            return self._info.answer(query)
        posted = read_posted(body)
        self._spend(1, is_order=posted.action["type"] == "order")
        account = self._signers.signed(
            posted.action, posted.nonce, posted.expires, posted.signature, self._wall.ms()
        )
        return self._acted(account, posted)

    def _spend(self, weight: int, *, is_order: bool) -> None:
        if self._limits.spend(weight, is_order, self._wall.ms()) is not None:
            raise errors.Busy(429)

    def _acted(self, account: Account, posted: Posted) -> object:
        action = posted.action

        def fresh() -> None:
            check_fresh(posted.expires, self._wall.ms())

        if action["type"] == "order":
            rows = [self._placed(account, each, fresh) for each in action["orders"]]
            return _done("order", rows)
        return _done("cancel", [self._cancelled(account, each, fresh) for each in action["cancels"]])

    def _placed(self, account: Account, order: Json, fresh: Callable[[], None]) -> object:
        def execute() -> Json:
            return self._orders.place(account, order)

        return _row(lambda: self._fates.meet(account, order.get("c"), execute, fresh))

    def _cancelled(self, account: Account, cancel: Json, fresh: Callable[[], None]) -> object:
        def execute() -> str:
            return self._orders.cancel(account, cancel)

        return _row(lambda: self._fates.meet_cancel(account, lambda: str(cancel["cloid"]), execute, fresh))


def _row(meet: Callable[[], object]) -> object:
    try:
        return meet()
    except errors.OrderError as error:
        return {"error": error.msg}
    except Throttled:
        raise errors.Busy(429) from None
    except Failed:
        raise errors.Busy(500) from None


def _done(kind: str, rows: list[object]) -> object:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": rows}}}


def _json(answer: object) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(answer), headers={"Content-Type": "application/json; charset=utf-8"}
    )


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError) as error:
        raise errors.Malformed from error
