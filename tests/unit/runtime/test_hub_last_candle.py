"""A candle that nothing newer follows is closed where the exchange said so; where it did not it forms on."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from parley.errors import Fatal
from runtime import hub_batches
from runtime.hub_batches import Hub, HubConfig
from runtime.hub_feed import Marks, Step
from venues.several_feed import Feed

HOME, AWAY = "BTC/USDT", "BTC/USDT@bybit"
T = 60_000
FIRST, LATER = (T, 1.0, 2.0, 1.0, 1.0, 5.0), (T, 1.0, 3.0, 1.0, 2.0, 6.0)


class Candles:
    """One candle of each exchange that forms; nobody announces more than the home one's."""

    symbols = (HOME, AWAY)
    streams = frozenset({"candle"})
    tf_ms = T
    row = FIRST

    def candles(self, symbol: str, after_ms: int) -> list[Any]:
        return [self.row] if self.row[0] > after_ms else []

    def notice_replaced(self, on_break: Any) -> None:
        pass

    def symbol_of(self, venue_id: str) -> str | None:
        return HOME if venue_id == "BTCUSDT" else None


@pytest.mark.parametrize("mark", [T, 0])
def test_only_a_candle_that_was_announced_is_closed_without_a_newer_one(
    monkeypatch: pytest.MonkeyPatch, mark: int
) -> None:
    monkeypatch.setattr(hub_batches, "_LAST_CANDLE_S", 0.01)
    monkeypatch.setattr(hub_batches, "_LAST_CANDLE_SURE_S", 0.02)
    monkeypatch.setattr(hub_batches, "_ARRIVAL_PATIENCE_S", 0.2)

    async def run() -> None:
        feed = Candles()
        config = HubConfig(socket="/nowhere", symbols=(HOME,), streams=("candle",))
        hub = Hub(config, cast(Feed, feed))
        hub._take_bars()
        feed.row = LATER
        # 0: what was closed long ago and has not come (a hub that begins late): the one that forms is not it
        step = Step(step=1, t=2 * T, marks={"BTCUSDT": Marks(candle=mark)})
        if mark < T:
            with pytest.raises(Fatal):
                await hub.arrived(step)
        else:
            await hub.arrived(step)
        closed = [bar.symbol for bar in hub._next.take(1, 0).bars]
        assert closed == ([HOME] if mark == T else [])

    asyncio.run(run())
