"""How long an exchange remembers an ended stop may differ from how long it does an order.

Not here: what the absence of an order says (test_doubts, test_resolution).
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Balance, Intent
from runtime.doubts import Doubts
from runtime.gateway_config import CcxtConfig, GatewayConfig
from runtime.gateway_log import Alive, GatewayLog, Recovered
from runtime.gateway_orders import Gateway
from runtime.lastlook import Counters, Limits
from tests.kit.units import make_intent
from venues.capabilities import CAPABILITIES, Capabilities, weakest
from venues.null_venue import NullVenue
from venues.port import Absent, Ambiguous, SendResult

HOUR_NS = 3_600_000_000_000
CAP = {"USDT": Decimal(1000)}
ORDER = make_intent(1, venue="okx")
STOP, OLD = (
    make_intent(n, venue="okx", side="sell", reduce_only=True, style="stop_limit", trigger=Decimal(1))
    for n in (2, 3)
)


class Okx(NullVenue):
    """OKX by its row; nothing is answered, and nothing is found."""

    def __init__(self) -> None:
        super().__init__(("BTC/USDT",), (("USDT", Decimal(100)),), "okx")
        self.looks = 0

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES["okx"]

    async def send(self, intent: Intent) -> SendResult:
        return Ambiguous(cause="cut")

    async def look_up(self, intent: Intent) -> Absent:
        self.looks += 1
        return Absent()


async def gateway_at(venue: Okx, folder: Path) -> tuple[Gateway, GatewayLog]:
    journal = folder / "gw.journal"
    config = GatewayConfig(
        account="main", socket="", journal=str(journal), instruments="",
        venue=CcxtConfig(symbols=("BTC/USDT",), keys_file="", name="okx"),
        limits=Limits(max_notional=CAP, max_position=CAP, cash=("USDT",)),
    )  # fmt: skip
    log = GatewayLog(journal, {}, asyncio.get_running_loop(), lambda error: None)
    balance = Balance(account="main", venue="okx", assets=(), t=0)
    return Gateway(config, venue, await venue.connect(), Counters(), log, balance, lambda: None), log


def test_a_stop_of_an_earlier_life_is_remembered_for_longer_than_an_order(tmp_path: Path) -> None:
    async def run() -> None:
        gateway, log = await gateway_at(Okx(), tmp_path)
        now = time.time_ns()
        ages_h = {ORDER: 3, STOP: 3, OLD: 90 * 24}
        alive = tuple(
            Alive(intent=each, fence_until=now - hours * HOUR_NS, is_known=True)
            for each, hours in ages_h.items()
        )
        gateway.adopt(Recovered(counters=Counters(), alive=alive))
        assert gateway.doubts.unsettled(each.iid for each in ages_h) == {STOP.iid}
        log.close()

    asyncio.run(run())


@pytest.mark.parametrize(("intent", "hours"), [(ORDER, 2), (STOP, 89 * 24)])
def test_so_is_one_whose_answer_was_lost(tmp_path: Path, intent: Intent, hours: int) -> None:
    async def run() -> None:
        gateway, log = await gateway_at(Okx(), tmp_path)
        opened: list[int] = []

        def open_(intent: Intent, fence: int, *, sure_until: int) -> None:
            opened.append(sure_until - fence)

        gateway.doubts.open = open_  # type: ignore[method-assign, assignment]
        gateway._passing.unsendable = lambda intent: None  # type: ignore[method-assign]
        attempt = gateway._attempt(intent, b"", 0, time.monotonic_ns())
        await gateway._place(intent, attempt, 0, 0)
        assert opened == [hours * HOUR_NS]
        log.close()

    asyncio.run(run())


@pytest.mark.parametrize("hours", [3, 88 * 24, 90 * 24, 120 * 24])
def test_a_known_stop_that_okx_does_not_list_is_in_doubt_however_old(hours: int) -> None:
    ended: list[Any] = []

    class Ends:
        def found(self, intent: Intent, order: object, *, is_known: bool) -> None:
            ended.append(order)

    async def run() -> None:
        venue, ends = Okx(), Ends()
        asked = Doubts(venue, ends)  # type: ignore[arg-type]
        sent = time.monotonic_ns() - hours * HOUR_NS
        until = sent + venue.capabilities.remembered_ns(STOP)
        asked.open(STOP, sent, is_known=True, sure_until=until)
        asked.measured(0)
        running = asyncio.ensure_future(asked.run())
        async with asyncio.timeout(10):
            while venue.looks < 3:
                await asyncio.sleep(0.01)
        assert [each.cid for each in asked.told()] == [STOP.cid]
        assert not ended
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_of_several_exchanges_the_shortest_memory_counts() -> None:
    bybit, okx = (CAPABILITIES[each] for each in ("bybit", "okx"))
    assert weakest([bybit, okx]).remembered_ns(STOP) == bybit.remembered_ns(STOP) == bybit.retention_ns
    assert weakest([okx, CAPABILITIES["binance"]]).remembered_ns(STOP) == okx.remembered_ns(STOP)
    assert okx.remembered_ns(ORDER) == okx.retention_ns
