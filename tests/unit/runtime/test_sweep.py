"""A sweep believes a venue that says an order is not open any more, in whatever words it says that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import ccxt
import pytest

from runtime.kill_switch import Orders, sweep
from tests.kit.units import make_intent
from venues.bybit_orders import verdict as of_bybit
from venues.okx_orders import verdict as of_okx

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

    async def cancels_open(self, patience_s: float) -> bool:
        return True


@pytest.mark.parametrize(("verdict", "said"), GONE)
@pytest.mark.parametrize("is_known", [True, False])
def test_order_of_which_the_venue_knows_nothing_to_cancel_is_confirmed_if_it_ever_was_there(
    verdict: Callable[[Exception], Any], said: str, is_known: bool
) -> None:
    orders = Ended(verdict(ccxt.OrderNotFound(said)), is_known=is_known)
    swept = asyncio.run(sweep(cast(Orders, orders), lambda _: True, patience_s=0.2))
    assert (swept.confirmed, len(swept.unconfirmed)) == ((1, 0) if is_known else (0, 1))
