"""A real hub whose line to a real exchange is cut in the middle of a candle: what closes afterwards is whole.

Not here: every order in which lines break (tests/unit/runtime/test_candle_close.py).
"""

from __future__ import annotations

import asyncio

import pytest

from parley.messages import Bar, MarketBatch
from tests.kit.bybit import bybit_client
from tests.kit.cut_line import cut_line
from tests.kit.sandbox import sandbox
from tests.kit.units import SYMBOLS, FakeDesk, hub_config, short_folder, unit

pytestmark = pytest.mark.timeout(60)
FEED = {"kind": "synthetic", "candles": 60, "history": 60, "trades_per_candle": 4}
BEFORE, BROKEN, AFTER = 3, 3, 3
WAITED = 20


@pytest.mark.parametrize("protocol", ["binance", pytest.param("bybit", marks=pytest.mark.long)])
def test_candles_of_a_broken_line_come_from_the_list_whole_and_in_order(protocol: str) -> None:
    async def run() -> None:
        bars: list[Bar] = []
        closed = 0

        def told() -> int:
            return min(sum(bar.symbol == each for bar in bars) for each in SYMBOLS)

        def take(desk: FakeDesk) -> None:
            nonlocal closed
            for batch in desk.of(MarketBatch)[closed:]:
                bars.extend(batch.bars)
                desk.say(f"closed:{batch.step}")
                closed += 1

        async def closed_candles(desk: FakeDesk, count: int) -> None:
            while told() < count:
                await desk.until(lambda: len(desk.of(MarketBatch)) > closed)
                take(desk)

        with short_folder() as folder:
            async with sandbox(feed=FEED, speed="max", protocol=protocol) as venue, cut_line(venue.ws) as cut:
                line, address = cut
                config = hub_config(
                    folder, venue, exchange=protocol, ws=address, lockstep=False, control="",
                    streams=["candle", "book"],
                )  # fmt: skip
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    await desk.hear(MarketBatch)  # before that the hub may not hear the market yet
                    driver = await venue.control()
                    await driver.go()
                    await driver.steps(BEFORE)
                    await closed_candles(desk, BEFORE - 1)
                    line.cut()
                    await driver.steps(BROKEN)
                    line.mend()
                    lines = line.opened
                    while line.opened == lines:
                        await asyncio.sleep(0.05)
                    # each stream takes its time to subscribe, and nothing says it but a candle that closed
                    for _ in range(WAITED):
                        await asyncio.sleep(0.5)
                        await driver.steps(1)
                        take(desk)
                        if told() >= BEFORE + BROKEN:
                            break
                    await driver.steps(AFTER)
                    await closed_candles(desk, BEFORE + BROKEN + AFTER - 1)
                    async with bybit_client(venue) if protocol == "bybit" else venue.client() as exchange:
                        listed = {each: await exchange.fetch_ohlcv(each, "1m", limit=60) for each in SYMBOLS}
                    desk.link.close("the test is over")
                    await driver.hang_up()

        notes = {text for each in desk.of(MarketBatch) for text in each.gaps}
        # which of the two says it depends on whether somebody waited on the socket at that moment
        assert notes & {"candle: connection lost", "socket: connection replaced"}
        assert not [text for text in notes if "misses" in text]
        for symbol in SYMBOLS:
            told = [
                [bar.t_open // 1_000_000, bar.open, bar.high, bar.low, bar.close, bar.volume]
                for bar in bars
                if bar.symbol == symbol
            ]
            true = [row for row in listed[symbol] if row[0] >= told[0][0]]
            assert told == true[: len(told)]
            assert len(told) >= BEFORE + BROKEN + AFTER - 1

    asyncio.run(run())
