"""Stops of contracts through a real gateway: found again by the next one, and none that could open.

Not here: what all stops share (test_gateway_stops), the adapter's words (test_usdm_stops).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Ack, CancelIntent, Fill, Intent, OrderEvent, VenueReject
from runtime.resync import RESYNCED, Resync
from tests.contract.test_gateway_stops import QTY, Stage
from tests.contract.test_usdm_stops import FALLING, MARKET, RISING, stop_of
from tests.contract.test_usdm_venue import BTC
from tests.kit.sandbox import Control, SandboxProcess, sandbox
from tests.kit.units import gateway_config, make_cancel, make_intent, short_folder
from tests.kit.usdm import usdm_client

pytestmark = pytest.mark.timeout(120)
TARGET = {"exchange": "binanceusdm", "name": "binanceusdm", "symbols": [BTC], "leverage": 5}


class ContractStage(Stage):
    """As `Stage`, at an exchange of contracts."""

    def __init__(self, venue: SandboxProcess, market: Control, folder: Path) -> None:
        super().__init__(venue, market, folder)
        self.config = gateway_config(folder, venue, TARGET)

    async def price(self) -> Decimal:
        async with usdm_client(self.venue) as exchange:
            return Decimal((await exchange.fetch_ticker(BTC))["info"]["lastPrice"])

    def order(self, **over: Any) -> Intent:
        self.n += 1
        return make_intent(self.n, **{"venue": TARGET["name"], "symbol": BTC, "qty": QTY, **over})

    async def enter(self, side: str) -> Decimal:
        price = await self.price()
        self.desk.send(self.order(side=side, ref_px=price))
        await self.desk.until(lambda: sum(f.qty for f in self.desk.of(Fill)) == QTY)
        return price

    def guard(self, side: str, price: Decimal, bps: int, **over: Any) -> Intent:
        found = stop_of(side, price, bps)
        return self.order(
            side=side, style=found.style, tif="GTC", reduce_only=True, trigger=found.trigger, px=found.px,
            ref_px=price, **over,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def stage(steps: int) -> AsyncIterator[ContractStage]:
    with short_folder() as folder:
        async with sandbox(feed=MARKET, protocol="binanceusdm") as venue:
            market = await venue.control()
            await market.go()
            await market.steps(steps)
            running = ContractStage(venue, market, folder)
            await running.begin()
            try:
                yield running
            finally:
                if running.gateway.process.returncode is None:
                    running.gateway.process.terminate()
                    await running.gateway.process.communicate()


@pytest.mark.parametrize(("side", "steps"), [("sell", FALLING), ("buy", RISING)])
def test_a_stop_triggers_while_its_gateway_is_dead_and_the_next_one_tells_its_fills(
    side: str, steps: int
) -> None:
    async def run() -> None:
        async with stage(steps) as s:
            stop = s.guard(side, await s.enter("buy" if side == "sell" else "sell"), 20)
            s.desk.send(stop)
            await s.desk.until(lambda: stop.iid in {a.iid for a in s.desk.of(Ack)})
            await s.die()
            for _ in range(25):
                await s.market.steps(1)
                if s.truth(stop)[-1]["status"] == "FILLED":
                    break
            await s.begin()
            s.desk.say(Resync(epoch=2, orders=(stop.iid,)).text())
            await s.desk.until(lambda: RESYNCED in s.desk.controls)
            await s.desk.until(lambda: s.sold(stop) == QTY)
            assert s.truth(stop)[-1]["status"] == "FILLED"

    asyncio.run(run())


def test_the_next_gateway_takes_a_stop_back_by_its_id() -> None:
    async def run() -> None:
        async with stage(1) as s:
            stop = s.guard("sell", await s.enter("buy"), 900)
            s.desk.send(stop)
            await s.desk.until(lambda: stop.iid in {a.iid for a in s.desk.of(Ack)})
            await s.die()
            await s.begin()
            s.desk.say(Resync(epoch=2, orders=(stop.iid,)).text())
            await s.desk.until(lambda: RESYNCED in s.desk.controls)
            cancel: CancelIntent = make_cancel(stop, epoch=2)
            s.desk.send(cancel)
            await s.desk.until(lambda: any(e.status == "canceled" for e in s.desk.of(OrderEvent)))
            assert s.truth(stop)[-1]["status"] == "CANCELED"

    asyncio.run(run())


def test_the_last_look_lets_no_stop_pass_that_could_open() -> None:
    async def run() -> None:
        async with stage(1) as s:
            price = await s.price()
            s.desk.send(s.guard("sell", price, 900))
            await s.desk.hear(VenueReject, 1)
            await s.enter("buy")
            for n, order in enumerate(
                (s.guard("buy", price, 900), s.guard("sell", price, 900, qty=2 * QTY)), 2
            ):
                s.desk.send(order)
                await s.desk.hear(VenueReject, n)
            assert {no.code for no in s.desk.of(VenueReject)} == {"last_look:stop_opens"}
            assert [line for line in s.venue.truth("order") if line["type"] == "STOP_LOSS_LIMIT"] == []

    asyncio.run(run())
