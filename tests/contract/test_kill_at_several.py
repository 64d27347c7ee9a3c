"""A kill takes the place of a dead gateway at several exchanges of which one is away.

Not here: one exchange (`test_kill`), orders while a gateway lives (`test_gateway_at_several`).
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from parley.errors import UserError
from parley.messages import Ack, Intent
from runtime.kill_takeover import take_over_from
from tests.kit.several_stage import SeveralStage, staged_several
from tests.kit.units import FakeDesk, start

pytestmark = pytest.mark.timeout(120)
NOBODY = "http://127.0.0.1:9"


def without(stage: SeveralStage, *names: str) -> Path:
    """Write the gateway's configuration as it is where nobody answers at some exchanges."""
    config: dict[str, Any] = json.loads(json.dumps(stage.config))
    for each in (config["venue"], *config["also"]):
        if each["name"] in names:
            each["rest"] = NOBODY
    file = stage.folder / "killed.json"
    file.write_text(json.dumps(config))
    return file


def canceled(stage: SeveralStage, name: str) -> set[str]:
    told = stage.exchanges[name].venue.truth("order")
    return {each["client_order_id"] for each in told if each["status"].upper().startswith("CANCEL")}


async def dies_with_orders_at_work(stage: SeveralStage) -> dict[str, Intent]:
    """Leave an order resting at every exchange; these by exchange."""
    orders = {name: each.orders.limit("0.9") for name, each in stage.exchanges.items()}
    for each in orders.values():
        stage.desk.send(each)
    iids = {each.iid for each in orders.values()}
    await stage.desk.until(lambda: iids <= {each.iid for each in stage.desk.of(Ack)})
    stage.gateway.process.kill()
    await stage.gateway.process.wait()
    return orders


async def comes_back(stage: SeveralStage) -> None:
    stage.gateway = await start("gateway", stage.config, stage.folder)
    stage.desk = await FakeDesk.connect(stage.gateway.socket)


@pytest.mark.parametrize(("away", "there"), [("bybit", "binance"), ("binance", "bybit")])
def test_an_exchange_that_is_away_keeps_no_order_alive_at_another(away: str, there: str) -> None:
    async def run() -> None:
        async with staged_several("binance", "bybit") as stage:
            orders = await dies_with_orders_at_work(stage)
            done = await take_over_from(without(stage, away), lambda _: True)
            assert (done.swept.sent, done.swept.confirmed) == (1, 1)
            (left,) = done.swept.unconfirmed
            assert left.startswith(f"{orders[away].cid} ({away} cannot be reached: ")
            assert canceled(stage, there) == {orders[there].cid}
            assert canceled(stage, away) == set()
            await comes_back(stage)

    asyncio.run(run())


def test_a_kill_that_reaches_no_exchange_says_so() -> None:
    async def run() -> None:
        async with staged_several("binance", "bybit") as stage:
            await dies_with_orders_at_work(stage)
            with pytest.raises(UserError, match=r"the venue '(binance|bybit)' cannot be reached: "):
                await take_over_from(without(stage, "binance", "bybit"), lambda _: True)
            await comes_back(stage)

    asyncio.run(run())
