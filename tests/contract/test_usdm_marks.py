"""A real hub at an exchange of contracts: marks, funding rates and payment times as the exchange has them.

Not here: conflation (tests/unit/runtime/test_hub_marks.py), what a desk makes of them (tests/integration).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Mark, MarketBatch
from tests.kit.cut_line import cut_line
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import FakeDesk, hub_config, short_folder, unit
from tests.kit.usdm import usdm_client

pytestmark = pytest.mark.timeout(120)
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
IDS = {"BTCUSDT": BTC, "ETHUSDT": ETH}
HOURS = 20
FEED = {"kind": "synthetic", "candles": HOURS, "history": 30, "timeframe": "1h", "assets": ["BTC", "ETH"]}
EIGHT_HOURS = 8 * 3_600_000_000_000
RATE = "-0.00031000"


@contextlib.asynccontextmanager
async def exchange(**config: Any) -> AsyncIterator[tuple[SandboxProcess, Any]]:
    rates = {"funding_rates": {"BTCUSDT": RATE}}
    async with (
        sandbox(FEED, protocol="binanceusdm", perpetuals=rates, **config) as venue,
        usdm_client(venue) as client,
    ):
        yield venue, client


def settings(folder: Path, venue: SandboxProcess, **over: object) -> dict[str, object]:
    return hub_config(folder, venue, exchange="binanceusdm", symbols=[BTC, ETH], timeframe="1h", **over)


async def told(client: Any) -> dict[str, dict[str, str]]:
    """What the exchange says by REST, by symbol."""
    return {IDS[each["symbol"]]: each for each in await client.fapiPublicGetPremiumIndex()}


def test_each_step_brings_the_marks_and_rates_that_the_exchange_has() -> None:
    async def run() -> None:
        batches, rest = [], []
        with short_folder() as folder:
            async with exchange() as (venue, client), unit("hub", settings(folder, venue), folder) as hub:
                rest.append(await told(client))
                desk = await FakeDesk.connect(hub.socket)
                for n in range(HOURS):
                    await desk.until(lambda n=n: len(desk.of(MarketBatch)) > n)  # type: ignore[misc]
                    batches.append(desk.of(MarketBatch)[n])
                    rest.append(await told(client))  # the market stands still until the batch is closed
                    desk.say(f"closed:{n + 1}")
                desk.link.close("the test is over")

        for batch, before, now in zip(batches, rest, rest[1:], strict=False):
            assert [each.symbol for each in batch.marks] == [BTC, ETH]
            assert (batch.skipped, batch.gaps) == (0, ())
            for mark in batch.marks:
                assert mark.t == batch.t
                assert mark.px == float(now[mark.symbol]["markPrice"])
                # the moment's premium is sampled at its end: the rate is that of the moment before
                assert mark.rate == float(before[mark.symbol]["lastFundingRate"])
                assert mark.next_funding == int(now[mark.symbol]["nextFundingTime"]) * 10**6
                assert mark.next_funding == (batch.t // EIGHT_HOURS + 1) * EIGHT_HOURS
            assert batch.marks[0].rate == float(RATE)
        assert len({each.marks[0].next_funding for each in batches}) >= 3

    asyncio.run(run())


def test_marks_come_again_over_a_new_connection() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with exchange() as (venue, client), cut_line(venue.ws) as (line, address):
                config = settings(folder, venue, ws=address, lockstep=False, control="")
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    closed = 0

                    def marks() -> dict[str, Mark]:
                        nonlocal closed
                        for batch in desk.of(MarketBatch)[closed:]:
                            desk.say(f"closed:{batch.step}")
                            closed += 1
                        return {mark.symbol: mark for batch in desk.of(MarketBatch) for mark in batch.marks}

                    def are(rest: dict[str, dict[str, str]]) -> bool:
                        now = marks()
                        return set(now) == set(rest) and all(
                            now[each].px == float(rest[each]["markPrice"]) for each in rest
                        )

                    # before the market moves there is one already
                    start = await told(client)
                    await desk.until(lambda: are(start))
                    driver = await venue.control()
                    await driver.go()
                    line.cut()
                    await driver.steps(3)
                    line.mend()
                    moved = await told(client)
                    assert not are(moved)
                    await desk.until(lambda: are(moved))
                    notes = {text for batch in desk.of(MarketBatch) for text in batch.gaps}
                    assert notes & {"mark: connection lost", "socket: connection replaced"}
                    announced = [(await driver.steps(1))["marks"] for _ in range(2)]
                    assert 0 < announced[0]["BTCUSDT"]["mark"] < announced[1]["BTCUSDT"]["mark"]
                    desk.link.close("the test is over")
                    await driver.hang_up()

    asyncio.run(run())


def test_a_desk_that_comes_back_is_told_the_marks_again() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with exchange() as (venue, _):
                config = settings(folder, venue, lockstep=False, control="", desk_returns_s=20.0)
                async with unit("hub", config, folder) as hub:
                    first = await FakeDesk.connect(hub.socket)
                    await first.until(lambda: any(each.marks for each in first.of(MarketBatch)))
                    first.link.close("killed")
                    again = await FakeDesk.connect(hub.socket)
                    again.say('have:{"step":0}')
                    await again.until(lambda: bool(again.of(MarketBatch)))
                    batch = again.of(MarketBatch)[0]
                    assert [each.symbol for each in batch.marks] == [BTC, ETH]
                    again.link.close("the test is over")

    asyncio.run(run())
