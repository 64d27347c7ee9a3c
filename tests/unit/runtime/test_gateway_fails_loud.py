"""Work of a gateway that ends by a mistake of ours ends the gateway, for another to ask what became of it.

Else the orders behind it would wait for ever, exits and cancels with them, and nobody would be told.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from parley.messages import Intent
from runtime import kill_file
from runtime.kill_switch import KillSwitch, Orders
from runtime.lanes import Lanes
from tests.kit.units import make_intent
from tests.unit.runtime.test_stop_retention import ORDER, Okx, gateway_at
from venues.port import SendResult

PATIENCE_S = 10.0


class Mistaken(Okx):
    """A venue whose adapter stumbles over an order."""

    async def send(self, intent: Intent) -> SendResult:
        raise KeyError(intent.symbol)


def test_an_order_whose_sending_fails_ends_the_gateway(tmp_path: Path) -> None:
    async def run() -> None:
        gateway, log = await gateway_at(Mistaken(), tmp_path)
        beating = asyncio.ensure_future(gateway.beat())
        await asyncio.sleep(0)
        gateway._passing.unsendable = lambda intent: None  # type: ignore[method-assign]
        attempt = gateway._attempt(ORDER, b"", 0, 0)
        gateway._lanes.enter(ORDER.symbol, lambda: gateway._place(ORDER, attempt, 0, 0))
        with pytest.raises(KeyError, match=ORDER.symbol):
            await asyncio.wait_for(beating, PATIENCE_S)
        log.close()

    asyncio.run(run())


def test_a_lane_whose_job_failed_stays_shut_and_the_others_go_on() -> None:
    done: list[str] = []

    async def fail() -> None:
        raise ValueError("the first")

    async def do(name: str) -> None:
        done.append(name)

    async def run() -> None:
        lanes = Lanes(lambda: None)
        lanes.enter("a", fail)
        lanes.enter("a", lambda: do("a"))
        lanes.enter("b", lambda: do("b"))
        lanes.look()  # nothing failed yet
        await lanes.finish(PATIENCE_S)
        for _ in range(2):
            with pytest.raises(ValueError, match="the first"):
                lanes.look()
        assert done == ["b"]

    asyncio.run(run())


def test_work_that_is_cancelled_at_the_end_did_not_fail() -> None:
    async def run() -> None:
        lanes = Lanes(lambda: None)
        lanes.begin(asyncio.Event().wait())  # type: ignore[arg-type]
        await lanes.finish(0.01)
        lanes.look()

    asyncio.run(run())


class Stumbling:
    """A gateway that stumbles while it takes orders back."""

    def working(self) -> list[Any]:
        return [make_intent(1)]

    async def cancelable(self, orders: list[Any], patience_s: float) -> list[Any]:
        raise KeyError("meter")


def test_a_sweep_that_fails_is_told_by_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"

    async def run() -> None:
        switch = KillSwitch(
            path, "local", "main", cast(Orders, Stumbling()), lambda said: None, lambda link: None
        )
        kill_file.write(path, "kill", ("firm",), mode="cancel", reason="odd", by="me")
        switch.look()
        sweeping = switch.settled()
        assert sweeping is not None
        await asyncio.wait([asyncio.ensure_future(sweeping)])
        with pytest.raises(KeyError, match="meter"):
            switch.look()

    asyncio.run(run())
