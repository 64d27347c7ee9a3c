"""Calls to a venue that fail are counted, told to the desk with the heartbeat, and again to one that returns.

Real adapters, a real gateway, the sandbox exchange behind lines that are cut. Not here: what a desk makes of
it (tests/unit/agents/test_breakers.py, tests/unit/orchestrator/test_venue_faults.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from parley.messages import KIND_OF, Heartbeat, Message, VenueFault, decode
from runtime.journal import JournalReader
from runtime.resync import RESYNCED, Resync
from tests.kit.adapters import Adapted, adapter, following, heard, speaking
from tests.kit.cut_line import CutLine, cut_line
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, gateway_config, make_cancel, short_folder, unit
from tests.kit.venues import VENUES, Orders
from venues.adapters import ADAPTERS, venue_of
from venues.ccxt_venue import CcxtVenue
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("exchange", sorted(VENUES))
def test_venue_that_answers_has_no_faults_whatever_it_says_no_to(exchange: str) -> None:
    async def story(at: Adapted) -> None:
        venue, orders = at.venue, at.orders
        async with following(venue):
            resting = orders.limit()
            assert isinstance(await venue.send(resting), Acked)
            assert isinstance(await venue.look_up(resting), Acked)
            assert await venue.look_up(orders.market()) == Absent()
            assert isinstance(await venue.cancel(make_cancel(resting)), Acked)
            again = await venue.cancel(make_cancel(resting))
            assert isinstance(again, Rejected)
            assert again.code == NOT_FOUND
            assert isinstance(await venue.send(orders.limit(qty=Decimal(1000))), Rejected)
            await venue.balances()
            await venue.clock_offset_ms()
            await venue.unasked()
        assert venue.meter.faults.take() is None

    async def run() -> None:
        async with adapter(exchange) as at:
            await story(at)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def behind_a_line(secret: str = "") -> AsyncIterator[tuple[CcxtVenue, CutLine, Orders]]:
    """Connect an adapter whose requests go over a line that can be cut; then its key has another secret."""
    at = VENUES["binance"]
    async with at.sandbox() as process, cut_line(process.rest) as (line, rest):
        client = ADAPTERS[at.name].make_client(rest, process.ws, recv_window_ms=1000, **at.keys)
        account = Account(name="main", venue=at.name, symbols=(at.btc,))
        venue = venue_of(at.name, client, account, recv_window_ms=1000, lag_ms=0)
        try:
            await venue.connect()
            client.secret = secret or client.secret
            yield venue, line, Orders(at, await at.last_price(process, at.btc))
        finally:
            await venue.close()


def test_every_call_that_fails_is_the_fate_of_an_order_or_counted_once() -> None:
    async def run() -> None:
        async with behind_a_line() as (venue, line, orders):
            order = orders.limit()
            line.cut()
            for ask in (venue.balances, venue.clock_offset_ms, lambda: venue.look_up(order)):
                with pytest.raises(VenueError):
                    await ask()
            failed = venue.meter.faults.take()
            assert failed is not None
            assert (failed.n, failed.call) == (3, "look_up")
            assert "order" in failed.why
            assert isinstance(await venue.send(order), Ambiguous)
            assert isinstance(await venue.cancel(make_cancel(order)), Ambiguous)
            assert venue.meter.faults.take() is None, "the desk hears of these as Unknown"

    asyncio.run(run())


def test_cancel_that_was_refused_for_another_reason_than_its_order_is_counted_and_an_order_is_not() -> None:
    async def run() -> None:
        async with behind_a_line(secret="nobody's") as (venue, _, orders):
            order = orders.limit()
            assert isinstance(await venue.send(order), Rejected)
            assert venue.meter.faults.take() is None, "the desk hears of it as VenueReject"
            no = await venue.cancel(make_cancel(order))
            assert isinstance(no, Rejected)
            assert no.code != NOT_FOUND
            failed = venue.meter.faults.take()
            assert failed is not None
            assert (failed.n, failed.call) == (1, "cancel")

    asyncio.run(run())


def test_stream_that_broke_is_counted() -> None:
    async def run() -> None:
        at = VENUES["binance"]
        async with (
            at.sandbox() as process,
            cut_line(process.ws) as (line, ws),
            speaking(at, process, ws) as venue,
            following(venue) as facts,
        ):
            assert venue.meter.faults.take() is None
            line.cut()
            await heard(lambda: bool(facts))
            failed = venue.meter.faults.take()
            assert failed is not None
            assert (failed.n, failed.call) == (len(facts), "stream")

    asyncio.run(run())


def on_record(folder: Path) -> list[Message]:
    with JournalReader(folder / "gw.journal") as reader:
        return [decode(each.body) for each in reader.records(kinds=[KIND_OF["VenueFault"]])]


async def returned(socket: Path) -> FakeDesk:
    """Connect a desk that was away, and hear the gateway out."""
    desk = await FakeDesk.connect(socket)
    desk.say(Resync(epoch=2).text())
    await desk.until(lambda: RESYNCED in desk.controls)
    return desk


def test_desk_hears_once_a_second_what_failed_and_a_returning_one_the_last_minutes_again() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox() as venue, cut_line(venue.rest) as (line, rest):
                config = gateway_config(folder, venue, {"rest": rest, "timeout_ms": 3000})
                async with unit("gateway", config, folder) as gateway:
                    market = await venue.control()
                    await market.go()
                    await market.steps(1)
                    first = await FakeDesk.connect(gateway.socket)
                    await first.until(lambda: any(each.offset_ms >= 0 for each in first.of(Heartbeat)))
                    assert first.of(VenueFault) == []
                    began = time.monotonic()
                    line.cut()
                    await first.hear(VenueFault, 3)
                    told = first.of(VenueFault)
                    assert time.monotonic() - began > 1.5, "one with each heartbeat"
                    assert {each.call for each in told} == {"time"}
                    assert all(each.n >= 1 for each in told)
                    first.link.close("this desk was killed", abort=True)

                    second = await returned(gateway.socket)
                    assert second.of(VenueFault)[:3] == told, "as they were, so that they are no news"
                    assert on_record(folder)[:3] == told
                    line.mend()
                    await second.until(lambda: second.of(Heartbeat)[-1].offset_ms >= 0)
                    known = second.of(VenueFault)
                    second.link.close("the desk's day is over")
                async with unit("gateway", config, folder) as gateway:
                    third = await returned(gateway.socket)
                    assert third.of(VenueFault)[: len(known)] == known, "also by the next gateway"
                    third.link.close("the test is over")
                await market.hang_up()

    asyncio.run(run())
