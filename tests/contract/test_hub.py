"""A real hub between a real exchange and a desk's socket: every candle once, nothing without credit.

Not here: candles, marks and conflation one by one (tests/unit/runtime/test_hub_feed.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Bar, MarketBatch
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import (
    SYMBOLS,
    FakeDesk,
    UnitEndedError,
    UnitProcess,
    hub_config,
    short_folder,
    start,
    unit,
)

CANDLES = 60
FEED = {"kind": "synthetic", "candles": CANDLES, "history": 60, "trades_per_candle": 4}


@contextlib.asynccontextmanager
async def market(
    folder: Path, feed: dict[str, Any] | None = None, speed: float | str = "max", **over: object
) -> AsyncIterator[tuple[SandboxProcess, UnitProcess, FakeDesk]]:
    """Run exchange and hub, and connect a desk."""
    async with sandbox(feed=feed or FEED, speed=speed) as venue:
        config = hub_config(folder, venue, lockstep=speed == "max", **over)
        async with unit("hub", config, folder) as hub:
            desk = await FakeDesk.connect(hub.socket)
            yield venue, hub, desk
            desk.link.close("the test is over")


async def to_end(desk: FakeDesk) -> dict[str, Any]:
    """Close every batch until the feed ends, and return what the hub counted."""
    closed = 0
    while True:
        await desk.news(closed)
        assert desk.lost is None, desk.lost
        if len(desk.messages) == closed:
            counts: dict[str, Any] = json.loads(desk.controls[0].removeprefix("end:"))
            return counts
        for each in desk.of(MarketBatch)[closed:]:
            desk.say(f"closed:{each.step}")
            closed += 1


def bars_of(desk: FakeDesk) -> list[Bar]:
    return [bar for batch in desk.of(MarketBatch) for bar in batch.bars]


def test_lockstep_delivers_what_the_exchange_recorded() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with market(folder) as (venue, _, desk):
                counts = await to_end(desk)
                batches = desk.of(MarketBatch)
                async with venue.client() as exchange:
                    truth = {each: await exchange.fetch_ohlcv(each, "1m", limit=CANDLES) for each in SYMBOLS}
                    trades = {each: await exchange.fetch_trades(each, limit=4) for each in SYMBOLS}
                    books = {each: await exchange.fetch_order_book(each, 10) for each in SYMBOLS}

            assert (
                counts["candles_sent"]
                == counts["candles_seen"]
                == len(bars_of(desk))
                == CANDLES * len(SYMBOLS)
            )
            assert (counts["missed"], counts["skipped"], counts["reconnects"], counts["resyncs"]) == (
                0,
                0,
                0,
                0,
            )
            assert [each.step for each in batches] == list(range(1, CANDLES + 1))
            assert {each.gaps for each in batches} == {()}
            for symbol in SYMBOLS:
                mine = [
                    [b.t_open // 10**6, b.open, b.high, b.low, b.close, b.volume]
                    for b in bars_of(desk)
                    if b.symbol == symbol
                ]
                assert mine == truth[symbol]
            last = batches[-1]
            assert [each.symbol for each in last.books] == sorted(SYMBOLS)
            for book in last.books:
                assert [list(each) for each in book.bids] == [each[:2] for each in books[book.symbol]["bids"]]
                assert [list(each) for each in book.asks] == [each[:2] for each in books[book.symbol]["asks"]]
            for symbol in SYMBOLS:
                prints = [(each.px, each.qty) for each in last.prints if each.symbol == symbol]
                assert (
                    prints[-4:]
                    == [(each["price"], each["amount"]) for each in trades[symbol]][-len(prints) :]
                )
            assert all(b.t == (b.bars[0].t_open + b.bars[0].tf_ns) for b in batches)

    asyncio.run(run())


def test_nothing_comes_before_the_last_batch_is_closed() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with market(folder) as (venue, _, desk):
                first = await desk.hear(MarketBatch)
                async with venue.client() as exchange:
                    for _ in range(20):  # the market stands still however often one asks
                        await exchange.fetch_time()
                assert len(desk.messages) == 1
                desk.say(f"closed:{first.step}")
                second = await desk.hear(MarketBatch, 2)
                assert (first.step, second.step, second.fills_due) == (1, 2, 0)

    asyncio.run(run())


def test_own_fills_are_due_with_the_step_that_made_them() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with market(folder) as (venue, _, desk):
                first = await desk.hear(MarketBatch)
                async with venue.client() as exchange:
                    order = await exchange.create_order("BTC/USDT", "market", "buy", 0.01)
                assert Decimal(str(order["filled"])) == Decimal("0.01")
                desk.say(f"closed:{first.step}")
                second = await desk.hear(MarketBatch, 2)
                assert second.fills_due == len(venue.truth("trade")) > 0

    asyncio.run(run())


def test_two_runs_over_the_same_market_are_the_same() -> None:
    async def run() -> list[MarketBatch]:
        with short_folder() as folder:
            async with market(folder, feed=FEED | {"candles": 20}) as (_, _, desk):
                await to_end(desk)
                return desk.of(MarketBatch)

    assert asyncio.run(run()) == asyncio.run(run())


def test_busy_desk_gets_every_bar_and_only_the_newest_book() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with market(folder, speed=6000.0) as (venue, _, desk):
                first = await desk.hear(MarketBatch)
                while not venue.truth("exhausted"):
                    await asyncio.sleep(0.05)
                desk.say(f"closed:{first.step}")
                counts = await to_end_after(desk, 1)

            batches = desk.of(MarketBatch)
            # By the clock nothing says that the last candle is closed, as on a real exchange.
            assert len(batches) < CANDLES
            assert counts["candles_sent"] == counts["candles_seen"] == len(bars_of(desk))
            assert all(len({each.symbol for each in b.books}) == len(b.books) for b in batches)
            assert counts["skipped"] > 0
            assert all(each.fills_due == -1 for each in batches)

    async def to_end_after(desk: FakeDesk, closed: int) -> dict[str, Any]:
        while not desk.controls:
            await desk.news(closed)
            for each in desk.of(MarketBatch)[closed:]:
                desk.say(f"closed:{each.step}")
                closed += 1
        counts: dict[str, Any] = json.loads(desk.controls[0].removeprefix("end:"))
        return counts

    asyncio.run(run())


def test_without_control_socket_batches_follow_what_arrives() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max") as venue:
                config = hub_config(folder, venue, lockstep=False, control="", streams=["candle", "book"])
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    await desk.hear(MarketBatch)  # the books as they are
                    driver = await venue.control()
                    await driver.go()
                    await driver.steps(5)
                    closed = 0
                    while len(bars_of(desk)) < 4 * len(SYMBOLS):
                        for each in desk.of(MarketBatch)[closed:]:
                            desk.say(f"closed:{each.step}")
                            closed += 1
                        await desk.news(len(desk.messages))
                    assert all(not each.prints and each.t > 10**18 for each in desk.of(MarketBatch))
                    await driver.hang_up()

    asyncio.run(run())


def test_desk_that_breaks_the_credit_loses_the_hub() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with market(folder) as (_, hub, desk):
                await desk.hear(MarketBatch)
                desk.say("closed:99")
                await desk.until(lambda: desk.lost is not None)
                assert await hub.process.wait() == 0

    asyncio.run(run())


def test_lost_exchange_ends_the_hub_and_says_so() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED) as venue:
                hub = await start("hub", hub_config(folder, venue), folder)
                desk = await FakeDesk.connect(hub.socket)
                first = await desk.hear(MarketBatch)
                await venue.stop()
                desk.say(f"closed:{first.step}")
                _, errors = await hub.process.communicate()
                assert hub.process.returncode == 1
                assert "control socket" in errors.decode()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"symbols": ["BTC/USTD"]}, "'BTC/USDT'"),
        ({"timeframe": "7m"}, "7m"),
        ({"streams": ["candles"]}, "'candle'"),
        ({"control": "/nowhere.sock"}, "/nowhere.sock"),
        ({"level": 3}, "'levels'"),
    ],
)
def test_mistake_of_the_user_is_one_line_and_code_two(over: dict[str, object], text: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED) as venue:
                with pytest.raises(UnitEndedError) as ended:
                    await start("hub", hub_config(folder, venue) | over, folder)
            assert (ended.value.code, len(ended.value.errors.strip().splitlines())) == (2, 1)
            assert text in ended.value.errors

    asyncio.run(run())
