"""Our adapter for Bybit on a sandbox that speaks it: what the port promises, and the capability row.

Not here: the gateway on top of it, and ccxt's own view (`test_bybit_client`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from parley.messages import Fill, Intent, OrderEvent
from tests.kit.sandbox import KEY, SECRET, SandboxProcess, sandbox
from tests.kit.units import make_cancel, make_intent
from venues.adapters import venue_of
from venues.bybit_client import make_client
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.ccxt_venue import CcxtVenue
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
BTC = "BTC/USDT"
RECV_WINDOW_MS = 5000
numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def adapter(**config: Any) -> AsyncIterator[tuple[SandboxProcess, CcxtVenue, Decimal]]:
    """Run an exchange and connect an adapter; the last price of BTC/USDT comes with it."""
    async with sandbox(protocol="bybit", **config) as process:
        client = make_client(
            process.rest, process.ws, api_key=KEY, secret=SECRET, recv_window_ms=RECV_WINDOW_MS
        )
        account = Account(name="main", venue="bybit", symbols=(BTC, "ETH/USDT"))
        venue = venue_of("bybit", client, account, recv_window_ms=RECV_WINDOW_MS, lag_ms=0)
        try:
            await venue.connect()
            price = Decimal((await client.fetch_ticker(BTC))["info"]["lastPrice"])
            yield process, venue, price
        finally:
            await venue.close()


def market_order(**over: Any) -> Intent:
    return make_intent(next(numbers), **over)


def resting(price: Decimal, **over: Any) -> Intent:
    px = (price * Decimal("0.9")).quantize(Decimal("0.01"))
    return market_order(**({"style": "limit", "tif": "GTC", "px": px} | over))


def test_an_order_lives_from_send_to_look_up() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            instruments = await venue.connect()
            btc = instruments[BTC]
            assert (btc.tick, btc.lot, btc.min_notional) == (Decimal("0.01"), Decimal("0.00001"), Decimal(5))
            assert (btc.maker_fee, btc.taker_fee) == (Decimal("0.001"), Decimal("0.001"))
            assert dict(await venue.balances())["USDT"] == 10_000_000
            assert abs(await venue.clock_offset_ms()) < 5000
            assert venue.fence_ns == RECV_WINDOW_MS * 1_000_000

            facts: list[Any] = []
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.append, ready.set))
            await ready.wait()
            taken, waiting = market_order(qty=Decimal("0.25")), resting(price)
            assert isinstance(await venue.send(taken), Acked)
            acked = await venue.send(waiting)
            assert isinstance(acked, Acked)
            assert acked.event is None
            await heard(lambda: len(statuses(facts, taken)) > 0 and "closed" in statuses(facts, taken))
            mine = [each for each in facts if isinstance(each, Fill)]
            assert sum(each.qty for each in mine) == taken.qty
            assert {(each.iid, each.fee_asset, each.liquidity) for each in mine} == {
                (taken.iid, "BTC", "taker")
            }
            last_fill = max(facts.index(each) for each in mine)
            assert last_fill < next(n for n, each in enumerate(facts) if is_closed(each, taken))

            found = await venue.look_up(taken)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("closed", taken.qty)
            assert [each.trade_id for each in found.fills] == [each.trade_id for each in mine]
            assert await venue.look_up(market_order()) == Absent()

            assert isinstance(await venue.cancel(make_cancel(waiting)), Acked)
            await heard(lambda: "canceled" in statuses(facts, waiting))
            found = await venue.look_up(waiting)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.venue_id, found.fills) == ("canceled", acked.venue_id, ())
            again = await venue.cancel(make_cancel(waiting))
            assert isinstance(again, Rejected)
            assert again.code == NOT_FOUND
            assert venue.foreign == 0
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            truth = process.truth("trade")
            assert [str(line["trade_id"]) for line in truth] == [each.trade_id for each in mine]

    asyncio.run(run())


def statuses(facts: list[Any], intent: Intent) -> list[str]:
    return [each.status for each in facts if isinstance(each, OrderEvent) and each.iid == intent.iid]


def is_closed(fact: object, intent: Intent) -> bool:
    return isinstance(fact, OrderEvent) and fact.iid == intent.iid and fact.status == "closed"


async def heard(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_the_capability_row_is_what_the_venue_does() -> None:
    row = CAPABILITIES["bybit"]

    async def run() -> None:
        async with adapter() as (process, venue, price):
            assert isinstance(await venue.send(resting(price, cid="Az09_-" * 6)), Acked)
            assert row.cid_len == 36
            for wrong in ("x" * 37, "a b", ""):
                refused = await venue.send(resting(price, cid=wrong))
                assert isinstance(refused, Rejected)
            order = resting(price)
            assert isinstance(await venue.send(order), Acked)
            again = await venue.send(order)
            assert isinstance(again, Ambiguous)
            assert again.cause.startswith("duplicate")
            assert row.cancel_by_cid
            assert isinstance(await venue.cancel(make_cancel(order)), Acked)
            assert isinstance(await venue.send(order), Ambiguous)  # used up for ever
            assert row.uniqueness == "forever"
            assert row.look_up == ("open", "closed")
            assert lacks_for_opening(row) == ""
            maker = market_order(style="post_only", tif="GTC", px=(price * 2).quantize(Decimal("0.01")))
            assert row.post_only
            assert isinstance(await venue.send(maker), Acked)
            found = await venue.look_up(maker)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("expired", 0)
            accepted = {line["client_order_id"] for line in process.truth("order") if line["order_id"]}
            assert accepted == {"Az09_-" * 6, order.cid, maker.cid}

    asyncio.run(run())


def test_what_is_refused_is_rejected_with_the_venues_code() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            refused = {
                "venue:170131": resting(price, qty=Decimal(5000)),
                "venue:170140": resting(price, qty=Decimal("0.00005")),
                "venue:170194": resting(price, side="sell", px=Decimal("100.00")),
                "venue:request": resting(price, qty=Decimal("0.000000001")),
            }
            codes = {}
            for code, intent in refused.items():
                answer = await venue.send(intent)
                assert isinstance(answer, Rejected), answer
                codes[answer.code] = code
                assert await venue.look_up(intent) == Absent()
            assert codes == {code: code for code in refused}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fate", "exists"),
    [("lost", True), ("failed", True), ("dropped", False), ("throttled", False)],
)
def test_what_nobody_heard_of_is_in_doubt_until_it_is_looked_up(fate: str, exists: bool) -> None:
    async def run() -> None:
        async with adapter(hostility={fate: 1}) as (process, venue, _):
            order = market_order()
            answer = await venue.send(order)
            assert isinstance(answer, Ambiguous), answer
            found = await venue.look_up(order)
            if exists:
                assert isinstance(found, Acked)
                assert sum(each.qty for each in found.fills) == order.qty
            else:
                assert found == Absent()
            assert len({line["order_id"] for line in process.truth("trade")}) == exists
            assert [line["what"] for line in process.truth("hostile")] == [fate]

    asyncio.run(run())
