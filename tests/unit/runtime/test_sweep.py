"""A sweep believes a venue that says an order is not open any more, in whatever words it says that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import ccxt
import pytest

from parley.budget import Lack, Rank
from runtime.kill_switch import Orders, first_open, sweep
from tests.kit.units import make_intent
from venues.bybit_limits import BybitLimits
from venues.bybit_orders import verdict as of_bybit
from venues.limits import NoLimits, Request
from venues.meter import Meter
from venues.okx_orders import verdict as of_okx
from venues.port import Venue
from venues.several_meter import SeveralMeters

GONE = [
    (
        of_okx,
        'okx {"code":"1","data":[{"sCode":"51400","sMsg":"Cancellation failed as the order is filled"}]}',
    ),
    (of_bybit, 'bybit {"retCode":170213,"retMsg":"Order does not exist."}'),
]


class Ended:
    """A gateway whose one order ended at the venue, and nobody heard of it."""

    def __init__(self, answer: Any, *, is_known: bool) -> None:
        self._answer, self._is_known, self._orders = answer, is_known, [make_intent(1)]

    def working(self) -> list[Any]:
        return self._orders

    def is_known(self, iid: bytes) -> bool:
        return self._is_known

    async def written(self, intents: list[Any]) -> list[Any]:
        return intents

    async def cancel_now(self, cancel: Any) -> Any:
        return self._answer

    async def cancelable(self, orders: list[Any], patience_s: float) -> list[Any]:
        return orders


@pytest.mark.parametrize(("verdict", "said"), GONE)
@pytest.mark.parametrize("is_known", [True, False])
def test_order_of_which_the_venue_knows_nothing_to_cancel_is_confirmed_if_it_ever_was_there(
    verdict: Callable[[Exception], Any], said: str, is_known: bool
) -> None:
    orders = Ended(verdict(ccxt.OrderNotFound(said)), is_known=is_known)
    swept = asyncio.run(sweep(cast(Orders, orders), lambda _: True, patience_s=0.2))
    assert (swept.confirmed, len(swept.unconfirmed)) == ((1, 0) if is_known else (0, 1))


def shut(ban_ms: int) -> Meter:
    meter = Meter(BybitLimits(ban_ns=ban_ms * 1_000_000))
    meter.failed(Request.TIME, ccxt.AuthenticationError('bybit {"retCode":10009}'), {})
    return meter


class Two:
    """Two venues, by the symbol of an order."""

    def __init__(self, here: Meter, there: Meter) -> None:
        self.meter = SeveralMeters({"binance": here, "bybit": there})


@pytest.mark.parametrize(
    ("here", "there", "first"),
    [
        (0, 0, ["BTC/USDT", "BTC/USDT@bybit"]),
        (0, 60_000, ["BTC/USDT"]),
        (60_000, 50, ["BTC/USDT@bybit"]),
        (60_000, 60_000, []),
    ],
)
def test_what_a_venue_takes_now_is_cancelled_before_one_is_waited_for(
    here: int, there: int, first: list[str]
) -> None:
    venue = Two(*(shut(each) if each else Meter(NoLimits()) for each in (here, there)))
    orders = [make_intent(1), make_intent(2, symbol="BTC/USDT@bybit")]
    found = asyncio.run(first_open(orders, cast(Venue, venue), 1.0))
    assert [each.symbol for each in found] == first


class ClosedAgain(Meter):
    """Says each time that it opens in a moment, and is closed again then."""

    def lack(self, request: Request, rank: Rank | None = None) -> Lack | None:
        return Lack("orders", 1_000_000, is_closed=True)

    async def opens(self, request: Request, until: int | None = None) -> Lack | None:
        await asyncio.Event().wait()
        return None


def test_a_venue_that_is_closed_again_each_time_keeps_nobody_from_the_one_that_opens() -> None:
    async def run() -> None:
        venue = Two(ClosedAgain(NoLimits()), shut(100))
        orders = [make_intent(1), make_intent(2, symbol="BTC/USDT@bybit")]
        async with asyncio.timeout(5):
            found = await first_open(orders, cast(Venue, venue), 10.0)
        assert [each.symbol for each in found] == ["BTC/USDT@bybit"]

    asyncio.run(run())
