"""A home with a running gateway at a real exchange, for kills: where `parley kill` finds what runs.

Not here: what a test expects. Invariant: as in `units` and `sandbox`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from parley.messages import Ack, Intent
from runtime import killing, leftovers
from tests.kit.sandbox import SandboxProcess
from tests.kit.units import FakeDesk, UnitProcess, make_intent, short_folder, start
from tests.kit.venues import VENUES, SpotVenue


class Home:
    """A home in which one run lives: its exchange, its gateway, its desk."""

    def __init__(self, folder: Path, venue: SandboxProcess, at: SpotVenue) -> None:
        self.folder = folder
        self.venue = venue
        self.at = at
        self.home = folder / "home"
        self.gateway: UnitProcess
        self.desk: FakeDesk
        self.run = self.home / "runs" / "r1"
        self.claim: int | None = None
        self.over: dict[str, object] = {}  # of the gateway's configuration
        self._made = 0

    @property
    def kill_file(self) -> Path:
        return killing.file_of(self.home)

    async def begin(self) -> None:
        """Start a gateway, on the journal of the one before if there was one, and connect a desk."""
        config = self.at.gateway_config(
            self.folder, self.venue, {"name": "sandbox"}, halt_file=str(self.kill_file),
            kill_socket=str(self.folder / "kill.sock"), **self.over,
        )  # fmt: skip
        (self.run / "config").mkdir(parents=True, exist_ok=True)
        (self.run / "config" / "gateway.json").write_text(json.dumps(config))
        self.gateway = await start("gateway", config, self.folder)
        self.desk = await FakeDesk.connect(self.gateway.socket)

    async def rest(self, count: int, symbol: str = "", agent: str = "") -> list[Intent]:
        """Rest buy orders well below the market, of BTC by default; wait until the exchange has them."""
        symbol = symbol or self.at.btc
        last = await self.at.last_price(self.venue, symbol)
        px = (last * Decimal("0.8")).quantize(Decimal(1))
        made = [
            make_intent(
                self._made + n, symbol=symbol, style="limit", tif="GTC", px=px, ref_px=px,
                qty=Decimal("0.1"), agent=agent,
            )
            for n in range(count)
        ]  # fmt: skip
        self._made += count
        known = len(self.desk.of(Ack))
        for intent in made:
            self.desk.send(intent)
        await self.desk.until(lambda: len(self.desk.of(Ack)) == known + count)
        return made

    async def die(self) -> None:
        """End the run as a killed machine would: its gateway is gone, and nobody claims the folder."""
        self.gateway.process.kill()
        await self.gateway.process.wait()
        self.leave()

    def leave(self) -> None:
        """Let go of the run's folder."""
        if self.claim is not None:
            leftovers.release(self.run, self.claim)
            self.claim = None

    async def kill(self, *scopes: str, mode: str = "cancel") -> dict[str, Any]:
        """Kill, and return what was done."""
        home = self.home
        return await asyncio.to_thread(killing.kill, home, scopes or ("firm",), mode, "test")

    async def release(self, *scopes: str) -> dict[str, Any]:
        """Take a kill back."""
        return await asyncio.to_thread(killing.release, self.home, scopes or ("firm",), "looked")

    def cancelled(self, orders: Sequence[Intent]) -> set[str]:
        """The client ids of those orders that the exchange wrote down as cancelled."""
        lines = [line for line in self.venue.truth("order") if line["status"] == "CANCELED"]
        ended = {line["client_order_id"] for line in lines}
        return {each.cid for each in orders if self.at.wire_id(each.cid) in ended}


@contextlib.asynccontextmanager
async def home_with_gateway(exchange: str = "binance", **over: object) -> AsyncIterator[Home]:
    """Run an exchange, which speaks as ``exchange``, and a gateway in a home of their own.

    ``over`` are parts of the gateway's configuration.
    """
    at = VENUES[exchange]
    with short_folder() as folder:
        async with at.sandbox() as venue:
            home = Home(folder, venue, at)
            home.over = over
            market = await venue.control()
            await market.go()
            await market.steps(1)
            home.run.mkdir(parents=True)
            home.claim = leftovers.claim(home.run)
            try:
                await home.begin()
                yield home
            finally:
                home.desk.link.close("the test is over")
                if home.gateway.process.returncode is None:
                    home.gateway.process.kill()
                    await home.gateway.process.wait()
                home.leave()
                await market.hang_up()
