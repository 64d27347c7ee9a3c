"""Follow an account's orders and fills through ccxt.pro's caches, whatever the venue.

Problem: a `watch_*` call wakes for one message, and a message between two calls wakes nobody; but ccxt's
caches hold every message in between. So the caches are read when a call wakes and by the clock.

Not here: what a venue's fields mean (each adapter), what a gap leads to (the gateway).

Invariant: fills are told before the order's state that holds them; a lost connection is told as a `Gap`; no
message is told twice, except after a reconnect.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import ccxt

from parley.messages import Fill, Gap, OrderEvent
from venues.port import OnFact

log = logging.getLogger(__name__)

_SWEEP_S: Final = 0.05
_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_MOST_S: Final = 30.0
Raw = Mapping[str, Any]


class Reading(NamedTuple):
    """How a venue's raw messages are read.

    ``version`` differs between two states of one order; the others give None for what is not ours.
    """

    version: Callable[[Raw], tuple[str, ...]]
    event: Callable[[Raw], OrderEvent | None]
    fill: Callable[[Raw], Fill | None]


class UserStream:
    """Orders and fills of one account; ``last_seq`` is the venue's number of the newest message read."""

    def __init__(self, client: Any, reading: Reading, last_seq: Callable[[], int]) -> None:
        self._client = client
        self._reading = reading
        self._last_seq = last_seq
        self._last_trade: Any = None
        self._told: dict[str, tuple[str, ...]] = {}

    async def follow(
        self, stands: Callable[[], Awaitable[bool]], on_fact: OnFact, on_ready: Callable[[], None]
    ) -> None:
        """Tell facts until cancelled; `on_ready` once when `stands` says that the venue confirmed."""
        watching = [
            asyncio.ensure_future(self._listen(watch, on_fact))
            for watch in (self._client.watch_orders, self._client.watch_my_trades)
        ]
        try:
            while not await stands():
                await asyncio.sleep(_SWEEP_S / 10)
            on_ready()
            while True:
                await asyncio.sleep(_SWEEP_S)
                self.sweep(on_fact)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _listen(self, watch: Callable[[], Awaitable[object]], on_fact: OnFact) -> None:
        pause = _BACKOFF_FIRST_S
        while True:
            try:
                await watch()
                pause = _BACKOFF_FIRST_S
                self.sweep(on_fact)
            except ccxt.BaseError as error:
                log.warning("user_stream_lost cause=%r retry_s=%s", error, pause)
                on_fact(Gap(stream="user", from_seq=self._last_seq(), to_seq=-1))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _BACKOFF_MOST_S)

    def sweep(self, on_fact: OnFact) -> None:
        """Tell what is in the caches and was not told."""
        # Trades first: whoever hears that an order is closed has heard of its fills.
        for raw in self._new_trades():
            if (fill := self._reading.fill(raw)) is not None:
                on_fact(fill)
        for raw in self._new_orders():
            if (event := self._reading.event(raw)) is not None:
                on_fact(event)

    def _new_orders(self) -> list[Raw]:
        cache = self._client.orders
        found = []
        # ccxt moves an order to the end with every update, so the new ones are the tail.
        for order in reversed(cache) if cache is not None else ():
            raw = order["info"]
            version = self._reading.version(raw)
            if self._told.get(order["id"]) == version:
                break
            self._told[order["id"]] = version
            found.append(raw)
        return found[::-1]

    def _new_trades(self) -> list[Raw]:
        cache = self._client.myTrades
        found = []
        for trade in reversed(cache) if cache is not None else ():
            if trade is self._last_trade:
                break
            found.append(trade)
        if found:
            self._last_trade = found[0]
        return [trade["info"] for trade in reversed(found)]
