"""Stops at other spot exchanges through a real gateway: found again by the next one, and refused in one word.

Not here: what all stops share (test_gateway_stops), the adapters' words (test_spot_stops).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.execution.protective import REACHED
from parley.messages import Ack, Intent, OrderEvent, VenueReject
from runtime.resync import RESYNCED, Resync
from tests.contract.test_gateway_stops import MOVING, QTY, Stage
from tests.contract.test_spot_stops import FALLING, HOLDING
from tests.kit.sandbox import Control, SandboxProcess
from tests.kit.units import make_cancel, short_folder
from tests.kit.venues import VENUES, SpotVenue

pytestmark = pytest.mark.timeout(120)
D = Decimal


class SpotStage(Stage):
    """As `Stage`, at any spot exchange."""

    def __init__(self, at: SpotVenue, venue: SandboxProcess, market: Control, folder: Path) -> None:
        super().__init__(venue, market, folder)
        self.at = at
        self.config = at.gateway_config(folder, venue, {})

    async def price(self) -> Decimal:
        return await self.at.last_price(self.venue, self.at.btc)

    def order(self, **over: Any) -> Intent:
        return super().order(**{"venue": self.at.name, **over})


@contextlib.asynccontextmanager
async def stage(exchange: str, steps: int = 1) -> AsyncIterator[SpotStage]:
    at = VENUES[exchange]
    with short_folder() as folder:
        async with at.sandbox(feed=MOVING) as venue:
            market = await venue.control()
            await market.go()
            await market.steps(steps)
            running = SpotStage(at, venue, market, folder)
            await running.begin()
            try:
                yield running
            finally:
                if running.gateway.process.returncode is None:
                    running.gateway.process.terminate()
                    await running.gateway.process.communicate()


@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_triggers_while_its_gateway_is_dead_and_the_next_one_tells_its_fills(exchange: str) -> None:
    async def run() -> None:
        async with stage(exchange, FALLING) as s:
            stop = s.stop(await s.buy())
            s.desk.send(stop)
            await s.desk.until(lambda: stop.iid in {a.iid for a in s.desk.of(Ack)})
            await s.die()
            for _ in range(30):
                await s.market.steps(1)
                if s.truth(stop)[-1]["status"] == "FILLED":
                    break
            await s.begin()
            s.desk.say(Resync(epoch=2, orders=(stop.iid,)).text())
            await s.desk.until(lambda: RESYNCED in s.desk.controls)
            await s.desk.until(lambda: s.sold(stop) == QTY)
            assert s.truth(stop)[-1]["status"] == "FILLED"

    asyncio.run(run())


@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_is_taken_back_by_this_gateway_and_by_the_next_one(exchange: str) -> None:
    async def run() -> None:
        async with stage(exchange) as s:
            price = await s.buy()
            first, second = s.stop(price, bps=900), s.stop(price, bps=900, qty=QTY / 5)
            s.desk.send(first)
            await s.desk.until(lambda: first.iid in {a.iid for a in s.desk.of(Ack)})
            s.desk.send(make_cancel(first))
            await s.desk.until(lambda: {first.iid} == ended(s))
            assert s.truth(first)[-1]["status"] == "CANCELED"

            s.desk.send(second)
            await s.desk.until(lambda: second.iid in {a.iid for a in s.desk.of(Ack)})
            await s.die()
            await s.begin()
            s.desk.say(Resync(epoch=2, orders=(second.iid,)).text())
            await s.desk.until(lambda: RESYNCED in s.desk.controls)
            s.desk.send(make_cancel(second, epoch=2))
            await s.desk.until(lambda: second.iid in ended(s))
            assert s.truth(second)[-1]["status"] == "CANCELED"

    asyncio.run(run())


@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_the_market_is_beyond_is_refused_in_one_word(exchange: str) -> None:
    async def run() -> None:
        async with stage(exchange) as s:
            price = await s.buy()
            s.desk.send(s.stop(price, bps=-50, ref_px=price * D("1.02")))
            no = await s.desk.hear(VenueReject)
            assert (no.code, no.definitive) == (REACHED, True)

    asyncio.run(run())


def ended(s: SpotStage) -> set[bytes]:
    """The orders of which the desk heard that they were cancelled."""
    return {each.iid for each in s.desk.of(OrderEvent) if each.status == "canceled"}
