"""A gateway at an exchange that speaks KuCoin: orders, those in doubt, the kill switch.

Real sockets, real ccxt, the real exchange with its hostility switched on; the truth log is the judge.

Not here: the adapter alone (`test_kucoin_venue`), a whole desk (tests/integration/test_kucoin_desk.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.messages import (
    KIND_OF,
    Ack,
    Fill,
    Intent,
    Message,
    OrderEvent,
    Unknown,
    VenueReject,
    decode,
)
from runtime.journal import JournalReader
from tests.contract.test_hostile_streams import trade_on, trading
from tests.kit.bybit import last_price
from tests.kit.kills import home_with_gateway
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import (
    LIMITS,
    FakeDesk,
    gateway_config,
    make_intent,
    short_folder,
    unit,
)

pytestmark = pytest.mark.timeout(120)
KUCOIN: dict[str, object] = {
    "exchange": "kucoin", "name": "kucoin", "recv_window_ms": 1000, "timeout_ms": 3000, "lag_ms": 200,
}  # fmt: skip
PATIENCE_S = 30.0
HOUR_NS = 3_600_000_000_000


@contextlib.asynccontextmanager
async def gateway(**switches: object) -> AsyncIterator[tuple[SandboxProcess, FakeDesk, Path, Decimal]]:
    """Run exchange, gateway and a desk; with the journal comes the last price of BTC/USDT."""
    with short_folder() as folder:
        async with sandbox(protocol="kucoin", hostility=switches) as venue:
            limits = LIMITS | {"max_orders_per_s": 1000}
            async with unit(
                "gateway", gateway_config(folder, venue, KUCOIN, limits=limits), folder
            ) as running:
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(running.socket)
                yield venue, desk, folder / "gw.journal", await last_price(venue, "BTC/USDT", "kucoin")
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


def refusals_in(journal: Path) -> list[Message]:
    with JournalReader(journal) as reader:
        return [decode(each.body) for each in reader.records(kinds=[KIND_OF["VenueReject"]])]


def test_what_traded_at_once_is_told_before_the_answer() -> None:
    async def scenario() -> None:
        async with gateway() as (venue, desk, journal, last):
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
                assert {m.venue for m in told if isinstance(m, Fill)} <= {"kucoin"}
            fees = {fill.trade_id: (fill.fee, fill.fee_asset) for fill in desk.of(Fill)}
            assert fees == {
                str(line["trade_id"]): (Decimal(line["fee"]), line["fee_asset"])
                for line in venue.truth("trade")
            }
            traded = {str(line["trade_id"]): Decimal(line["qty"]) for line in venue.truth("trade")}
            assert {fill.trade_id: fill.qty for fill in desk.of(Fill)} == traded
            assert len(traded) >= 3

            wrong = make_intent(50, cid="an id", ref_px=last)
            desk.send(wrong)
            no = await desk.hear(VenueReject)
            assert (no.iid, no.code, no.definitive) == (wrong.iid, "last_look:client_id", True)
            assert "[a-zA-Z0-9_-]" in no.detail
            assert wrong.cid not in {line["client_order_id"] for line in venue.truth("order")}
            async with asyncio.timeout(PATIENCE_S):
                while no not in refusals_in(journal):
                    await asyncio.sleep(0.05)

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
        async with gateway(**switches) as (venue, desk, _, last):
            sent = orders(4, last)
            for intent in sent:
                desk.send(intent)
            async with asyncio.timeout(PATIENCE_S):
                await desk.until(lambda: len(desk.of(Ack)) + len(desk.of(VenueReject)) == 4)
            assert {each.iid for each in desk.of(Unknown)} == {each.iid for each in sent}
            fates: list[Ack | VenueReject] = [*desk.of(Ack), *desk.of(VenueReject)]
            assert {each.iid for each in fates} == {each.iid for each in sent}
            placed = {line["client_order_id"] for line in venue.truth("order") if line["order_id"]}
            assert placed == ({each.cid for each in sent} if exist else set())
            assert len(desk.of(Ack)) == len(placed)
            assert {each.code for each in desk.of(VenueReject)} == (set() if exist else {"not_accepted"})
            told = {fill.trade_id: (fill.qty, fill.px, fill.fee) for fill in desk.of(Fill)}
            assert told == {
                str(line["trade_id"]): (Decimal(line["qty"]), Decimal(line["price"]), Decimal(line["fee"]))
                for line in venue.truth("trade")
            }

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("shares", "what"),
    [
        ({"lost": 0.3}, "event_lost"),
        pytest.param({"swapped": 0.5}, "event_swapped", marks=pytest.mark.long),
        pytest.param({"duplicated": 0.5}, "event_duplicated", marks=pytest.mark.long),
    ],
)
def test_what_a_broken_private_stream_tells_amiss_is_known_all_the_same(
    shares: dict[str, float], what: str
) -> None:
    async def scenario() -> None:
        async with trading("kucoin", {"private": shares}, inspect_s=0.5) as place:
            await trade_on(place)
            assert len(place.hostile(what)) > 5
            assert len(place.venue.truth("trade")) > 10
            await place.even()  # every state, and every trade once with its fee

    asyncio.run(scenario())


@pytest.mark.long
def test_kill_cancels_there_too_also_with_the_key_of_a_gateway_that_hangs() -> None:
    async def scenario() -> None:
        async with home_with_gateway("kucoin") as home:
            resting = await home.rest(8)
            said = await home.kill()
            (account,) = said["accounts"]
            assert (account["cancels_sent"], account["confirmed"], account["unconfirmed"]) == (8, 8, [])
            assert home.cancelled(resting) == {each.cid for each in resting}
            home.desk.send(make_intent(100, ref_px=Decimal(50_000)))
            assert (await home.desk.hear(VenueReject)).code == "last_look:halted"
            events = {each.iid: each.status for each in home.desk.of(OrderEvent)}
            assert all(events[each.iid] == "canceled" for each in resting)

    asyncio.run(scenario())
