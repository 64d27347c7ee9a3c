"""A gateway whose venue does not answer, answers wrongly, acts late or shows late what exists.

Real sockets, real ccxt, the real exchange with its hostility switched on; the truth log is the judge.

Not here: an exchange that answers (`test_gateway`), when absence counts (unit tests).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.messages import (
    KIND_OF,
    Ack,
    Alarm,
    Attempt,
    Fill,
    Gap,
    Intent,
    OrderEvent,
    Unknown,
    VenueReject,
    decode,
)
from runtime.gateway_log import NOT_ACCEPTED
from runtime.journal import JournalReader
from runtime.resync import RESYNCED, Resync
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import LIMITS, FakeDesk, UnitProcess, gateway_config, make_intent, short_folder, unit

pytestmark = pytest.mark.timeout(120)
PATIENCE_S = 30.0
SOON_S = 1.0
QUICK: dict[str, object] = {"recv_window_ms": 1000, "timeout_ms": 3000, "lag_ms": 400}
ROOMY = LIMITS | {"max_orders_per_s": 1000}
numbers = itertools.count(10_000)


@contextlib.asynccontextmanager
async def hostile(
    folder: Path, switches: dict[str, object], **venue_over: object
) -> AsyncIterator[tuple[SandboxProcess, UnitProcess, FakeDesk]]:
    """Run a hostile exchange, a gateway and a desk, with one step of market played."""
    async with sandbox(hostility=switches) as venue:
        config = gateway_config(folder, venue, venue_over={**QUICK, **venue_over}, limits=ROOMY)
        async with unit("gateway", config, folder) as gateway:
            market = await venue.control()
            await market.go()
            await market.steps(1)
            desk = await FakeDesk.connect(gateway.socket)
            yield venue, gateway, desk
            desk.link.close("the test is over")
            await market.hang_up()


async def orders(venue: SandboxProcess, count: int, *, resting: bool | None = None) -> list[Intent]:
    """Make market orders and resting ones in turn, on three symbols."""
    symbols = ("BTC/USDT", "ETH/USDT", "LTC/USDT")
    async with venue.client() as exchange:
        last = {s: Decimal((await exchange.fetch_ticker(s))["info"]["lastPrice"]) for s in symbols}
    made = []
    for n in range(count):
        symbol = symbols[n % 3]
        over: dict[str, Any] = {"symbol": symbol, "ref_px": last[symbol], "qty": Decimal("0.2")}
        if resting or (resting is None and n % 2):
            px = (last[symbol] * Decimal("0.9")).quantize(Decimal("0.01"))
            over |= {"style": "limit", "tif": "GTC", "px": px}
        made.append(make_intent(next(numbers), **over))
    return made


def decided(desk: FakeDesk) -> set[bytes]:
    """Of which orders the desk knows whether they exist."""
    return {each.iid for each in desk.of(Ack) if not each.cancel} | {
        each.iid for each in desk.of(VenueReject) if each.definitive and not each.cancel
    }


async def until_decided(desk: FakeDesk, sent: Sequence[Intent]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not decided(desk) >= {each.iid for each in sent}:
            await asyncio.sleep(0.02)


def judge(venue: SandboxProcess, desk: FakeDesk, sent: Sequence[Intent]) -> Counter[str]:
    """Compare what the desk was told with what the exchange did; return how many orders met which fate."""
    placed: dict[str, dict[int, dict[str, Any]]] = {}
    for entry in venue.truth("order"):
        if entry["order_id"] is not None:
            placed.setdefault(entry["client_order_id"], {})[entry["order_id"]] = entry
    assert placed.keys() <= {each.cid for each in sent}
    trades = {str(entry["trade_id"]): entry for entry in venue.truth("trade")}
    met: Counter[str] = Counter()
    for intent in sent:
        # a desk that comes back may be told again what it was just told
        acks = list({each for each in desk.of(Ack) if each.iid == intent.iid})
        no = list({each for each in desk.of(VenueReject) if each.iid == intent.iid and each.definitive})
        there = placed.get(intent.cid, {})
        assert len(there) <= 1, f"{intent.cid} exists {len(there)} times"
        assert (len(acks), len(no)) == ((1, 0) if there else (0, 1)), intent.cid
        met["placed" if there else no[0].code] += 1
        if there:
            (order,) = there.values()
            last = [each for each in desk.of(OrderEvent) if each.iid == intent.iid][-1]
            states = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "closed", "EXPIRED": "expired"}
            assert (last.status, last.cum_qty) == (states[order["status"]], Decimal(order["cum_qty"]))
            assert last.venue_id == str(order["order_id"]) == acks[0].venue_id
    fills = set(desk.of(Fill))
    assert len({each.trade_id for each in fills}) == len(fills)
    told = {
        each.trade_id: (each.symbol, each.side, each.qty, each.px, each.fee, each.fee_asset, each.liquidity)
        for each in fills
    }
    assert told == {
        key: (
            t["symbol"], t["side"].lower(), Decimal(t["qty"]), Decimal(t["price"]), Decimal(t["fee"]),
            t["fee_asset"], t["liquidity"],
        )
        for key, t in trades.items()
    }  # fmt: skip
    return met


SWITCHES: dict[str, tuple[dict[str, object], set[str]]] = {
    "answer lost": ({"lost": 1.0}, {"placed"}),
    "5xx after accepting": ({"failed": 1.0}, {"placed"}),
    "request lost": ({"dropped": 1.0}, {"not_accepted"}),
    "429": ({"throttled": 1.0}, {"not_accepted"}),
    "executed late": ({"late": 1.0, "late_ms": 300}, {"placed"}),
    "executed late or too late": ({"late": 1.0, "late_ms": 2000}, {"placed", "not_accepted"}),
    "lists lag": ({"lost": 1.0, "lookup_lag_ms": 300}, {"placed"}),
    "all": (
        {
            "lost": 0.2, "failed": 0.15, "late": 0.2, "dropped": 0.15, "throttled": 0.15, "late_ms": 1500,
            "lookup_lag_ms": 300,
        },
        {"placed", "not_accepted"},
    ),
}  # fmt: skip


IN_SHORT = {"answer lost", "all"}


@pytest.mark.parametrize(
    "name", [name if name in IN_SHORT else pytest.param(name, marks=pytest.mark.long) for name in SWITCHES]
)
def test_every_order_has_one_fate_and_it_is_the_exchanges(name: str) -> None:
    switches, expected = SWITCHES[name]

    async def run() -> None:
        with short_folder() as folder:
            async with hostile(folder, switches) as (venue, _, desk):
                sent = await orders(venue, 15)
                for intent in sent:
                    desk.send(intent)
                await until_decided(desk, sent)
                await asyncio.sleep(SOON_S)  # what comes too late must not come at all

                met = judge(venue, desk, sent)
                # a machine that is busy enough makes a request too old for the exchange without any switch,
                # and who is told that he asks too much sends nothing for a while
                also = {"last_look:venue_rests"} if "throttled" in switches else set()
                assert expected <= met.keys() <= {"placed", "not_accepted", "venue:invalid_nonce"} | also
                assert desk.of(Gap) == []
                hostile_to = {each["client_order_id"] for each in venue.truth("hostile")}
                assert hostile_to <= {each.cid for each in sent}
                in_doubt = {each.iid for each in desk.of(Unknown)}
                assert in_doubt >= {each.iid for each in sent if each.cid in hostile_to}

    asyncio.run(run())


def test_order_is_given_up_only_after_its_window() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with hostile(folder, {"dropped": 1.0}) as (venue, _, desk):
                sent = await orders(venue, 3)
                for intent in sent:
                    desk.send(intent)
                await until_decided(desk, sent)
            config = json.loads((folder / "gateway.json").read_text())
            ended: dict[bytes, tuple[str, int]] = {}
            sent_at: dict[bytes, int] = {}
            with JournalReader(config["journal"]) as reader:
                groups = list(reader.groups())
                for record in reader.records():
                    message = decode(record.body)
                    if isinstance(message, Attempt):
                        sent_at[message.iid] = message.t_send
                    elif isinstance(message, VenueReject):
                        ended[message.iid] = (
                            message.code,
                            next(g.t_commit for g in groups if g.first_seq <= record.seq <= g.last_seq),
                        )
            for intent in sent:
                code, t_commit = ended[intent.iid]
                assert code == NOT_ACCEPTED[0]
                # window, lag of the lists, and as much again between the two look-ups
                assert t_commit - sent_at[intent.iid] >= (1000 + 400 + 400) * 1_000_000

    asyncio.run(run())


def test_restarted_gateway_finds_out_what_the_exchange_did_meanwhile() -> None:
    """It dies while orders are on their way; the answers, and what traded, went to nobody."""

    async def run() -> None:
        with short_folder() as folder:
            switches: dict[str, object] = {"late": 0.5, "dropped": 0.25, "late_ms": 900}
            async with hostile(folder, switches) as (venue, gateway, first):
                sent = [make_intent(next(numbers), **_short_lived(each)) for each in await orders(venue, 15)]
                for intent in sent:
                    first.send(intent)
                await first.hear(Attempt, 8)
                gateway.process.send_signal(signal.SIGKILL)
                await gateway.process.wait()
                config = json.loads((folder / "gateway.json").read_text())
                async with unit("gateway", config, folder) as second:
                    desk = await FakeDesk.connect(second.socket)
                    desk.say(Resync(epoch=2, orders=tuple(each.iid for each in sent)).text())
                    await desk.until(lambda: RESYNCED in desk.controls)
                    await until_decided(desk, sent)
                    await asyncio.sleep(SOON_S)

                    met = judge(venue, desk, sent)
                    assert met["placed"] > 0
                    assert met.total() == 15
                    assert desk.of(Gap) == []
                    desk.link.close("the test is over")

    asyncio.run(run())


def _short_lived(intent: Intent) -> dict[str, Any]:
    return {
        "symbol": intent.symbol, "ref_px": intent.ref_px, "qty": intent.qty, "style": intent.style,
        "tif": intent.tif, "px": intent.px, "send_by": time.monotonic_ns() + 1_000_000_000,
    }  # fmt: skip


def test_order_that_appears_after_it_was_given_up_raises_the_alarm_and_is_cancelled() -> None:
    async def run() -> None:
        with short_folder() as folder:
            switches: dict[str, object] = {"late": 1.0, "late_ms": 6000, "past_window": True}
            over: dict[str, object] = {"recv_window_ms": 300, "lag_ms": 100}
            async with hostile(folder, switches, **over) as (venue, _, desk):
                sent = await orders(venue, 12, resting=True)
                for intent in sent:
                    desk.send(intent)
                await until_decided(desk, sent)
                given_up = {each.iid for each in desk.of(VenueReject)}
                assert given_up
                async with asyncio.timeout(PATIENCE_S):
                    while len({each["order_id"] for each in venue.truth("order")}) < len(sent):
                        await asyncio.sleep(0.05)
                await asyncio.sleep(SOON_S)

                alarms = {each.stream.removeprefix("late:") for each in desk.of(Gap)}
                assert alarms == {each.cid for each in sent if each.iid in given_up}
                status = {each["client_order_id"]: each["status"] for each in venue.truth("order")}
                assert {cid for cid, each in status.items() if each == "CANCELED"} == alarms
                assert {cid for cid, each in status.items() if each == "NEW"} == status.keys() - alarms

    asyncio.run(run())


@pytest.mark.long
def test_exchange_that_stands_still_raises_an_alarm_on_record() -> None:
    """About twenty seconds of an exchange that was stopped with an order under way."""

    async def run() -> None:
        with short_folder() as folder:
            async with hostile(folder, {"dropped": 1.0}, timeout_ms=500) as (venue, _, desk):
                (order,) = await orders(venue, 1)
                desk.send(order)
                await desk.hear(Unknown)
                venue.process.send_signal(signal.SIGSTOP)
                try:
                    async with asyncio.timeout(80):
                        while not desk.of(Alarm):
                            await asyncio.sleep(0.1)
                finally:
                    venue.process.send_signal(signal.SIGCONT)
                (alarm,) = desk.of(Alarm)
                assert (alarm.about, alarm.subject, alarm.iid, alarm.n) == ("doubt", order.cid, order.iid, 1)
                assert "did not answer 6 times in a row" in alarm.detail
                assert decided(desk) == set()
                await until_decided(desk, [order])
            journal = JournalReader(folder / "gw.journal")
            assert [decode(each.body) for each in journal.records(kinds=[KIND_OF["Alarm"]])] == [alarm]

    asyncio.run(run())
