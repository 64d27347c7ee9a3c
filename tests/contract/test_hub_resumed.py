"""A real hub between a real exchange and the desk of a run that is resumed: its steps go on where they were.

Not here: every way such a desk may be killed (tests/unit/runtime/test_hub_resumed.py), a desk that comes back
to the same hub (`test_desk_returns`).
"""

from __future__ import annotations

import asyncio

import pytest

from parley.messages import Bar, MarketBatch
from runtime.hub_have import Have
from tests.kit.builders import MINUTE
from tests.kit.sandbox import sandbox
from tests.kit.units import SYMBOLS, FakeDesk, hub_config, short_folder, unit

FEED = {"kind": "synthetic", "candles": 60, "history": 60, "trades_per_candle": 4}
CLOSED = 4


def opened_of(bars: list[Bar], symbol: str) -> list[int]:
    return [bar.t_open for bar in bars if bar.symbol == symbol]


@pytest.mark.parametrize("is_under_way", [True, False])
def test_steps_go_on_behind_what_the_desk_has_and_no_bar_is_lost(is_under_way: bool) -> None:
    async def run() -> None:
        bars: list[Bar] = []
        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max") as venue:
                config = hub_config(folder, venue, lockstep=False, control="", streams=["candle", "book"])
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    if is_under_way:
                        await desk.hear(MarketBatch)  # the books as they are, under the number of a new run
                    desk.say(Have(step=14).text())
                    await desk.hear(MarketBatch)  # before that the hub may not hear the market yet
                    driver = await venue.control()
                    await driver.go()
                    await driver.steps(CLOSED + 1)
                    closed = 0
                    while any(len(opened_of(bars, symbol)) < CLOSED for symbol in SYMBOLS):
                        await desk.until(lambda: len(desk.of(MarketBatch)) > closed)  # noqa: B023
                        for batch in desk.of(MarketBatch)[closed:]:
                            bars += batch.bars if batch.step > 14 else ()
                            desk.say(f"closed:{batch.step}")
                            closed += 1
                    desk.link.close("the test is over")
                    await driver.hang_up()

        steps = [each.step for each in desk.of(MarketBatch) if each.step > 14]
        notes = [text for each in desk.of(MarketBatch) for text in each.gaps]
        assert steps == list(range(15, 15 + len(steps)))
        assert [text for text in notes if "the run went on after step 14" in text] == notes
        assert len(notes) == 1
        for symbol in SYMBOLS:
            opened = opened_of(bars, symbol)  # the fifth may be closed as well, or not yet
            assert opened == [opened_of(bars, SYMBOLS[0])[0] + n * MINUTE for n in range(len(opened))]

    asyncio.run(run())
