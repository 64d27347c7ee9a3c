"""A gateway at a venue that nobody certified: ccxt's Bybit of Indonesia and OKX of the United States.

These classes of ccxt have no adapter here and speak protocols that the sandbox has; nothing is told to the
gateway but their names and the sandbox's addresses. The truth log is the judge.

Not here: the adapter alone (`test_generic_venue`).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from parley.messages import Ack, Fill, OrderEvent, Unknown, VenueReject
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import (
    LIMITS,
    FakeDesk,
    UnitEndedError,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
    start,
    unit,
)
from tests.kit.venues import last_price

pytestmark = pytest.mark.timeout(120)
PROTOCOLS = {"bybitid": "bybit", "okxus": "okx"}
SYMBOLS = ["BTC/USDT", "ETH/USDT"]


def target(exchange: str) -> dict[str, object]:
    return {
        "exchange": exchange, "name": exchange, "symbols": SYMBOLS, "recv_window_ms": 1000,
        "timeout_ms": 3000, "lag_ms": 200, "granted": 1000,
    }  # fmt: skip


def traded(venue: SandboxProcess) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    return {
        str(line["trade_id"]): (Decimal(line["qty"]), Decimal(line["price"]), Decimal(line["fee"]))
        for line in venue.truth("trade")
    }


@pytest.mark.parametrize(
    ("exchange", "fate"),
    [
        pytest.param("okxus", "", marks=pytest.mark.long),
        ("bybitid", "lost"),
        pytest.param("bybitid", "", marks=pytest.mark.long),
        pytest.param("okxus", "lost", marks=pytest.mark.long),
        pytest.param("bybitid", "dropped", marks=pytest.mark.long),
        pytest.param("okxus", "dropped", marks=pytest.mark.long),
    ],
)
def test_orders_have_the_fate_that_the_exchange_knows(exchange: str, fate: str) -> None:
    protocol = PROTOCOLS[exchange]

    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(protocol=protocol, hostility={fate: 1.0} if fate else {}) as venue:
                config = gateway_config(folder, venue, target(exchange))
                async with unit("gateway", config, folder) as gateway:
                    last = await last_price(venue, "BTC/USDT", protocol)
                    desk = await FakeDesk.connect(gateway.socket)
                    hi, lo = ((last * Decimal(each)).quantize(Decimal("0.01")) for each in ("1.01", "0.99"))
                    over = {"venue": exchange, "style": "limit", "ref_px": last, "qty": Decimal("0.2")}
                    taken = make_intent(1, tif="IOC", px=hi, **over)
                    resting = make_intent(2, tif="GTC", px=lo, **over)
                    for each in (taken, resting):
                        desk.send(each)
                    if fate == "dropped":
                        await desk.until(lambda: len(desk.of(Unknown)) == 2)
                        await asyncio.sleep(3)  # longer than Bybit's and OKX's own adapters need for a no
                        assert (desk.of(Ack), desk.of(VenueReject)) == ([], [])
                        assert not [line for line in venue.truth("order") if line["order_id"]]
                        desk.link.close("the test is over")
                        return
                    await desk.until(lambda: len(desk.of(Ack)) == 2)
                    assert len(desk.of(Unknown)) == (2 if fate else 0)
                    desk.send(make_cancel(resting))
                    await desk.until(
                        lambda: (
                            {(each.iid, each.status) for each in desk.of(OrderEvent)}
                            >= {(taken.iid, "closed"), (resting.iid, "canceled")}
                        )
                    )
                    told = {each.trade_id: (each.qty, each.px, each.fee) for each in desk.of(Fill)}
                    assert told == traded(venue)
                    assert sum(qty for qty, _, _ in told.values()) == taken.qty
                    placed = {line["order_id"] for line in venue.truth("order") if line["order_id"]}
                    assert len(placed) == 2
                    desk.link.close("the test is over")

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("exchange", sorted(PROTOCOLS))
def test_a_stream_that_repeats_and_reorders_changes_nothing(exchange: str) -> None:
    protocol = PROTOCOLS[exchange]

    async def run() -> None:
        with short_folder() as folder:
            hostile = {"private": {"duplicated": 0.4, "swapped": 0.4}, "lost": 0.3}
            async with sandbox(protocol=protocol, hostility=hostile) as venue:
                config = gateway_config(
                    folder, venue, target(exchange), limits=LIMITS | {"max_orders_per_s": 1000}
                )
                async with unit("gateway", config, folder) as gateway:
                    last = await last_price(venue, "BTC/USDT", protocol)
                    desk = await FakeDesk.connect(gateway.socket)
                    hi = (last * Decimal("1.01")).quantize(Decimal("0.01"))
                    over = {"venue": exchange, "style": "limit", "px": hi, "ref_px": last}
                    sent = [make_intent(n, tif="IOC", qty=Decimal("0.01"), **over) for n in range(1, 25)]
                    for each in sent:
                        desk.send(each)
                    await desk.until(lambda: len(desk.of(Ack)) == len(sent))
                    wanted = {(each.iid, "closed") for each in sent}
                    await desk.until(
                        lambda: {(each.iid, each.status) for each in desk.of(OrderEvent)} >= wanted
                    )
                    fills = desk.of(Fill)
                    told = {each.trade_id: (each.qty, each.px, each.fee) for each in fills}
                    assert told == traded(venue)
                    assert len(told) == len(fills)  # none told twice
                    desk.link.close("the test is over")

    asyncio.run(run())


@pytest.mark.parametrize(
    "over",
    [
        pytest.param(
            {"real_money": {"quote": "USDT", "capital": "100", "max_clock_offset_ms": 100}}, id="real money"
        ),
        pytest.param({}, id="its own addresses"),
    ],
)
def test_nothing_is_traded_there_with_real_money_and_every_lack_is_named(over: dict[str, object]) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(protocol="okx") as venue:
                wanted = target("okxus") | ({} if over else {"rest": "", "ws": ""})
                config = gateway_config(folder, venue, wanted, **over)
                with pytest.raises(UnitEndedError) as ended:
                    await start("gateway", config, folder)
            assert ended.value.code == 2
            assert (
                "the venue 'okxus' cannot be traded at: no certified adapter; no look-up by client order id"
                " among open and closed orders; no deadline of its own for a request (fence)"
            ) in ended.value.errors
            assert not (folder / "gw.journal").exists()

    asyncio.run(run())
