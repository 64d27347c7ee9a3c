"""A gateway whose exchange never answers for its timer serves all the same, and ends.

A real gateway on its socket, in this process. Not here: when the timer is set (test_gateway_dead_man.py).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable
from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest

from parley.messages import Ack, VenueReject
from runtime import gateway
from runtime.frames import connect, control
from runtime.gateway_config import GatewayConfig
from runtime.kill_switch import ASK
from tests.kit.units import FakeDesk, gateway_config, make_intent, short_folder
from venues.capabilities import DeadMan as Row
from venues.dead_man import DeadManSwitch
from venues.limits import Request
from venues.null_venue import NullVenue
from venues.port import Venue

SYMBOL = "BTC/USDT"


class Mute(NullVenue):
    """Takes orders, and never answers for its timer."""

    def __init__(self) -> None:
        super().__init__((SYMBOL,), (("USDT", D(10**6)),), "sandbox")
        self.asked = asyncio.Event()
        row = Row(least_s=10, most_s=120, per_symbol=False, spares_stops=True)
        self.dead_man = DeadManSwitch(row, self, self.meter, self.heard)

    async def heard(self, request: Request, answering: Awaitable[None]) -> None:
        await answering

    async def set_dead_man(self, symbol: str, seconds: int) -> None:
        self.asked.set()
        await asyncio.Event().wait()


def test_it_serves_exits_and_kills_before_the_exchange_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(folder: Path) -> None:
        venue, stop = Mute(), asyncio.Event()

        def made(config: GatewayConfig) -> Venue:
            return venue

        monkeypatch.setattr(gateway, "make_venue", made)
        given = gateway_config(folder, None, dead_man_s=60, kill_socket=str(folder / "kill.sock"))
        config = msgspec.convert(given, GatewayConfig)
        serving = asyncio.ensure_future(gateway.serve(config, stop))
        async with asyncio.timeout(10):
            await venue.asked.wait()
            while not Path(config.kill_socket).exists():
                assert not serving.done(), serving
                await asyncio.sleep(0.01)
        desk = await FakeDesk.connect(Path(config.socket))
        buy, bid = make_intent(1), make_intent(2, style="limit", tif="GTC", px=D(49_900))
        leave = make_intent(
            3, side="sell", qty=D("0.005"), style="limit", tif="GTC", px=D(50_000), reduce_only=True
        )
        desk.send(buy)
        await desk.until(lambda: desk.of(Ack) or desk.of(VenueReject))
        desk.send(bid)
        await desk.until(lambda: desk.of(VenueReject))
        assert [(each.iid, each.code) for each in desk.of(VenueReject)] == [(bid.iid, "last_look:dead_man")]
        desk.send(leave)
        await desk.until(lambda: desk.of(Ack)[1:] or desk.of(VenueReject)[1:])
        assert [each.iid for each in desk.of(Ack)] == [buy.iid, leave.iid], desk.messages
        answers: list[object] = []
        link = await connect(Path(config.kill_socket), answers.append, lambda why: None)
        link.send(control(ASK, sender="kill", to="gateway"))
        async with asyncio.timeout(5):
            while not answers:
                await asyncio.sleep(0.01)
        link.close("heard")
        began = time.monotonic()
        stop.set()
        await serving
        assert time.monotonic() - began < 5

    with short_folder() as folder:
        asyncio.run(story(folder))


def test_the_time_of_a_promise_passes_while_the_machine_sleeps() -> None:
    """A time namespace sets the clock that counts sleep ahead, and only that one."""
    ahead = [shutil.which("unshare") or "unshare", "-U", "-T", "--boottime", "100000"]
    try:
        subprocess.run([*ahead, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this machine lets nobody set a namespace's time")
    code = "import time; from venues.dead_man import boot_ns; print(boot_ns() - time.monotonic_ns())"
    found = [
        int(subprocess.run([*each, sys.executable, "-c", code], check=True, capture_output=True).stdout)
        for each in ([], ahead)
    ]
    assert 99_000 * 10**9 < found[1] - found[0] < 101_000 * 10**9
