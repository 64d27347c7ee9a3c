"""An adapter of ours, connected to an exchange that speaks as its venue, and what is heard from it.

Not here: what a test expects; adapters without a venue of their own (`tests.kit.generic`). Invariant: the
adapter is made as a gateway makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from parley.messages import Fill, Intent, OrderEvent
from tests.kit.sandbox import SandboxProcess
from tests.kit.venues import VENUES, Orders, SpotVenue
from venues.adapters import ADAPTERS, venue_of
from venues.ccxt_venue import CcxtVenue
from venues.words import Account

WINDOW_MS = 5000
_PATIENCE_S = 20.0


@dataclass
class Adapted:
    """An exchange, an adapter connected to it, and orders for it."""

    at: SpotVenue
    process: SandboxProcess
    venue: CcxtVenue
    orders: Orders

    def placed(self) -> list[dict[str, Any]]:
        """The exchange's lines of orders that it took."""
        return [line for line in self.process.truth("order") if line["order_id"]]


@contextlib.asynccontextmanager
async def adapter(exchange: str, *, window_ms: int = WINDOW_MS, **config: Any) -> AsyncIterator[Adapted]:
    """Run an exchange and connect an adapter of its account."""
    at = VENUES[exchange]
    async with at.sandbox(**config) as process, speaking(at, process, process.ws, window_ms) as venue:
        yield Adapted(at, process, venue, Orders(at, await at.last_price(process, at.btc)))


@contextlib.asynccontextmanager
async def speaking(
    at: SpotVenue, process: SandboxProcess, ws: str, window_ms: int = WINDOW_MS
) -> AsyncIterator[CcxtVenue]:
    """Connect an adapter to an exchange that runs."""
    client = ADAPTERS[at.name].make_client(process.rest, ws, recv_window_ms=window_ms, **at.keys)
    account = Account(name="main", venue=at.name, symbols=(at.btc, f"ETH/{at.quote}"))
    venue = venue_of(at.name, client, account, recv_window_ms=window_ms, lag_ms=0)
    try:
        await venue.connect()
        yield venue
    finally:
        await venue.close()


@contextlib.asynccontextmanager
async def following(venue: CcxtVenue) -> AsyncIterator[list[Any]]:
    """Follow the private stream; what it tells comes with it."""
    facts: list[Any] = []
    ready = asyncio.Event()
    task = asyncio.create_task(venue.follow(facts.append, ready.set))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await ready.wait()
        yield facts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def heard(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def statuses(facts: list[Any], intent: Intent) -> list[str]:
    """Return the states of an order that were told, in order."""
    return [each.status for each in facts if isinstance(each, OrderEvent) and each.iid == intent.iid]


def fills(facts: list[Any], intent: Intent) -> list[Fill]:
    """Return the executions of an order that were told."""
    return [each for each in facts if isinstance(each, Fill) and each.iid == intent.iid]
