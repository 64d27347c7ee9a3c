"""A gateway at an exchange that speaks Coinbase: orders, those in doubt, a private stream that breaks.

Real sockets, real ccxt, the real exchange with its hostility switched on; the truth log is the judge.

Not here: the adapter alone (`test_coinbase_venue`), a whole desk (tests/integration/test_coinbase_desk.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from parley.messages import Ack, Fill, Intent, OrderEvent, Unknown, VenueReject
from tests.kit.coinbase import PEM, coinbase, price_of
from tests.kit.cut_line import CutLine, cut_line
from tests.kit.sandbox import KEY, Control, SandboxProcess
from tests.kit.units import LIMITS, FakeDesk, gateway_config, make_intent, short_folder, unit

pytestmark = pytest.mark.timeout(120)
COINBASE: dict[str, object] = {
    "exchange": "coinbase", "name": "coinbase", "recv_window_ms": 1500, "timeout_ms": 3000, "lag_ms": 200,
}  # fmt: skip
PATIENCE_S = 30.0


@contextlib.asynccontextmanager
async def gateway(
    **switches: object,
) -> AsyncIterator[tuple[SandboxProcess, FakeDesk, Control, CutLine, Decimal]]:
    """Run exchange, gateway and a desk, with a line before the private stream; the last price comes too."""
    with short_folder() as folder:
        async with coinbase(hostility=switches) as venue, cut_line(venue.ws) as (line, ws):
            limits = LIMITS | {"max_orders_per_s": 1000}
            config = gateway_config(folder, venue, COINBASE | {"ws": ws}, limits=limits, inspect_s=30.0)
            keys = {"api_key": KEY, "secret": PEM, "passphrase": ""}
            (folder / "keys.json").write_text(json.dumps(keys))
            async with unit("gateway", config, folder) as running:
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(running.socket)
                yield venue, desk, market, line, await price_of(venue, "BTC/USDT")
                desk.link.close("the test is over")
                await market.hang_up()


def orders(count: int, last: Decimal) -> list[Intent]:
    """Make market orders and resting ones in turn."""
    made = []
    for n in range(count):
        over: dict[str, Any] = {"ref_px": last, "qty": Decimal("0.2")}
        if n % 2:
            over |= {"style": "limit", "tif": "GTC", "px": (last * Decimal("0.99")).quantize(Decimal("0.01"))}
        made.append(make_intent(n, **over))
    return made


def fills_of(desk: FakeDesk) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    return {fill.trade_id: (fill.qty, fill.px, fill.fee) for fill in desk.of(Fill)}


def trades_of(venue: SandboxProcess) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    return {
        str(line["trade_id"]): (Decimal(line["qty"]), Decimal(line["price"]), Decimal(line["fee"]))
        for line in venue.truth("trade")
    }


def test_what_traded_at_once_is_told_before_the_answer() -> None:
    async def scenario() -> None:
        async with gateway() as (venue, desk, _, _, last):
            for intent in orders(6, last):
                desk.send(intent)
            await desk.until(lambda: len(desk.of(Ack)) == 6)
            for ack in desk.of(Ack):
                at = desk.messages.index(ack)
                told = [
                    m for m in desk.messages[:at] if isinstance(m, Fill | OrderEvent) and m.iid == ack.iid
                ]
                states = [m.status for m in told if isinstance(m, OrderEvent)]
                assert states[-1] == ("closed" if any(isinstance(m, Fill) for m in told) else "open")
                assert {m.venue for m in told if isinstance(m, Fill)} <= {"coinbase"}
            assert fills_of(desk) == trades_of(venue)
            assert len(fills_of(desk)) >= 3
            # the stream tells the same again: once is enough
            await asyncio.sleep(0.3)
            assert len(desk.of(Fill)) == len(trades_of(venue))

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
            fates = {each.iid for each in desk.of(Ack)} | {each.iid for each in desk.of(VenueReject)}
            assert fates == {each.iid for each in sent}
            placed = [line for line in venue.truth("order") if line["order_id"]]
            assert {line["client_order_id"] for line in placed} == (
                {each.cid for each in sent} if exist else set()
            )
            assert len({line["order_id"] for line in placed}) == len(desk.of(Ack))
            assert {each.code for each in desk.of(VenueReject)} == (set() if exist else {"not_accepted"})
            assert fills_of(desk) == trades_of(venue)

    asyncio.run(scenario())


def test_executions_of_a_broken_private_stream_are_read_when_it_stands_again() -> None:
    async def scenario() -> None:
        async with gateway() as (venue, desk, market, line, last):
            sent = [
                make_intent(
                    n, ref_px=last, qty=Decimal("0.3"), style="limit", tif="GTC", side=side,
                    px=(last * (1 + offset)).quantize(Decimal("0.01")),
                )
                for n, (side, offset) in enumerate(
                    [("buy", Decimal("-0.0005")), ("buy", Decimal("-0.001")), ("sell", Decimal("0.0005"))]
                )
            ]  # fmt: skip
            for intent in sent:
                desk.send(intent)
            await desk.until(lambda: len(desk.of(Ack)) == len(sent))
            before = len(trades_of(venue))
            line.cut()
            for _ in range(12):
                await market.steps(1)
            assert len(trades_of(venue)) > before  # while nobody heard it
            line.mend()
            async with asyncio.timeout(PATIENCE_S):
                await desk.until(lambda: fills_of(desk) == trades_of(venue))
            ended = {each["client_order_id"] for each in venue.truth("order") if each["status"] == "FILLED"}
            async with asyncio.timeout(PATIENCE_S):
                await desk.until(
                    lambda: (
                        {each.iid for each in sent if each.cid in ended}
                        <= {each.iid for each in desk.of(OrderEvent) if each.status == "closed"}
                    )
                )
            assert len(desk.of(Fill)) == len(trades_of(venue))

    asyncio.run(scenario())
