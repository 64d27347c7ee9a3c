"""A stop that the exchange forgot has ended without a fill, when nothing else keeps it out of the lists.

Not here: an exchange (tests/contract/test_usdm_stops.py); the sandbox forgets nothing.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from typing import Any

import ccxt
import pytest

from parley.instruments import ZERO
from tests.kit.units import make_intent
from venues.binance_usdm_stops import AlgoStops
from venues.port import Absent, Acked, VenueError
from venues.words import Account

BTC = "BTC/USDT:USDT"
DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000
STOP = make_intent(
    1, symbol=BTC, side="sell", style="stop_limit", tif="GTC", reduce_only=True, trigger=D(9), px=D(8)
)


class Exchange:
    """Answers look-ups of one stop from what it lists now."""

    def __init__(self, row: dict[str, Any] | None, trades: list[Any] | None = None) -> None:
        self.row = row
        self.trades = trades or []
        self.now_ms = NOW_MS

    def nonce(self) -> int:
        return self.now_ms

    def market_id(self, symbol: str) -> str:
        return "BTCUSDT"

    async def fapiPrivateGetAlgoOrder(self, query: Any) -> Any:
        if self.row is None:
            raise ccxt.OrderNotFound("-2013")
        return self.row

    async def fapiPrivateGetOrder(self, query: Any) -> Any:
        raise ccxt.OrderNotFound("-2013")

    async def fapiPrivateGetOpenAlgoOrders(self, query: Any) -> Any:
        return []

    async def fapiPrivateGetAllAlgoOrders(self, query: Any) -> Any:
        return []

    async def fapiPrivateGetUserTrades(self, query: Any) -> Any:
        assert query["orderId"] == "77"
        return self.trades


def row(status: str = "NEW", number: str = "", placed: int = 0, changed: int | None = None) -> dict[str, Any]:
    return {
        "algoId": 4, "clientAlgoId": STOP.cid, "algoStatus": status, "actualOrderId": number,
        "createTime": NOW_MS - placed, "updateTime": NOW_MS - (placed if changed is None else changed),
    }  # fmt: skip


def stops(exchange: Exchange, lag_s: float = 0.0) -> AlgoStops:
    return AlgoStops(exchange, Account(name="a", venue="binanceusdm", symbols=(BTC,)), lag_s=lag_s)


def is_ended(found: Acked | Absent) -> bool:
    return isinstance(found, Acked) and found.event is not None and (
        found.event.status, found.event.cum_qty, found.fills, found.venue_id
    ) == ("canceled", ZERO, (), "4")  # fmt: skip


async def seen_then_missed(exchange: Exchange, days: float, lag_s: float = 0.0) -> Acked | Absent:
    """Look up a stop that is listed, then once more when it is in no list, so many days old."""
    asked = stops(exchange, lag_s)
    assert isinstance(await asked.look_up(STOP), Acked)
    exchange.row = None
    exchange.now_ms += int(days * DAY_MS)
    return await asked.look_up(STOP)


def test_a_stop_that_was_seen_and_is_forgotten_has_ended_with_nothing_filled() -> None:
    assert is_ended(asyncio.run(seen_then_missed(Exchange(row()), 4)))


@pytest.mark.parametrize("days", [0.01, 2.9, 89.5, 400])
def test_a_stop_that_must_be_listed_or_may_have_traded_is_absent(days: float) -> None:
    assert asyncio.run(seen_then_missed(Exchange(row()), days)) == Absent()


def test_a_stop_nobody_saw_is_absent_however_old() -> None:
    assert asyncio.run(stops(Exchange(None)).look_up(STOP)) == Absent()


def test_it_has_not_ended_while_the_lists_may_lag() -> None:
    with pytest.raises(VenueError, match="in no list"):
        asyncio.run(seen_then_missed(Exchange(row()), 4, lag_s=10.0))


def test_the_order_a_stop_became_is_forgotten_three_days_after_it_was_set_off() -> None:
    old = row("FINISHED", "77", 9 * DAY_MS, 4 * DAY_MS)
    assert is_ended(asyncio.run(stops(Exchange(old)).look_up(STOP)))
    with pytest.raises(VenueError, match="in no list"):
        asyncio.run(stops(Exchange(old), 10.0).look_up(STOP))
    for listed in (row("FINISHED", "77", 9 * DAY_MS, DAY_MS), row("FINISHED", "77", 99 * DAY_MS)):
        with pytest.raises(VenueError, match="no list shows order 77"):
            asyncio.run(stops(Exchange(listed)).look_up(STOP))


def test_an_order_that_traded_was_not_forgotten() -> None:
    old = row("FINISHED", "77", 9 * DAY_MS, 4 * DAY_MS)
    with pytest.raises(VenueError, match="order 77 traded"):
        asyncio.run(stops(Exchange(old, [{"id": 1}])).look_up(STOP))
