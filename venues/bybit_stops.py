"""How Bybit spot holds a stop: a "TP/SL order" that waits, and goes on as itself when it is set off.

Problem: nothing says which way the price has to go. Bybit compares the trigger with the last price when the
order arrives, so that a stop the market is already beyond becomes an order that waits for it to come back,
and guards nothing (https://github.com/ccxt/ccxt/issues/19000; ``triggerDirection`` is for contracts). So the
last price is asked before, and who is beyond it hears what other venues say. The time for that comes out of
the request's own deadline. Between that answer and the order's arrival the price may still move; a desk that
lives leaves when the market is through the limit.

https://bybit-exchange.github.io/docs/v5/order/create-order: such an order (``tpslOrder``) ties up what it
sells, as Binance's does; a ``StopOrder`` does not, and may find nothing to sell. In a unified account it
keeps its number and our id when it is set off. It is listed among all others, but only cancelled by who says
what it is, until it is set off; whether after that is not documented, so both are tried.

Not here: what stops are placed (`orchestrator.guarding`), reading an order (`bybit_orders`).

Invariant: at most one request changes anything: a second cancel follows only on an answer that the first
found nothing; no stop is sent later than its deadline allows, counted from the call.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.execution.protective import is_reached
from parley.messages import CancelIntent, Intent
from venues.bybit_orders import STOPS, verdict
from venues.ccxt_client import MS, exact
from venues.port import NOT_FOUND, Rejected
from venues.words import UnsentError

_CREATE: Final = ("v5/order/create", ["private"], "POST")
_PRICE_SHARE: Final = 4  # of the time that a request has, one part in so many may go on asking for the price
Raw = Mapping[str, Any]


class BeyondError(Exception):
    """The market is beyond the trigger of a stop: nothing was sent."""


class BybitStops:
    """The stops of one account; remembers their client ids, and those of other orders."""

    def __init__(self, client: Any, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._client = client
        self._clock = clock
        self._window_ms = 0  # read when the first stop is placed, before anything changes it
        self._cids: set[str] = set()
        self._plain: set[str] = set()

    def learn(self, intent: Intent) -> None:
        """Remember whether an id is a stop's."""
        (self._plain if intent.trigger is None else self._cids).add(intent.cid)

    async def place(self, intent: Intent, request: Raw) -> Raw:
        """Place a stop.

        Raises
        ------
        BeyondError
            When the market is beyond its trigger, so that it was not sent.
        """
        self.learn(intent)
        self._window_ms = self._window_ms or int(self._client.options["recvWindow"])
        began = self._clock()
        last = await self._last_price(str(request["symbol"]))
        if last is not None and intent.trigger is not None and is_reached(intent.side, intent.trigger, last):
            raise BeyondError(f"trigger {intent.trigger}, the last price is {last}")
        left_ms = self._window_ms - math.ceil((self._clock() - began) / MS)
        if left_ms <= self._window_ms // 2:
            raise UnsentError(f"stop {intent.cid}: its time was over before the price was known")
        # signed by itself, for only then is this time nobody else's
        self._client.options["recvWindow"] = left_ms
        try:
            signed = self._client.sign(*_CREATE, request)
        finally:
            self._client.options["recvWindow"] = self._window_ms
        placed: Raw = await self._client.fetch(
            signed["url"], signed["method"], signed["headers"], signed["body"]
        )
        return placed

    async def cancel(self, intent: CancelIntent, request: Raw) -> Raw:
        """Cancel an order that may be a stop, and first as one if it is known for one.

        One that is known for none is asked for once: what a kill takes back must not use up the limit.
        """
        ask = self._client.privatePostV5OrderCancel
        if intent.cid in self._plain:
            once: Raw = await ask(request)
            return once
        kinds: tuple[Raw, Raw] = ({}, STOPS)
        first, second = reversed(kinds) if intent.cid in self._cids else kinds
        try:
            gone: Raw = await ask({**request, **first})
        except ccxt.BaseError as error:
            said = verdict(error)
            if not isinstance(said, Rejected) or said.code != NOT_FOUND:
                raise
            gone = await ask({**request, **second})
        return gone

    async def _last_price(self, symbol: str) -> Decimal | None:
        """Ask what was paid last; None when nobody says it in time: the gate has looked at it before."""
        try:
            async with asyncio.timeout(self._window_ms / 1000 / _PRICE_SHARE):
                answer = await self._client.publicGetV5MarketTickers({"category": "spot", "symbol": symbol})
            return exact(answer["result"]["list"][0]["lastPrice"])
        except (TimeoutError, ccxt.BaseError, LookupError, TypeError, ValueError, ArithmeticError):
            return None
