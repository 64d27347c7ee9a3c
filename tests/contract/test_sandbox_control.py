"""The control client of a market that runs by the clock may be followed by another one.

Not here: lock-step, in which the market ends with its one client.
"""

from __future__ import annotations

import asyncio

from tests.kit.sandbox import sandbox

CANDLES = 40
FEED = {"kind": "synthetic", "candles": CANDLES, "history": 60, "trades_per_candle": 4}


def test_market_goes_on_without_its_client_and_the_next_one_hears_the_rest() -> None:
    async def run() -> None:
        async with sandbox(feed=FEED, speed=3000.0) as venue:
            first = await venue.control()
            await first.go()
            last = await first.steps(3)
            await first.hang_up()
            await asyncio.sleep(0.1)
            second = await venue.control()
            await second.go()
            heard = await second.steps(1)
            assert heard["step"] > last["step"]
            end = await second.to_end()
            third = await venue.control()
            await third.go()
            again = await third.hear()

            assert end == again
            assert end["steps"] == CANDLES
            assert set(end["candles_closed"].values()) == {CANDLES}
            assert end["candles_sent"] == 0, "nobody listened on the market's own streams"
            (exhausted,) = venue.truth("exhausted")
            assert exhausted["candles_closed"] == end["candles_closed"]

    asyncio.run(run())


def test_client_of_a_market_that_is_led_by_another_one_hears_it_from_now_on() -> None:
    """One that hangs is not gone, and must not keep the steps to itself."""

    async def run() -> None:
        async with sandbox(feed=FEED, speed=3000.0) as venue:
            first = await venue.control()
            await first.go()
            await first.steps(1)
            second = await venue.control()
            await second.go()
            assert (await second.steps(2))["step"] > 2

    asyncio.run(run())
