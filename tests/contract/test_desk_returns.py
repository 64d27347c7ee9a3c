"""A gateway and a hub whose desk was killed: the next one hears what it missed, and nothing happens twice.

Not here: the desk's side of it (tests/kill/test_desk_kill.py), which facts are told (test_resync).
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from parley.messages import Ack, Bar, Gap, Intent, MarketBatch, VenueReject
from runtime.hub_have import Have
from runtime.journal import verify
from runtime.resync import RESYNCED, Resync
from tests.kit.sandbox import sandbox
from tests.kit.units import (
    FakeDesk,
    UnitProcess,
    gateway_config,
    hub_config,
    make_intent,
    short_folder,
    unit,
)

FEED = {"kind": "synthetic", "candles": 30, "history": 60, "trades_per_candle": 4}


def leave(desk: FakeDesk) -> None:
    """End a desk's line as a killed one's ends."""
    desk.link.close("this desk was killed", abort=True)


async def returns(gateway: UnitProcess, *orders: Intent, epoch: int = 2) -> FakeDesk:
    """Connect the next desk and hear the gateway out."""
    desk = await FakeDesk.connect(gateway.socket)
    desk.sent = 100  # its numbers go on where the last life's journal ended
    desk.say(Resync(epoch=epoch, orders=tuple(order.iid for order in orders)).text())
    await desk.until(lambda: RESYNCED in desk.controls)
    return desk


def refusals(desk: FakeDesk) -> dict[bytes, set[tuple[str, bool]]]:
    """Return what the desk heard against each order; what is said as it comes is told again on asking."""
    found: dict[bytes, set[tuple[str, bool]]] = {}
    for no in desk.of(VenueReject):
        found.setdefault(no.iid, set()).add((no.code.removeprefix("last_look:"), no.definitive))
    return found


def test_next_desk_hears_of_every_order_of_the_last_one_and_none_is_sent_twice() -> None:
    done, orphan, gone = (make_intent(n, epoch=2) for n in range(3))

    async def run() -> None:
        with short_folder() as folder:
            config = gateway_config(folder, None)
            async with unit("gateway", config, folder) as gateway:
                first = await FakeDesk.connect(gateway.socket)
                first.send(done)
                first.send(orphan, release=False)
                await first.hear(Ack)
                leave(first)

                desk = await returns(gateway, done, orphan, gone)
                assert [ack.iid for ack in desk.of(Ack)] == [done.iid]
                assert refusals(desk) == {
                    orphan.iid: {("unreleased", True)}, gone.iid: {("never_came", True)}
                }  # fmt: skip

                before = {iid: set(each) for iid, each in refusals(desk).items()}
                known = len(desk.of(VenueReject))
                for order in (done, orphan, gone):
                    desk.send(order)
                await desk.hear(VenueReject, known + 3)
                again = {iid: each - before.get(iid, set()) for iid, each in refusals(desk).items()}
                assert again[done.iid] == {("duplicate_cid", False)}, "it may be there: nobody may say no"
                assert again[orphan.iid] == again[gone.iid] == {("duplicate_cid", True)}
                leave(desk)
            async with unit("gateway", config, folder) as gateway:
                desk = await returns(gateway, epoch=3)
                assert [ack.iid for ack in desk.of(Ack)] == [done.iid]
                known = len(desk.of(VenueReject))
                for order in (done, orphan, gone):
                    desk.send(order)
                await desk.hear(VenueReject, known + 3)
                last = {no.iid: no.definitive for no in desk.of(VenueReject)[known:]}
                assert last == {done.iid: False, orphan.iid: True, gone.iid: True}
            assert verify(Path(str(config["journal"]))).ok

    asyncio.run(run())


def test_orders_of_an_earlier_epoch_are_refused_once_a_later_desk_came() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                desk = await returns(gateway, epoch=7)
                desk.send(make_intent(0, epoch=6))
                no = await desk.hear(VenueReject)
                desk.send(make_intent(1, epoch=7))
                ack = await desk.hear(Ack)

                assert no.code == "last_look:stale_epoch"
                assert ack.iid == make_intent(1).iid
                assert desk.of(Gap) == []

    asyncio.run(run())


@pytest.mark.parametrize("text", ["resync:", 'resync:{"epoch":"x"}'])
def test_question_that_is_none_ends_the_line(text: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                desk.say(text)
                await desk.until(lambda: desk.lost)

    asyncio.run(run())


async def all_bars(desk: FakeDesk, bars: list[Bar], closed: int = 0) -> dict[str, int]:
    """Close every batch until the feed ends; gather the bars, and return what the hub counted."""
    while True:
        await desk.news(closed)
        assert desk.lost is None, desk.lost
        if len(desk.messages) == closed:
            counts: dict[str, int] = json.loads(desk.controls[-1].removeprefix("end:"))
            return counts
        for batch in desk.of(MarketBatch)[closed:]:
            bars += batch.bars
            desk.say(f"closed:{batch.step}")
            closed += 1


def test_killed_desk_gets_the_step_under_way_again_and_no_other() -> None:
    async def run() -> None:
        bars: list[Bar] = []
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max") as venue:
                config = hub_config(folder, venue, desk_returns_s=20.0)
                async with unit("hub", config, folder) as hub:
                    first = await FakeDesk.connect(hub.socket)
                    first.say(Have(step=0).text())
                    one = await first.hear(MarketBatch)
                    first.say("closed:1")
                    bars += one.bars
                    lost = await first.hear(MarketBatch, 2)
                    leave(first)

                    second = await FakeDesk.connect(hub.socket)
                    second.say(Have(step=1).text())
                    again = await second.hear(MarketBatch)
                    assert again == lost
                    leave(second)

                    third = await FakeDesk.connect(hub.socket)
                    third.say(Have(step=2).text())  # it was durable after all; the step is still to be closed
                    counts = await all_bars(third, bars)
                    third.link.close("the test is over")
        assert len(bars) == counts["candles_sent"] == counts["candles_seen"] > 0
        assert len({(bar.symbol, bar.t_open) for bar in bars}) == len(bars)

    asyncio.run(run())


def test_desk_killed_by_the_clock_gets_the_bars_it_lost_with_the_next_batch() -> None:
    async def run() -> None:
        bars: list[Bar] = []
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed=3000.0) as venue:
                config = hub_config(folder, venue, lockstep=False, desk_returns_s=20.0)
                async with unit("hub", config, folder) as hub:
                    first = await FakeDesk.connect(hub.socket)
                    closed = 0
                    while not any(batch.bars for batch in first.of(MarketBatch)):
                        await first.news(closed)
                        for batch in first.of(MarketBatch)[closed:]:
                            first.say(f"closed:{batch.step}")
                            closed += 1
                    leave(first)

                    second = await FakeDesk.connect(hub.socket)
                    second.say(Have(step=0).text())  # nothing of all that was on its disk
                    counts = await all_bars(second, bars)
                    second.link.close("the test is over")
        assert len(bars) == counts["candles_sent"] == counts["candles_seen"] > 0
        assert len({(bar.symbol, bar.t_open) for bar in bars}) == len(bars)

    asyncio.run(run())


def test_desk_that_does_not_come_back_ends_the_hub() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max") as venue:
                config = hub_config(folder, venue, desk_returns_s=0.2)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    await desk.hear(MarketBatch)
                    leave(desk)
                    assert await asyncio.wait_for(hub.process.wait(), 10) == 0

    asyncio.run(run())


@pytest.mark.parametrize("word", ["have:", "have:x", "closed:1", "hello"])
def test_desk_that_does_not_say_what_it_has_is_sent_away(word: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max") as venue:
                config = hub_config(folder, venue, desk_returns_s=20.0)
                async with unit("hub", config, folder) as hub:
                    first = await FakeDesk.connect(hub.socket)
                    batch = await first.hear(MarketBatch)
                    desk = await FakeDesk.connect(hub.socket)
                    desk.say(word)
                    await desk.until(lambda: desk.lost)
                    assert desk.messages == []
                    first.say(f"closed:{batch.step}")
                    await first.hear(MarketBatch, 2)
                    leave(first)


def test_desk_that_comes_before_the_end_of_the_last_ones_line_takes_its_place() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max") as venue:
                config = hub_config(folder, venue)
                async with unit("hub", config, folder) as hub:
                    first = await FakeDesk.connect(hub.socket)
                    batch = await first.hear(MarketBatch)
                    second = await FakeDesk.connect(hub.socket)
                    second.say(Have(step=0).text())
                    assert await second.hear(MarketBatch) == batch
                    await first.until(lambda: first.lost)
                    second.say(f"closed:{batch.step}")
                    await second.hear(MarketBatch, 2)
                    second.link.close("the test is over")

    asyncio.run(run())
