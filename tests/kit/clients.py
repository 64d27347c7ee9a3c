"""Unmodified ccxt.pro clients at a sandbox, for stories of what ccxt sees there.

Not here: the clients (`tests.kit.okx` and its like). Invariant: who shares an exchange
has an account of its own there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.kit.sandbox import SandboxProcess
from tests.kit.shared_stage import shared
from tests.kit.venues import VENUES

BTC = "BTC/USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]


def with_client(at: str, scenario: Scenario, **config: Any) -> None:
    """Run a scenario at an exchange of its own."""

    async def run() -> None:
        async with VENUES[at].sandbox(**config) as venue, VENUES[at].client(venue) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


@contextlib.contextmanager
def still(at: str, *owners: str) -> Iterator[SandboxProcess]:
    """Run an exchange whose market stands still, with accounts by their names."""
    account = VENUES[at].account
    accounts = [{**account, "name": name, "api_key": name} for name in owners]
    with shared(VENUES[at].sandbox(accounts=accounts)) as running:
        yield running.stage


def as_owner(at: str, name: str, venue: SandboxProcess, scenario: Scenario) -> None:
    """Run a scenario with the account of that name at an exchange that others use too."""

    async def run() -> None:
        async with VENUES[at].client(venue, key=name) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def truth_of(venue: SandboxProcess, name: str, event: str) -> list[dict[str, Any]]:
    """Return the truth log's lines of one account."""
    return [line for line in venue.truth(event) if line["account"] == name]


def named(client_order_id: str, **more: Any) -> dict[str, Any]:
    """Return an order's parameters with a client order id."""
    return {"clientOrderId": client_order_id, **more}


async def last_price(exchange: Any) -> float:
    """Ask what was paid last."""
    price: float = (await exchange.fetch_ticker(BTC))["last"]
    return price


@contextlib.asynccontextmanager
async def followed(**watches: Callable[[], Awaitable[Any]]) -> AsyncIterator[dict[str, list[Any]]]:
    """Follow streams by ccxt's methods; what they tell comes under their names."""
    news: dict[str, list[Any]] = {name: [] for name in watches}

    async def follow(name: str) -> None:
        while True:
            heard = await watches[name]()
            news[name].extend(heard if isinstance(heard, list) else [heard])

    following = [asyncio.create_task(follow(name)) for name in watches]
    try:
        yield news
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def filled_in_parts(venue: SandboxProcess) -> None:
    """Let the market move until an order that rests was met twice."""
    control = await venue.control()
    await control.go()
    fills = 0
    for _ in range(40):
        fills = (await control.steps(1))["fills"]
        if fills >= 2:
            break
    assert fills >= 2


def assert_told(venue: SandboxProcess, news: dict[str, list[Any]], found: Any) -> None:
    """What was told of the one order there is, and of its fills as a maker, is what it says when asked."""
    name = found["clientOrderId"]
    assert {report["clientOrderId"] for report in news["orders"]} == {name}
    assert news["orders"][-1]["filled"] == found["filled"] > 0
    assert [fill["takerOrMaker"] for fill in news["fills"]] == ["maker"] * len(news["fills"])
    assert sum(fill["amount"] for fill in news["fills"]) == pytest.approx(found["filled"])
    truth = [line for line in venue.truth("trade") if line["client_order_id"] == name]
    assert [str(line["trade_id"]) for line in truth] == [fill["id"] for fill in news["fills"]]
