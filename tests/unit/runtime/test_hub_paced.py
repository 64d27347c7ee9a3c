"""A hub by arrival: closed candles go at once, books and prints by themselves only now and then.

Not here: what wakes it (tests/contract/test_arrivals.py), what a following hub sends (`test_hub_resumed`).
"""

from __future__ import annotations

import asyncio

import pytest

from parley.messages import MarketBatch
from runtime import hub as hub_process
from tests.unit.runtime.test_hub_resumed import Caches, hub


def told(caches: Caches, number: int) -> None:
    """Let a book arrive."""
    caches.number = number
    caches.heard.set()


@pytest.fixture(autouse=True)
def _hardly_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here goes because time has passed."""
    monkeypatch.setattr(hub_process, "_BY_ARRIVAL_S", 3600.0)


def test_closed_candle_goes_at_once_and_takes_the_newest_book_along() -> None:
    async def run() -> None:
        async with hub(streams=("candle", "book")) as (caches, next_desk):
            desk = await next_desk()
            told(caches, 1)
            first = await desk.hear(MarketBatch)
            desk.say(f"closed:{first.step}")
            for number in range(2, 6):
                told(caches, number)
                await asyncio.sleep(0.01)
            assert len(desk.messages) == 1  # books wait
            caches.close_bars(1)
            second = await desk.hear(MarketBatch, 2)
            assert [len(second.bars), [book.seq for book in second.books]] == [1, [5]]

    asyncio.run(run())


def test_candle_that_met_a_busy_desk_goes_when_the_desk_is_free() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            desk = await next_desk()
            caches.close_bars(1)
            first = await desk.hear(MarketBatch)
            caches.close_bars(1)
            await asyncio.sleep(0.05)
            assert len(desk.messages) == 1
            desk.say(f"closed:{first.step}")
            second = await desk.hear(MarketBatch, 2)
            assert [len(first.bars), len(second.bars)] == [1, 1]

    asyncio.run(run())
