"""A gateway whose account holds stops: it may be killed and followed by another while the market moves.

Not here: what a test expects; a gateway that lives on (`tests.kit.gateway_stage`). Invariant: as in `units`
and `sandbox`.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from parley.messages import Ack, Fill, Intent, OrderEvent
from runtime.resync import RESYNCED, Resync
from tests.kit.sandbox import Control, SandboxProcess
from tests.kit.stops import MOVING, guarding, moved_until, truth_of
from tests.kit.units import FakeDesk, UnitProcess, make_intent, short_folder, start
from tests.kit.venues import VENUES

QTY: Final = Decimal("0.05")


class StopStage:
    """Exchange, market and gateway; a gateway may end and another begin.

    ``price`` asks what was paid last, ``tick`` is that of a price, and ``fields`` are those of every order.
    """

    def __init__(
        self, venue: SandboxProcess, market: Control, folder: Path, config: dict[str, object],
        price: Callable[[], Awaitable[Decimal]], tick: Decimal, fields: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.venue, self.market, self.folder, self.config = venue, market, folder, config
        self.price, self.tick, self.fields = price, tick, fields
        self.gateway: UnitProcess
        self.desk: FakeDesk
        self.n = 0
        self.epoch = 0

    async def begin(self) -> None:
        """Start a gateway and connect a desk."""
        self.gateway = await start("gateway", self.config, self.folder)
        self.desk = await FakeDesk.connect(self.gateway.socket)
        self.epoch += 1

    async def die(self) -> None:
        """Kill the gateway."""
        self.gateway.process.send_signal(signal.SIGKILL)
        await self.gateway.process.wait()

    async def follow(self, order: Intent) -> None:
        """Start the next gateway, and tell it of an order that its desk knows."""
        await self.begin()
        self.desk.say(Resync(epoch=self.epoch, orders=(order.iid,)).text())
        await self.desk.until(lambda: RESYNCED in self.desk.controls)

    async def enter(self, side: str = "buy") -> Decimal:
        """Trade what is to be guarded; return the market's price."""
        price = await self.price()
        self.desk.send(self.order(side=side, ref_px=price))
        await self.desk.until(lambda: sum(f.qty for f in self.desk.of(Fill)) == QTY)
        return price

    def order(self, **over: Any) -> Intent:
        """Make a market order to buy."""
        self.n += 1
        return make_intent(self.n, **{"qty": QTY, **self.fields, **over})

    def stop(self, price: Decimal, bps: int = 20, side: str = "sell", **over: Any) -> Intent:
        """Make a stop so far from a price, whose limit lies 100 bps beyond."""
        return self.order(**guarding(side, price, bps, self.tick) | over)

    async def place(self, *orders: Intent) -> None:
        """Send orders and wait until each is acknowledged."""
        for order in orders:
            self.desk.send(order)
        await self.desk.until(lambda: {o.iid for o in orders} <= {a.iid for a in self.desk.of(Ack)})

    async def set_off_while_dead(self, stop: Intent) -> None:
        """Place a stop, let it trade while no gateway lives, and wait until the next one told all of it."""
        await self.place(stop)
        await self.die()
        await moved_until(self.venue, self.market, stop, "FILLED")
        await self.follow(stop)
        await self.desk.until(lambda: self.sold(stop) == stop.qty)

    def sold(self, order: Intent) -> Decimal:
        """What an order traded; what is told as it comes is told again on asking."""
        trades = {f.trade_id: f.qty for f in self.desk.of(Fill) if f.iid == order.iid}
        return sum(trades.values(), Decimal(0))

    def canceled(self) -> set[bytes]:
        """The orders of which the desk heard that they were cancelled."""
        return {each.iid for each in self.desk.of(OrderEvent) if each.status == "canceled"}

    def truth(self, order: Intent) -> list[dict[str, Any]]:
        """The exchange's lines of an order."""
        return truth_of(self.venue, order)


@contextlib.asynccontextmanager
async def staged_stops(exchange: str = "binance", steps: int = 1) -> AsyncIterator[StopStage]:
    """Run a gateway at a spot exchange whose market made so many steps."""
    at = VENUES[exchange]
    with short_folder() as folder:
        async with at.sandbox(feed=MOVING) as venue:
            stage = StopStage(
                venue, await venue.control(), folder, at.gateway_config(folder, venue, {}),
                lambda: at.last_price(venue, at.btc), at.tick, {"venue": at.name, "symbol": at.btc},
            )  # fmt: skip
            async with begun(stage, steps):
                yield stage


@contextlib.asynccontextmanager
async def begun(stage: StopStage, steps: int) -> AsyncIterator[None]:
    """Let a market make so many steps and a gateway live, or several, until the context ends."""
    await stage.market.go()
    await stage.market.steps(steps)
    await stage.begin()
    try:
        yield
    finally:
        if stage.gateway.process.returncode is None:
            stage.gateway.process.terminate()
            await stage.gateway.process.communicate()


__all__ = ["QTY", "StopStage", "begun", "staged_stops"]
