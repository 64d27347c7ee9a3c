"""A gateway at an exchange that speaks Kraken: orders, those in doubt, a private stream that breaks.

Real sockets, real ccxt, the real exchange with its hostility switched on; the truth log is the judge.

Not here: the adapter alone (`test_kraken_venue`), a whole desk (tests/integration/test_kraken_desk.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from parley.ids import client_order_id
from parley.messages import Ack, Fill, Intent, OrderEvent, Unknown, VenueReject
from tests.kit.cut_line import CutLine, cut_line
from tests.kit.kraken import ACCOUNTS, SECRET, last_price
from tests.kit.sandbox import KEY, Control, SandboxProcess, sandbox
from tests.kit.units import LIMITS, FakeDesk, gateway_config, make_intent, short_folder, unit
from venues.kraken_ids import wire_id

pytestmark = pytest.mark.timeout(120)
KRAKEN: dict[str, object] = {
    "exchange": "kraken", "name": "kraken", "timeout_ms": 3000, "lag_ms": 200, "granted": 1000,
}  # fmt: skip
PATIENCE_S = 30.0


@contextlib.asynccontextmanager
async def gateway(
    **switches: object,
) -> AsyncIterator[tuple[SandboxProcess, FakeDesk, Control, CutLine, Decimal]]:
    """Run exchange, gateway and a desk; with them come the market, the sockets' line, and the last price."""
    with short_folder() as folder:
        exchange = sandbox(protocol="kraken", accounts=ACCOUNTS, hostility=switches)
        async with exchange as venue, cut_line(venue.ws) as (line, ws):
            limits = LIMITS | {"max_orders_per_s": 1000}
            config = gateway_config(folder, venue, KRAKEN | {"ws": ws}, limits=limits)
            (folder / "keys.json").write_text(json.dumps({"api_key": KEY, "secret": SECRET}))
            async with unit("gateway", config, folder) as running:
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(running.socket)
                yield venue, desk, market, line, await last_price(venue, "BTC/USDT")
                desk.link.close("the test is over")
                await market.hang_up()


def cid_of(n: int) -> str:
    return client_order_id(b"k" * 32, "abcde", n.to_bytes(16))


def orders(count: int, last: Decimal) -> list[Intent]:
    """Make market orders and resting ones in turn."""
    made = []
    for n in range(count):
        over: dict[str, Any] = {"ref_px": last, "qty": Decimal("0.2"), "cid": cid_of(n)}
        if n % 2:
            over |= {"style": "limit", "tif": "GTC", "px": (last * Decimal("0.99")).quantize(Decimal("0.01"))}
        made.append(make_intent(n, **over))
    return made


def traded(venue: SandboxProcess) -> dict[str, tuple[Decimal, ...]]:
    return {
        str(line["trade_id"]): tuple(Decimal(line[name]) for name in ("qty", "price", "fee"))
        for line in venue.truth("trade")
    }


def told(desk: FakeDesk) -> dict[str, tuple[Decimal, ...]]:
    return {fill.trade_id: (fill.qty, fill.px, fill.fee) for fill in desk.of(Fill)}


def test_what_traded_at_once_is_told_before_the_answer() -> None:
    async def scenario() -> None:
        async with gateway() as (venue, desk, _, _, last):
            for intent in orders(6, last):
                desk.send(intent)
            await desk.until(lambda: len(desk.of(Ack)) == 6)
            for ack in desk.of(Ack):
                at = desk.messages.index(ack)
                before = [
                    m for m in desk.messages[:at] if isinstance(m, Fill | OrderEvent) and m.iid == ack.iid
                ]
                states = [m.status for m in before if isinstance(m, OrderEvent)]
                assert states[-1] == ("closed" if any(isinstance(m, Fill) for m in before) else "open")
                # market time, not the machine's: lock-step runs are alike
                assert ack.t_venue // 1_000_000 == venue.truth("order")[-1]["t"]
            assert told(desk) == traded(venue)
            assert len(traded(venue)) >= 3
            assert {fill.venue for fill in desk.of(Fill)} == {"kraken"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("switches", "exist"),
    [
        pytest.param({"lost": 1.0}, True, id="answer lost"),
        pytest.param(
            {"failed": 1.0, "lookup_lag_ms": 150}, True, id="5xx after accepting", marks=pytest.mark.long
        ),
        pytest.param({"dropped": 1.0}, False, id="request lost", marks=pytest.mark.long),
    ],
)
def test_an_order_in_doubt_has_the_fate_that_the_exchange_knows(
    switches: dict[str, object], exist: bool
) -> None:
    async def scenario() -> None:
        async with gateway(**switches) as (venue, desk, _, _, last):
            sent = orders(4, last)
            for intent in sent:
                desk.send(intent)
            async with asyncio.timeout(PATIENCE_S):
                await desk.until(lambda: len(desk.of(Ack)) + len(desk.of(VenueReject)) == 4)
            assert {each.iid for each in desk.of(Unknown)} == {each.iid for each in sent}
            placed = [line["client_order_id"] for line in venue.truth("order") if line["status"] == "NEW"]
            assert sorted(placed) == (sorted(wire_id(each.cid) for each in sent) if exist else [])
            assert len(desk.of(Ack)) == len(placed)
            assert {each.code for each in desk.of(VenueReject)} == (set() if exist else {"not_accepted"})
            assert told(desk) == traded(venue)

    asyncio.run(scenario())


def test_executions_of_a_broken_private_stream_are_told_when_it_stands_again() -> None:
    async def scenario() -> None:
        async with gateway() as (venue, desk, market, line, last):
            sent = [
                make_intent(
                    n, ref_px=last, qty=Decimal("0.3"), style="limit", tif="GTC", side=side,
                    px=(last * (1 + offset)).quantize(Decimal("0.01")), cid=cid_of(n),
                )
                for n, (side, offset) in enumerate(
                    [("buy", Decimal("-0.0005")), ("buy", Decimal("-0.2")), ("sell", Decimal("0.0005"))]
                )
            ]  # fmt: skip
            for intent in sent:
                desk.send(intent)
            await desk.until(lambda: len(desk.of(Ack)) == len(sent))
            before = len(traded(venue))
            line.cut()
            await market.steps(12)
            assert len(traded(venue)) > before  # while nobody heard it
            line.mend()
            async with asyncio.timeout(PATIENCE_S):
                await desk.until(lambda: told(desk) == traded(venue))
            assert len(desk.of(Fill)) == len(traded(venue))

    asyncio.run(scenario())
