"""A gateway at an exchange that speaks as any of our venues, a line before its sockets, and a desk.

Not here: what a test expects. Invariant: as in `units` and `sandbox`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from parley.messages import KIND_OF, Fill, Intent, Message, decode
from runtime.journal import JournalReader
from tests.kit.cut_line import CutLine, cut_line
from tests.kit.sandbox import Control, SandboxProcess
from tests.kit.units import FakeDesk, short_folder, unit
from tests.kit.venues import VENUES, Orders, SpotVenue

_PATIENCE_S: Final = 30.0
_QUICK: Final[dict[str, object]] = {"recv_window_ms": 1000, "timeout_ms": 3000, "lag_ms": 200}


@dataclass
class Stage:
    """An exchange, a gateway at it with a line before its sockets, a desk, and orders for it."""

    at: SpotVenue
    venue: SandboxProcess
    desk: FakeDesk
    market: Control
    line: CutLine
    folder: Path
    orders: Orders

    def alternating(self, count: int) -> list[Intent]:
        """Make market orders and resting ones in turn."""
        qty = Decimal("0.2")
        return [
            self.orders.limit("0.99", qty=qty) if n % 2 else self.orders.market(qty=qty) for n in range(count)
        ]

    def traded(self) -> dict[str, tuple[object, ...]]:
        """Every trade as the exchange wrote it down."""
        return {
            str(line["trade_id"]): (
                *(Decimal(line[name]) for name in ("qty", "price", "fee")),
                line["fee_asset"],
            )
            for line in self.venue.truth("trade")
        }

    def told(self) -> dict[str, tuple[object, ...]]:
        """Every trade as the desk was told, the last time it was."""
        return {fill.trade_id: (fill.qty, fill.px, fill.fee, fill.fee_asset) for fill in self.desk.of(Fill)}

    def refusals(self) -> list[Message]:
        """The refusals that stand in the gateway's journal."""
        with JournalReader(self.folder / "gw.journal") as reader:
            return [decode(each.body) for each in reader.records(kinds=[KIND_OF["VenueReject"]])]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that the desk hears of."""
        async with asyncio.timeout(_PATIENCE_S):
            await self.desk.until(holds)


@contextlib.asynccontextmanager
async def staged(exchange: str, **switches: object) -> AsyncIterator[Stage]:
    """Run exchange, gateway and a desk; its inspections are too seldom to find what a stream did not tell."""
    at = VENUES[exchange]
    with short_folder() as folder:
        async with at.sandbox(hostility=switches) as venue, cut_line(venue.ws) as (line, ws):
            target = _QUICK | {"ws": ws} | ({"recv_window_ms": 1500} if exchange == "coinbase" else {})
            config = at.gateway_config(folder, venue, target, inspect_s=30.0)
            config["limits"] = cast("dict[str, object]", config["limits"]) | {"max_orders_per_s": 1000}
            async with unit("gateway", config, folder) as running:
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(running.socket)
                orders = Orders(at, await at.last_price(venue, at.btc))
                yield Stage(at, venue, desk, market, line, folder, orders)
                desk.link.close("the test is over")
                await market.hang_up()
