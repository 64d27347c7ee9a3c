"""Our adapter for Coinbase: cancels by the venue's number, tokens that end, a stream that breaks.

Not here: what holds for every venue (`test_adapter_on_venues`), and ccxt's own view (`test_coinbase_client`).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from parley.messages import Fill, Gap
from tests.kit.adapters import adapter, following, heard, speaking, statuses
from tests.kit.cut_line import cut_line
from tests.kit.units import make_cancel
from tests.kit.venues import VENUES, Orders
from venues.port import NOT_FOUND, Acked, Rejected

pytestmark = pytest.mark.timeout(120)


def test_an_order_is_cancelled_by_its_number_which_another_adapter_looks_for() -> None:
    async def run() -> None:
        async with adapter("coinbase") as adapted:
            venue, orders = adapted.venue, adapted.orders
            order = orders.limit()
            first = await venue.send(order)
            assert isinstance(first, Acked)
            # the kill switch with a key alone
            async with speaking(adapted.at, adapted.process, adapted.process.ws) as other:
                assert isinstance(await other.cancel(make_cancel(order)), Acked)
                nothing = await other.cancel(make_cancel(orders.market()))
                assert isinstance(nothing, Rejected)
                assert nothing.code == NOT_FOUND
            late = await venue.send(order)  # its first one, which has ended
            assert isinstance(late, Acked)
            assert late.event is not None
            assert (late.venue_id, late.event.status) == (first.venue_id, "canceled")
            assert {line["client_order_id"] for line in adapted.placed()} == {order.cid}
            assert len({line["order_id"] for line in adapted.placed()}) == 1

    asyncio.run(run())


def test_a_window_that_no_token_can_end_with_sends_nothing() -> None:
    async def run() -> None:
        async with adapter("coinbase", window_ms=900) as adapted:
            answer = await adapted.venue.send(adapted.orders.limit())
            assert isinstance(answer, Rejected)
            assert (answer.code, "900 ms" in answer.detail) == ("venue:request", True)
            assert adapted.process.truth("order") == []

    asyncio.run(run())


def test_executions_are_told_by_the_stream_once_and_after_a_break_it_stands_again() -> None:
    async def run() -> None:
        at = VENUES["coinbase"]
        async with at.sandbox() as process, cut_line(process.ws) as (line, ws):
            control = await process.control()
            await control.go()
            await control.steps(1)
            async with speaking(at, process, ws) as venue, following(venue) as facts:
                orders = Orders(at, await at.last_price(process, at.btc))
                buys = [
                    orders.limit(px=orders.last - n, qty=Decimal("0.4"), style="post_only")
                    for n in range(1, 6)
                ]
                for each in buys:
                    assert isinstance(await venue.send(each), Acked)
                for _ in range(6):
                    await control.steps(1)
                truth = {str(row["trade_id"]) for row in process.truth("trade")}
                assert truth
                await heard(lambda: {each.trade_id for each in facts if isinstance(each, Fill)} == truth)
                told = [each.trade_id for each in facts if isinstance(each, Fill)]
                assert len(told) == len(truth)
                assert {each.liquidity for each in facts if isinstance(each, Fill)} == {"maker"}

                assert await venue.hears()
                line.cut()
                await heard(lambda: any(isinstance(each, Gap) for each in facts))
                assert not await venue.hears()
                line.mend()
                async with asyncio.timeout(20):
                    while not await venue.hears():
                        await asyncio.sleep(0.01)
                last = orders.market()
                assert isinstance(await venue.send(last), Acked)
                await heard(lambda: "closed" in statuses(facts, last))

    asyncio.run(run())
