"""Stops of contracts through a real gateway: found again by the next one, and none that could open.

Not here: what all stops share (test_gateway_stops), the adapter's words (test_usdm_stops).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from parley.messages import VenueReject
from tests.contract.test_usdm_stops import FALLING, MARKET, RISING, TICK
from tests.contract.test_usdm_venue import BTC, priced
from tests.kit.sandbox import sandbox
from tests.kit.stop_stage import QTY, StopStage, begun
from tests.kit.units import gateway_config, make_cancel, short_folder
from tests.kit.usdm import usdm_client

pytestmark = pytest.mark.timeout(120)
TARGET = {"exchange": "binanceusdm", "name": "binanceusdm", "symbols": [BTC], "leverage": 5}


@contextlib.asynccontextmanager
async def stage(steps: int) -> AsyncIterator[StopStage]:
    with short_folder() as folder:
        async with sandbox(feed=MARKET, protocol="binanceusdm") as venue, usdm_client(venue) as client:

            async def price() -> Decimal:
                return await priced(client)

            running = StopStage(
                venue, await venue.control(), folder, gateway_config(folder, venue, TARGET), price, TICK,
                {"venue": TARGET["name"], "symbol": BTC},
            )  # fmt: skip
            async with begun(running, steps):
                yield running


@pytest.mark.parametrize(("side", "steps"), [("sell", FALLING), ("buy", RISING)])
def test_a_stop_triggers_while_its_gateway_is_dead_and_the_next_one_tells_its_fills(
    side: str, steps: int
) -> None:
    async def run() -> None:
        async with stage(steps) as s:
            stop = s.stop(await s.enter("buy" if side == "sell" else "sell"), 20, side)
            await s.set_off_while_dead(stop)
            assert s.truth(stop)[-1]["status"] == "FILLED"

    asyncio.run(run())


def test_the_next_gateway_takes_a_stop_back_by_its_id() -> None:
    async def run() -> None:
        async with stage(1) as s:
            stop = s.stop(await s.enter(), 900)
            await s.place(stop)
            await s.die()
            await s.follow(stop)
            s.desk.send(make_cancel(stop, epoch=s.epoch))
            await s.desk.until(s.canceled)
            assert s.truth(stop)[-1]["status"] == "CANCELED"

    asyncio.run(run())


def test_the_last_look_lets_no_stop_pass_that_could_open() -> None:
    async def run() -> None:
        async with stage(1) as s:
            price = await s.price()
            s.desk.send(s.stop(price, 900))
            await s.desk.hear(VenueReject, 1)
            await s.enter()
            for n, order in enumerate((s.stop(price, 900, "buy"), s.stop(price, 900, qty=2 * QTY)), 2):
                s.desk.send(order)
                await s.desk.hear(VenueReject, n)
            assert {no.code for no in s.desk.of(VenueReject)} == {"last_look:stop_opens"}
            assert [line for line in s.venue.truth("order") if line["type"] == "STOP_LOSS_LIMIT"] == []

    asyncio.run(run())
