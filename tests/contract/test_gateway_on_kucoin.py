"""A gateway at an exchange that speaks KuCoin whose private stream is hostile.

Not here: what holds for every venue (`test_gateway_on_venues`), Binance's and Bybit's streams
(`test_hostile_streams`).
"""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.test_hostile_streams import trade_on, trading

pytestmark = pytest.mark.timeout(120)


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
