"""Kills of a gateway that a spare follows: how long until the account is known again and an order may open.

A real exchange, real gateways, the supervisor of a run at its own pace; the desk's end of the line asks as a
desk does. Each time 20 orders rest, and every second time one more is on its way when the gateway dies.

Not here: what is printed of it (`bench_kill`), what a desk makes of it (tests/kill/test_gateway_kill.py).
Invariant: a kill counts only if every order of it was found to be at the exchange once, or not at all.
"""

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestrator.policy import PROFILES
from parley.errors import UserError
from parley.messages import Ack, Balance, Intent, VenueReject
from runtime.child import Child
from runtime.restarts import Restarts
from runtime.resync import RESYNCED, Resync
from runtime.supervisor import Supervisor
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import FakeDesk, gateway_config, make_intent, short_folder
from tests.kit.venues import last_price

RESTING = 20
_POLL_S = 0.2  # as a run looks at its processes
_ASK_S = 0.02
_SECOND_NS = 1_000_000_000
_PATIENCE_S = 60.0


async def takeovers(kills: int) -> list[dict[str, Any]]:
    """Kill the gateway so often, and say of each kill what took how long, ms."""
    found = []
    with short_folder() as folder:
        async with sandbox() as venue:
            market = await venue.control()
            await market.go()
            await market.steps(1)
            with _followed(folder, venue) as supervisor:
                account = _Account(folder, venue, supervisor)
                await account.begin()
                for n in range(kills):
                    found.append(await account.kill(with_one_on_its_way=bool(n % 2)))
                account.desk.link.close("done")
            await market.hang_up()
    return found


@contextlib.contextmanager
def _followed(folder: Path, venue: SandboxProcess) -> Iterator[Supervisor]:
    beats = folder / "gateway.alive"
    config, desk = folder / "gateway.json", folder / "desk.json"
    limits = {"max_notional": {"USDT": "5000000"}, "max_position": {"USDT": "9000000"}}
    told = gateway_config(
        folder, venue, {"exchange": "binance"}, heartbeat=str(beats),
        limits={**limits, "max_orders_per_s": 500},
    )  # fmt: skip
    config.write_text(json.dumps(told))
    desk.write_text(json.dumps([{"serves_s": 1e6}]))
    supervisor = Supervisor(folder)
    supervisor.start("gateway", "runtime.gateway", config)
    supervisor.start("desk", "tests.kit.brief_unit", desk)
    supervisor.keep_spare("gateway", "runtime.spare", beats, Restarts(most=1000))
    over = threading.Event()
    watching = threading.Thread(
        target=supervisor.watch, args=("desk",), kwargs={"poll_s": _POLL_S, "each": lambda: not over.is_set()}
    )
    watching.start()
    try:
        yield supervisor
    finally:
        over.set()
        watching.join()
        supervisor.stop()


class _Account:
    """The desk's end, and its orders."""

    def __init__(self, folder: Path, venue: SandboxProcess, supervisor: Supervisor) -> None:
        self.desk: FakeDesk
        self._socket = folder / "gw.sock"
        self._venue = venue
        self._supervisor = supervisor
        self._orders: list[Intent] = []
        self._px = Decimal(0)
        self._made = 0

    async def begin(self) -> None:
        """Rest what rests."""
        self.desk = await FakeDesk.connect(self._socket)
        last = await last_price(self._venue, "BTC/USDT", "binance")
        self._px = (last * Decimal("0.8")).quantize(Decimal(1))
        for _ in range(RESTING):
            self._send(20 * _SECOND_NS)  # they wait for each other
        await self.desk.hear(Ack, RESTING)

    def _send(self, within_ns: int = PROFILES["candle"].send_by) -> Intent:
        made = make_intent(
            self._made, style="limit", tif="GTC", px=self._px, ref_px=self._px, qty=Decimal("0.1"),
            send_by=time.monotonic_ns() + within_ns,
        )  # fmt: skip
        self._made += 1
        self._orders.append(made)
        self.desk.send(made)
        return made

    async def kill(self, *, with_one_on_its_way: bool) -> dict[str, Any]:
        """Kill the gateway that has the account, and wait until the next one lets an order open."""
        spare = await self._warm()
        pid = self._supervisor.child("gateway").pid
        if with_one_on_its_way:
            self._send()
            await asyncio.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        await self._greeted()
        serves = time.monotonic()
        asked = Resync(epoch=1, orders=tuple(each.iid for each in self._orders))
        self.desk.say(asked.text())
        await self.desk.until(lambda: RESYNCED in self.desk.controls)
        told, refused = time.monotonic(), 0
        while not await self._opens():
            refused += 1
            await asyncio.sleep(_ASK_S)
        opened = time.monotonic()
        assert self._supervisor.child("gateway") is spare
        self._check()
        return {
            "on_its_way": with_one_on_its_way, "serves_ms": _ms(began, serves), "told_ms": _ms(began, told),
            "reconciled_ms": _ms(began, opened), "refused_until_then": refused,
        }  # fmt: skip

    async def _warm(self) -> Child:
        async with asyncio.timeout(_PATIENCE_S):
            while (spare := self._supervisor.spare) is None or spare.line("spare") is None:
                await asyncio.sleep(_ASK_S)
        return spare

    async def _greeted(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                with contextlib.suppress(UserError):
                    desk, sent = await FakeDesk.connect(self._socket), self.desk.sent
                    self.desk, desk.sent = desk, sent
                    with contextlib.suppress(IndexError):  # it hung up
                        await desk.hear(Balance)
                        return
                await asyncio.sleep(_ASK_S / 4)

    async def _opens(self) -> bool:
        desk, order = self.desk, self._send()

        def is_there() -> bool:
            return any(each.iid == order.iid for each in desk.of(Ack))

        await desk.until(lambda: is_there() or any(each.iid == order.iid for each in desk.of(VenueReject)))
        return is_there()

    def _check(self) -> None:
        lines = [line for line in self._venue.truth("order") if line["status"] == "NEW"]
        there = Counter(line["client_order_id"] for line in lines)
        refused = {each.iid for each in self.desk.of(VenueReject) if each.definitive and not each.cancel}
        for order in self._orders:
            if there[order.cid] > 1 or (there[order.cid] == 1) == (order.iid in refused):
                raise AssertionError(f"{order.cid} is {there[order.cid]} times there, refused: {refused}")


def _ms(began: float, ended: float) -> float:
    return round((ended - began) * 1e3, 1)
