"""What becomes of candles in doubt when the venue's answer cannot be read."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from runtime import candle_repair
from runtime.candle_close import CandleClose
from runtime.candle_repair import CandleRepair
from venues.ccxt_feed import CcxtFeed
from venues.port import VenueError

MIN = 60_000


def row(n: int) -> tuple[int, float, float, float, float, float]:
    return (n * MIN, 1.0, 1.0, 1.0, 1.0, 1.0)


class Feed:
    tf_ms = MIN

    def __init__(self, error: Exception) -> None:
        self.asked = 0
        self._error = error

    def candles(self, symbol: str, after: int) -> list[Any]:
        return [each for each in (row(1), row(2)) if each[0] > after]

    async def fetch_candles(self, symbol: str, since: int) -> list[Any]:
        self.asked += 1
        raise self._error


@pytest.mark.parametrize("error", [VenueError("down"), TypeError("float(None)"), KeyError("data")])
def test_answer_that_nobody_can_read_holds_a_symbol_back_no_longer_than_none(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candle_repair, "_BETWEEN_S", 0.0)
    monkeypatch.setattr(candle_repair, "_SETTLING_S", 0.0)
    feed, close = Feed(error), CandleClose("BTC/USDT", MIN)

    async def run() -> None:
        repair = CandleRepair(cast(CcxtFeed, feed), lambda symbol, bars: None)
        close.broken([row(1)])
        assert close.take([row(1), row(2)]) == ()
        assert close.is_unsure
        for _ in range(20):  # as the hub does, with each batch
            if close.is_unsure:
                repair.ask("BTC/USDT", close)
            await asyncio.sleep(0.001)

    asyncio.run(run())
    assert not close.is_unsure
    assert feed.asked == 3
