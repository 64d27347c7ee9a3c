"""A gateway at an exchange that speaks Hyperliquid: orders, those in doubt, and its private key.

Real sockets, real ccxt, the real exchange with its hostility switched on; the truth log is the judge.

Not here: the adapter alone (`test_hyperliquid_venue`), a whole desk
(tests/integration/test_hyperliquid_desk.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Ack, Fill, Intent, OrderEvent, Unknown, VenueReject
from tests.kit.hyperliquid import BTC, PRIVATE_KEY, SANDBOX, last_price, write_keys
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import FakeDesk, gateway_config, make_cancel, make_intent, short_folder, unit
from venues.hyperliquid_cloids import cloid_of

pytestmark = pytest.mark.timeout(120)
HYPERLIQUID: dict[str, object] = {
    "exchange": "hyperliquid", "name": "hyperliquid", "symbols": [BTC, "ETH/USDC"], "recv_window_ms": 1000,
    "timeout_ms": 3000, "lag_ms": 200, "granted": 100_000,
}  # fmt: skip
LIMITS = {
    "max_notional": {"USDC": "5000000"}, "max_position": {"USDC": "9000000"}, "max_orders_per_s": 1000,
}  # fmt: skip
PATIENCE_S = 30.0


@contextlib.asynccontextmanager
async def gateway(**switches: object) -> AsyncIterator[tuple[SandboxProcess, FakeDesk, Path, Decimal]]:
    """Run exchange, gateway and a desk; with the folder comes the last price of BTC/USDC."""
    with short_folder() as folder:
        async with sandbox(**(SANDBOX | {"hostility": switches})) as venue:
            config = gateway_config(folder, venue, HYPERLIQUID, limits=LIMITS)
            write_keys(folder / "keys.json")
            async with unit("gateway", config, folder) as running:
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(running.socket)
                yield venue, desk, folder, await last_price(venue)
                desk.link.close("the test is over")
                await market.hang_up()


def orders(count: int, last: Decimal) -> list[Intent]:
    """Make market orders and resting ones in turn."""
    made = []
    for n in range(count):
        over: dict[str, Any] = {"symbol": BTC, "ref_px": last, "qty": Decimal("0.2")}
        if n % 2:
            over |= {"style": "limit", "tif": "GTC", "px": (last * Decimal("0.99")).quantize(Decimal(1))}
        made.append(make_intent(n, **over))
    return made


def test_what_traded_at_once_is_told_before_the_answer_and_the_key_nowhere() -> None:
    async def scenario() -> None:
        async with gateway() as (venue, desk, folder, last):
            sent = orders(6, last)
            for intent in sent:
                desk.send(intent)
            await desk.until(lambda: len(desk.of(Ack)) == 6)
            for ack in desk.of(Ack):
                at = desk.messages.index(ack)
                told = [
                    m for m in desk.messages[:at] if isinstance(m, Fill | OrderEvent) and m.iid == ack.iid
                ]
                states = [m.status for m in told if isinstance(m, OrderEvent)]
                assert states[-1] == ("closed" if any(isinstance(m, Fill) for m in told) else "open")
            traded = {str(line["trade_id"]): Decimal(line["qty"]) for line in venue.truth("trade")}
            assert {fill.trade_id: fill.qty for fill in desk.of(Fill)} == traded
            assert len(traded) >= 3
            desk.send(make_cancel(sent[1]))
            await desk.until(lambda: any(m.status == "canceled" for m in desk.of(OrderEvent)))

            wrong = make_intent(50, symbol=BTC, cid="an_id", ref_px=last)
            desk.send(wrong)
            no = await desk.hear(VenueReject)
            assert (no.iid, no.code, no.definitive) == (wrong.iid, "last_look:client_id", True)
            digits = PRIVATE_KEY.removeprefix("0x").encode()
            written = [each for each in folder.rglob("*") if each.is_file() and each.name != "keys.json"]
            assert len(written) >= 3
            assert [each for each in written if digits in each.read_bytes().lower()] == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("switches", "exist"),
    [
        pytest.param({"lost": 1.0}, True, id="answer lost"),
        pytest.param(
            {"failed": 1.0, "lookup_lag_ms": 150}, True, id="5xx after accepting", marks=pytest.mark.long
        ),
        pytest.param({"dropped": 1.0}, False, id="request lost", marks=pytest.mark.long),
        pytest.param(
            {"lost": 1.0, "private": {"lost": 0.5}}, True, id="answer and events lost", marks=pytest.mark.long
        ),
    ],
)
def test_an_order_in_doubt_has_the_fate_that_the_exchange_knows(
    switches: dict[str, object], exist: bool
) -> None:
    async def scenario() -> None:
        async with gateway(**switches) as (venue, desk, _, last):
            sent = orders(4, last)
            for intent in sent:
                desk.send(intent)
            async with asyncio.timeout(PATIENCE_S):
                await desk.until(lambda: len(desk.of(Ack)) + len(desk.of(VenueReject)) == 4)
            assert {each.iid for each in desk.of(Unknown)} == {each.iid for each in sent}
            fates: list[Ack | VenueReject] = [*desk.of(Ack), *desk.of(VenueReject)]
            assert {each.iid for each in fates} == {each.iid for each in sent}
            placed: dict[str, set[int]] = {}
            for line in venue.truth("order"):
                placed.setdefault(line["client_order_id"], set()).add(line["order_id"])
            assert set(placed) == ({cloid_of(each.cid) for each in sent} if exist else set())
            assert all(len(numbers) == 1 for numbers in placed.values())  # no order twice
            assert len(desk.of(Ack)) == len(placed)
            assert {each.code for each in desk.of(VenueReject)} == (set() if exist else {"not_accepted"})
            told = {fill.trade_id: (fill.qty, fill.px, fill.fee) for fill in desk.of(Fill)}
            assert told == {
                str(line["trade_id"]): (Decimal(line["qty"]), Decimal(line["price"]), Decimal(line["fee"]))
                for line in venue.truth("trade")
            }

    asyncio.run(scenario())
