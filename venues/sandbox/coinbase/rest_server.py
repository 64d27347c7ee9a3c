"""REST over HTTP: find the endpoint, check the token, run the handler, answer in Coinbase's shapes.

Not here: what endpoints do. Invariant: no request, however broken, is answered with 5xx or ends the process,
unless `hostility` was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from venues.sandbox.accounts import Account
from venues.sandbox.coinbase import errors
from venues.sandbox.coinbase.bodies import Body
from venues.sandbox.coinbase.params import Query, of_body
from venues.sandbox.coinbase.private_api import PrivateApi
from venues.sandbox.coinbase.public_api import PublicApi
from venues.sandbox.coinbase.signing import Keyring, token_of
from venues.sandbox.connections import StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.requests import Failed, RequestFates, Throttled, Unanswered
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.wall import VenueClock

_ROOT = "/api/v3/brokerage"
_PRODUCT = f"{_ROOT}/market/products/"
_HISTORICAL = f"{_ROOT}/orders/historical/"
_MOST_CANCELS = 100
Answer = tuple[int, Body]


class RestServer:
    """Handles each HTTP request that is not a WebSocket handshake."""

    def __init__(
        self,
        exchange: Exchange,
        public: PublicApi,
        private: PrivateApi,
        keyring: Keyring,
        limits: RateLimits,
        hub: StreamHub,
        fates: RequestFates,
        wall: VenueClock,
    ) -> None:
        self._exchange = exchange
        self._public_api = public
        self._private_api = private
        self._keyring = keyring
        self._limits = limits
        self._hub = hub
        self._fates = fates
        self._wall = wall
        self._public: dict[str, Callable[[Query], Body]] = {
            f"{_ROOT}/time": public.time,
            f"{_ROOT}/market/products": public.products,
            f"{_ROOT}/market/product_book": public.book,
            "/v2/currencies": public.currencies,
            "/v2/currencies/crypto": public.currencies,
            "/v2/exchange-rates": public.exchange_rates,
        }
        self._private: dict[str, Callable[[Account, Query], Body]] = {
            f"{_HISTORICAL}batch": private.batch,
            f"{_HISTORICAL}fills": private.fills,
            f"{_ROOT}/accounts": private.accounts,
            f"{_ROOT}/transaction_summary": private.summary,
            f"{_ROOT}/key_permissions": private.permissions,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            status, body = self._answered(request, await _read_body(request))
        except errors.VenueError as error:
            status, body = error.code, _refused(error)
        except Unanswered:
            status, body = 500, {}
            if request.transport is not None:
                request.transport.close()
        self._hub.flush()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return web.Response(status=status, body=msgspec.json.encode(body), headers=headers)

    def _answered(self, request: web.Request, body: bytes) -> Answer:
        path, _, rest = request.raw_path.partition("?")
        is_order = (request.method, path) == ("POST", f"{_ROOT}/orders")
        if self._limits.spend(1, is_order, self._wall.ms()) is not None:
            raise errors.too_many()
        if request.method == "GET":
            return 200, self._asked(request, path, Query(rest))
        is_cancel = path == f"{_ROOT}/orders/batch_cancel"
        if request.method != "POST" or not (is_order or is_cancel):
            raise errors.not_found("address")
        account, ends = self._signed(request, path)
        values = of_body(body)

        def fresh() -> None:
            if self._wall.ms() >= ends * 1000:
                raise errors.unauthorized()

        try:
            if is_order:
                return 200, self._placed(account, values, fresh)
            return 200, self._cancelled(account, values, fresh)
        except Throttled:
            raise errors.too_many() from None
        except Failed:
            raise errors.failed() from None

    def _asked(self, request: web.Request, path: str, query: Query) -> Body:
        if (public := self._public.get(path)) is not None:
            return public(query)
        if path.startswith(_PRODUCT):
            name, _, what = path.removeprefix(_PRODUCT).partition("/")
            if what in ("candles", "ticker"):
                api = self._public_api
                return api.candles(name, query) if what == "candles" else api.ticker(name, query)
            raise errors.not_found("address")
        if (private := self._private.get(path)) is not None:
            return private(self._signed(request, path)[0], query)
        if path.startswith(_HISTORICAL):
            account, _ = self._signed(request, path)
            return self._private_api.order(account, path.removeprefix(_HISTORICAL), query)
        raise errors.not_found("address")

    def _signed(self, request: web.Request, path: str) -> tuple[Account, int]:
        token = token_of(request.headers)
        found = self._keyring.account_of(token, f"{request.method} {path}", self._wall.ms())
        if found is None:
            raise errors.unauthorized()
        return found

    def _placed(self, account: Account, values: Mapping[str, Any], fresh: Callable[[], None]) -> Body:
        client_id = values.get("client_order_id")
        name = client_id if isinstance(client_id, str) else ""
        try:
            found = self._fates.meet(account, name, lambda: self._private_api.place(account, values), fresh)
        except errors.OrderError as error:
            return {
                "success": False,
                "failure_reason": "UNKNOWN_FAILURE_REASON",
                "order_id": "",
                "error_response": {
                    "error": error.reason,
                    "message": error.text,
                    "error_details": "",
                    "preview_failure_reason": f"PREVIEW_{error.reason}",
                    "new_order_failure_reason": error.reason,
                },
                "order_configuration": values.get("order_configuration"),
            }
        assert isinstance(found, dict)
        return found

    def _cancelled(self, account: Account, values: Mapping[str, Any], fresh: Callable[[], None]) -> Body:
        numbers = values.get("order_ids")
        if (
            not isinstance(numbers, list)
            or not 0 < len(numbers) <= _MOST_CANCELS
            or not all(isinstance(each, str) for each in numbers)
        ):
            raise errors.invalid("order_ids")
        results = []
        for number in numbers:

            def execute(number: str = number) -> object:
                return self._private_api.cancel(account, number)

            def named(number: str = number) -> str:
                is_number = number.isascii() and number.isdigit() and len(number) < 19
                order = self._exchange.orders.get(int(number)) if is_number else None
                return order.request.client_order_id if order else ""

            results.append(self._fates.meet_cancel(account, named, execute, fresh))
        return {"results": results}


def _refused(error: errors.VenueError) -> Body:
    if error.code in (401, 429):
        return {"errors": [{"id": error.error, "message": error.msg}]}
    return {"error": error.error, "error_details": error.msg, "message": error.msg}


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError) as error:
        raise errors.invalid("body") from error
