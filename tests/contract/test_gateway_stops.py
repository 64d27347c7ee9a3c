"""Stops at Binance through a real gateway: they rest, trigger, are found again, and outlive kills.

The certificate of `stops` in the row of capabilities: every word about a stop comes from an unmodified ccxt
client and a real exchange process. Not here: who wants them (tests/kill/test_stop_at_the_venue.py), what an
adapter says of a contract's (test_usdm_stops.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.execution.protective import REACHED
from parley.messages import Ack, Fill, Intent, OrderEvent, VenueReject
from runtime import kill_file
from runtime.resync import RESYNCED, Resync
from tests.kit.sandbox import Control, SandboxProcess, sandbox
from tests.kit.units import (
    FakeDesk,
    UnitProcess,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
    start,
)
from venues.capabilities import CAPABILITIES

pytestmark = pytest.mark.timeout(120)
MOVING: dict[str, Any] = {"kind": "synthetic", "candles": 60, "history": 60}
QTY = Decimal("0.05")
TICK = Decimal("0.01")
D = Decimal


class Stage:
    """Exchange, market and gateway; a gateway may end and another begin."""

    def __init__(self, venue: SandboxProcess, market: Control, folder: Path) -> None:
        self.venue, self.market, self.folder = venue, market, folder
        self.config = gateway_config(folder, venue)
        self.gateway: UnitProcess
        self.desk: FakeDesk
        self.n = 0

    async def begin(self) -> None:
        self.gateway = await start("gateway", self.config, self.folder)
        self.desk = await FakeDesk.connect(self.gateway.socket)

    async def die(self) -> None:
        self.gateway.process.send_signal(signal.SIGKILL)
        await self.gateway.process.wait()

    async def price(self) -> Decimal:
        async with self.venue.client() as exchange:
            return Decimal((await exchange.fetch_ticker("BTC/USDT"))["info"]["lastPrice"])

    async def buy(self) -> Decimal:
        """Buy what is guarded; return the market's price."""
        price = await self.price()
        order = self.order(ref_px=price)
        self.desk.send(order)
        await self.desk.until(lambda: sum(f.qty for f in self.desk.of(Fill)) == QTY)
        return price

    def order(self, **over: Any) -> Intent:
        self.n += 1
        return make_intent(self.n, **{"qty": QTY, **over})

    def stop(self, price: Decimal, bps: int = 20, **over: Any) -> Intent:
        """A stop so far below a price, whose limit lies 100 bps beyond."""
        trigger = (price * (10_000 - bps) / 10_000).quantize(TICK)
        fields: dict[str, Any] = {
            "side": "sell", "style": "stop_limit", "tif": "GTC", "reduce_only": True, "trigger": trigger,
            "px": (trigger * D("0.99")).quantize(TICK), "ref_px": price,
        }  # fmt: skip
        return self.order(**fields | over)

    def sold(self, order: Intent) -> Decimal:
        """What an order traded; what is told as it comes is told again on asking."""
        trades = {f.trade_id: f.qty for f in self.desk.of(Fill) if f.iid == order.iid}
        return sum(trades.values(), D(0))

    def truth(self, order: Intent) -> list[dict[str, Any]]:
        return [line for line in self.venue.truth("order") if line["client_order_id"] == order.cid]


@contextlib.asynccontextmanager
async def stage(steps: int = 1) -> AsyncIterator[Stage]:
    with short_folder() as folder:
        async with sandbox(feed=MOVING) as venue:
            market = await venue.control()
            await market.go()
            await market.steps(steps)
            running = Stage(venue, market, folder)
            await running.begin()
            try:
                yield running
            finally:
                if running.gateway.process.returncode is None:
                    running.gateway.process.terminate()
                    await running.gateway.process.communicate()


def test_a_stop_rests_and_is_taken_back_by_its_id() -> None:
    async def run() -> None:
        async with stage() as s:
            stop = s.stop(await s.buy(), bps=900)
            s.desk.send(stop)
            await s.desk.until(lambda: stop.iid in {a.iid for a in s.desk.of(Ack)})
            (placed,) = s.truth(stop)
            assert (placed["type"], placed["side"], placed["status"]) == ("STOP_LOSS_LIMIT", "SELL", "NEW")
            assert (D(placed["stop_price"]), D(placed["price"])) == (stop.trigger, stop.px)

            s.desk.send(make_cancel(stop))
            await s.desk.until(lambda: any(e.status == "canceled" for e in s.desk.of(OrderEvent)))
            assert s.truth(stop)[-1]["status"] == "CANCELED"

    asyncio.run(run())


def test_a_stop_triggers_while_its_gateway_is_dead_and_the_next_one_tells_its_fills() -> None:
    async def run() -> None:
        async with stage(28) as s:  # from here on this market falls
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


def test_a_stop_the_market_is_beyond_is_refused_by_the_venue_in_a_word_of_its_own() -> None:
    async def run() -> None:
        async with stage() as s:
            price = await s.buy()
            s.desk.send(s.stop(price, bps=-50, ref_px=price * D("1.02")))
            no = await s.desk.hear(VenueReject)
            assert (no.code, no.definitive) == (REACHED, True)

    asyncio.run(run())


def test_the_last_look_lets_no_stop_pass_that_does_not_protect() -> None:
    async def run() -> None:
        async with stage() as s:
            price = await s.buy()
            wrong = {
                "stop_opens": s.stop(price, reduce_only=False),
                "stop_side": s.stop(price, bps=-50),
                "price_and_style": s.stop(price, trigger=None),
                "off_grid": s.stop(price, trigger=price * D("0.99") + D("0.001")),
                "collar": s.stop(price, px=(price * D("0.9")).quantize(TICK)),
                "not_positive": s.stop(price, trigger=D("NaN")),
            }
            large = s.stop(price, qty=D(30))  # the account brought 20
            for n, order in enumerate((*wrong.values(), large), 1):
                s.desk.send(order)
                await s.desk.hear(VenueReject, n)
            codes = [no.code.removeprefix("last_look:") for no in s.desk.of(VenueReject)]
            assert codes == [*wrong, "stop_opens"]
            assert [line for line in s.venue.truth("order") if line["type"] == "STOP_LOSS_LIMIT"] == []

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["cancel", "flatten"])
def test_a_kill_leaves_the_stop_and_lets_no_other_stand(mode: str) -> None:
    async def run() -> None:
        async with stage() as s:
            price = await s.buy()
            stop, other = (
                s.stop(price, bps=900),
                s.order(style="limit", tif="GTC", px=(price * D("0.9")).quantize(TICK), ref_px=price),
            )
            for order in (stop, other):
                s.desk.send(order)
            await s.desk.until(lambda: {stop.iid, other.iid} <= {a.iid for a in s.desk.of(Ack)})
            kill_file.write(s.folder / "HALT", "kill", ["platform"], mode=mode, by="test", reason="test")
            await s.desk.until(lambda: any(e.status == "canceled" for e in s.desk.of(OrderEvent)))
            s.desk.send(s.stop(price, bps=800))
            no = await s.desk.hear(VenueReject)
            assert no.code == "last_look:halted"
            assert s.truth(other)[-1]["status"] == "CANCELED"
            assert s.truth(stop)[-1]["status"] == "NEW"

    asyncio.run(run())


def test_only_a_venue_whose_stops_were_tried_says_that_it_holds_them() -> None:
    holding = [name for name, row in CAPABILITIES.items() if row.stops]
    assert holding == ["binance", "binanceusdm", "bybit", "okx"]
    assert kill_file.MODES == ("block", "cancel", "flatten")
