"""A gateway at several exchanges of different protocols, a line before each one's sockets, and a desk.

Not here: what a test expects. Invariant: as in `units` and `sandbox`; the first exchange is the home one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from parley.instruments import at
from parley.messages import Intent
from runtime.resync import RESYNCED, Resync
from tests.kit.cut_line import CutLine, cut_line
from tests.kit.sandbox import Control, SandboxProcess
from tests.kit.units import FakeDesk, UnitProcess, short_folder, start
from tests.kit.venues import VENUES, Orders, SpotVenue

SYMBOLS: Final = ("BTC/USDT", "ETH/USDT")
_QUICK: Final[Mapping[str, object]] = {"recv_window_ms": 1000, "timeout_ms": 3000, "lag_ms": 200}


class OrdersThere(Orders):
    """Orders in BTC at an exchange, by the names that a desk of several knows; empty: the home one."""

    def __init__(self, venue: SpotVenue, last: Decimal, first: int, where: str) -> None:
        super().__init__(venue, last, first)
        self.symbol = at(venue.btc, where)

    def market(self, **over: Any) -> Intent:
        return super().market(**({"symbol": self.symbol} | over))


@dataclass
class Exchange:
    """One of the exchanges, its market, and orders for it."""

    where: str
    venue: SandboxProcess
    line: CutLine
    market: Control
    orders: OrdersThere

    def placed(self) -> dict[str, int]:
        """How many orders the exchange took under each client id."""
        taken = {(each["client_order_id"], each["order_id"]) for each in self.venue.truth("order")}
        counts: dict[str, int] = {}
        for cid, number in taken:
            if number:
                counts[cid] = counts.get(cid, 0) + 1
        return counts

    def trades(self) -> set[str]:
        """The numbers of all trades of the account there."""
        return {str(each["trade_id"]) for each in self.venue.truth("trade")}


@dataclass
class SeveralStage:
    """Exchanges by name, a gateway at all of them, and a desk."""

    exchanges: dict[str, Exchange]
    config: dict[str, Any]
    folder: Path
    gateway: UnitProcess
    desk: FakeDesk
    epoch: int = 1

    async def kill_and_follow(self, open_orders: Sequence[Intent]) -> None:
        """Kill the gateway, start the next one on its journal, and connect the desk that comes back."""
        self.gateway.process.kill()
        await self.gateway.process.wait()
        self.gateway = await start("gateway", self.config, self.folder)
        self.desk = await FakeDesk.connect(self.gateway.socket)
        self.epoch += 1
        self.desk.say(Resync(epoch=self.epoch, orders=tuple(each.iid for each in open_orders)).text())
        await self.desk.until(lambda: RESYNCED in self.desk.controls)


@contextlib.asynccontextmanager
async def staged_several(
    *names: str, switches: Mapping[str, Mapping[str, Any]] | None = None, **over: object
) -> AsyncIterator[SeveralStage]:
    """Run exchanges, each with its ``switches`` for the sandbox, a gateway at all of them, and a desk."""
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        running: dict[str, tuple[SandboxProcess, CutLine, str]] = {}
        for name in names:
            venue = await stack.enter_async_context(VENUES[name].sandbox(**(switches or {}).get(name, {})))
            running[name] = (venue, *await stack.enter_async_context(cut_line(venue.ws)))
        exchanges = {}
        for n, (name, (venue, line, _)) in enumerate(running.items()):
            market = await venue.control()
            await market.go()
            await market.steps(1)
            where = name if n else ""
            orders = OrdersThere(
                VENUES[name], await VENUES[name].last_price(venue, "BTC/USDT"), 1 + 1000 * n, where
            )
            exchanges[name] = Exchange(where, venue, line, market, orders)
        config = config_of(folder, {name: (venue, ws) for name, (venue, _, ws) in running.items()}) | over
        gateway = await start("gateway", config, folder)
        stage = SeveralStage(exchanges, config, folder, gateway, await FakeDesk.connect(gateway.socket))
        try:
            yield stage
            stage.desk.link.close("the test is over")
            stage.gateway.process.terminate()
            _, errors = await stage.gateway.process.communicate()
            assert stage.gateway.process.returncode == 0, errors.decode()
        finally:
            if stage.gateway.process.returncode is None:
                stage.gateway.process.kill()
                await stage.gateway.process.wait()
            for each in exchanges.values():
                await each.market.hang_up()


def config_of(folder: Path, exchanges: Mapping[str, tuple[SandboxProcess, str]]) -> dict[str, Any]:
    """Make the configuration of a gateway at exchanges, each reached at an address of its sockets."""
    targets: list[dict[str, object]] = []
    quotes = []
    for name, (venue, ws) in exchanges.items():
        keys = folder / f"keys-{name}.json"
        keys.write_text(json.dumps(VENUES[name].keys))
        keys.chmod(0o600)
        quotes.append(at("USDT", name if targets else ""))
        targets.append(
            {
                "kind": "ccxt", "name": name, "exchange": name, "symbols": list(SYMBOLS), "rest": venue.rest,
                "ws": ws, "keys_file": str(keys), **_QUICK,
            }
        )  # fmt: skip
    return {
        "account": "main", "socket": str(folder / "gw.sock"), "journal": str(folder / "gw.journal"),
        "instruments": str(folder / "instruments.json"), "venue": targets[0], "also": targets[1:],
        "limits": {
            "max_notional": dict.fromkeys(quotes, "5000000"),
            "max_position": dict.fromkeys(quotes, "9000000"),
            "cash": quotes, "max_orders_per_s": 1000,
        },
        "halt_file": str(folder / "HALT"), "kill_socket": str(folder / "kill.sock"),
    }  # fmt: skip


__all__ = ["SYMBOLS", "Exchange", "OrdersThere", "SeveralStage", "config_of", "staged_several"]
