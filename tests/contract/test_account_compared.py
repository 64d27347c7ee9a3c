"""A real gateway with real money at a real exchange: its account closes when the line breaks, then opens.

Not here: what a desk makes of it (unit tests of `orchestrator`), every way balances differ
(tests/unit/runtime/test_account_watch.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal as D

import msgspec
import pytest

from parley.messages import Ack, Compared, Fill, Gap
from runtime import account_watch
from runtime import gateway as gateway_unit
from runtime.gateway_config import GatewayConfig
from tests.contract.test_hostile_streams import served
from tests.kit.cut_line import cut_line
from tests.kit.sandbox import ACCOUNT, sandbox
from tests.kit.units import FakeDesk, gateway_config, make_intent, short_folder
from tests.kit.venues import last_price

pytestmark = pytest.mark.timeout(60)
BTC = "BTC/USDT"
MONEY = {"quote": "USDT", "capital": "100000", "max_clock_offset_ms": 1000.0}


def streams(desk: FakeDesk) -> list[str]:
    """What was told of the account, in order."""
    told = [each for each in desk.messages if isinstance(each, Gap | Compared)]
    found = ["+" if isinstance(each, Compared) else each.stream for each in told]
    return [each for n, each in enumerate(found) if not n or found[n - 1] != each]  # each try tells its gap


def test_account_closes_with_its_stream_and_with_what_lacks_and_opens_when_balances_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account_watch, "_STANDS_AFTER_S", 1.5)
    monkeypatch.setattr(account_watch, "_SETTLES_S", 0.6)
    mine = ACCOUNT | {"can_withdraw": False}

    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(accounts=[mine]) as venue, cut_line(venue.ws) as (line, address):
                raw = gateway_config(folder, venue, {"ws": address}, real_money=MONEY, inspect_s=0.3)
                config = msgspec.json.decode(msgspec.json.encode(raw), type=GatewayConfig)
                async with served(folder / "gw.sock", lambda stop: gateway_unit.serve(config, stop)):
                    market = await venue.control()
                    await market.go()
                    await market.steps(1)
                    desk = await FakeDesk.connect(folder / "gw.sock")
                    px = await last_price(venue, BTC, "binance")

                    async def buy(n: int) -> None:
                        desk.send(make_intent(n, ref_px=px, qty=D("0.01")))
                        await desk.until(lambda: len(desk.of(Ack)) == n)

                    await buy(1)
                    line.cut()
                    await desk.until(lambda: streams(desk)[-1:] == ["user"])
                    await buy(2)  # its fills came with the answer
                    assert streams(desk)[-1] == "user"
                    line.mend()
                    await desk.until(lambda: streams(desk)[-1:] == ["+"])
                    async with venue.client() as owner:
                        await owner.create_order(BTC, "market", "sell", 0.015)
                        await desk.until(lambda: streams(desk)[-1:] == ["account"])
                        await owner.create_order(BTC, "market", "buy", 0.02)
                        await asyncio.sleep(1.0)
                        # what the owner lost on it is still gone from the quote
                        assert streams(desk)[-1] == "account"
                    assert sum(each.qty for each in desk.of(Fill)) == D("0.02")
                    told = streams(desk)
                    assert told[-3:] == ["user", "+", "account"]
                    desk.link.close("the test is over")
                    await market.hang_up()

    asyncio.run(run())
