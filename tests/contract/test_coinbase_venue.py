"""Our adapter for Coinbase on a sandbox that speaks it: what the port promises, and the capability row.

Not here: the gateway on top of it, and ccxt's own view (`test_coinbase_client`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from parley.messages import Fill, Gap, Intent, OrderEvent
from tests.kit.coinbase import PEM, coinbase, price_of
from tests.kit.cut_line import cut_line
from tests.kit.sandbox import KEY, SandboxProcess
from tests.kit.units import make_cancel, make_intent
from venues.adapters import venue_of
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.ccxt_venue import CcxtVenue
from venues.coinbase_client import make_client
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, KeyRights, Rejected
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
BTC = "BTC/USDT"
RECV_WINDOW_MS = 5000
numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def adapter(
    *, window_ms: int = RECV_WINDOW_MS, **config: Any
) -> AsyncIterator[tuple[SandboxProcess, CcxtVenue, Decimal]]:
    """Run an exchange and connect an adapter; the last price of BTC/USDT comes with it."""
    async with coinbase(**config) as process, speaking(process, process.ws, window_ms) as venue:
        yield process, venue, await price_of(process, BTC)


@contextlib.asynccontextmanager
async def speaking(process: SandboxProcess, ws: str, window_ms: int) -> AsyncIterator[CcxtVenue]:
    client = make_client(process.rest, ws, api_key=KEY, secret=PEM, recv_window_ms=window_ms)
    account = Account(name="main", venue="coinbase", symbols=(BTC, "ETH/USDT"))
    venue = venue_of("coinbase", client, account, recv_window_ms=window_ms, lag_ms=0)
    try:
        await venue.connect()
        yield venue
    finally:
        await venue.close()


def market_order(**over: Any) -> Intent:
    return make_intent(next(numbers), **over)


def resting(price: Decimal, **over: Any) -> Intent:
    px = (price * Decimal("0.9")).quantize(Decimal("0.01"))
    return market_order(**({"style": "limit", "tif": "GTC", "px": px} | over))


@contextlib.asynccontextmanager
async def following(venue: CcxtVenue) -> AsyncIterator[list[Any]]:
    """Follow the private stream; what it tells comes with it."""
    facts: list[Any] = []
    ready = asyncio.Event()
    task = asyncio.create_task(venue.follow(facts.append, ready.set))
    async with asyncio.timeout(10):
        await ready.wait()
    try:
        yield facts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def heard(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def statuses(facts: list[Any], intent: Intent) -> list[str]:
    return [each.status for each in facts if isinstance(each, OrderEvent) and each.iid == intent.iid]


def test_an_order_lives_from_send_to_look_up() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            btc = (await venue.connect())[BTC]
            assert (btc.tick, btc.lot, btc.min_notional) == (Decimal("0.01"), Decimal("0.00001"), Decimal(5))
            assert (btc.maker_fee, btc.taker_fee) == (Decimal("0.001"), Decimal("0.001"))
            assert dict(await venue.balances())["USDT"] == 10_000_000
            # the venue tells milliseconds, and ccxt would cut them to seconds
            assert abs(await venue.clock_offset_ms()) < 300
            assert venue.fence_ns == RECV_WINDOW_MS * 1_000_000
            assert await venue.key_rights() == KeyRights(trades=True, withdraws=False)

            async with following(venue) as facts:
                taken, waiting = market_order(qty=Decimal("0.25")), resting(price)
                answer = await venue.send(taken)
                assert isinstance(answer, Acked)
                assert answer.event is not None
                assert (answer.event.status, answer.event.cum_qty) == ("closed", taken.qty)
                acked = await venue.send(waiting)
                assert isinstance(acked, Acked)
                assert acked.event is not None
                assert acked.event.status == "open"
                await heard(lambda: "closed" in statuses(facts, taken))
                mine = [each for each in facts if isinstance(each, Fill)]
                assert tuple(mine) == answer.fills
                assert sum(each.qty for each in mine) == taken.qty
                assert {(each.fee_asset, each.liquidity) for each in mine} == {("USDT", "taker")}
                last_fill = max(facts.index(each) for each in mine)
                ends = [n for n, each in enumerate(facts) if statuses([each], taken) == ["closed"]]
                assert last_fill < ends[0]
                found = await venue.look_up(taken)
                assert isinstance(found, Acked)
                assert (found.event, found.fills) == (answer.event, answer.fills)
                assert await venue.look_up(market_order()) == Absent()

                assert isinstance(await venue.cancel(make_cancel(waiting)), Acked)
                await heard(lambda: "canceled" in statuses(facts, waiting))
                found = await venue.look_up(waiting)
                assert isinstance(found, Acked)
                assert found.event is not None
                assert (found.event.status, found.venue_id) == ("canceled", acked.venue_id)
                again = await venue.cancel(make_cancel(waiting))
                assert isinstance(again, Rejected)
                assert again.code == NOT_FOUND
                assert venue.foreign == 0
            truth = process.truth("trade")
            assert [str(line["trade_id"]) for line in truth] == [each.trade_id for each in mine]
            assert sum(Decimal(line["fee"]) for line in truth) == sum(each.fee for each in mine)

    asyncio.run(run())


def test_the_capability_row_is_what_the_venue_does() -> None:
    row = CAPABILITIES["coinbase"]

    async def run() -> None:
        async with adapter() as (process, venue, price):
            longest = resting(price, cid="A-z09" * 7 + "x")
            assert len(longest.cid) == row.cid_len
            assert isinstance(await venue.send(longest), Acked)
            for wrong in ("x" * 37, "a_b", ""):
                assert isinstance(await venue.send(resting(price, cid=wrong)), Rejected)
            order = resting(price)
            first = await venue.send(order)
            again = await venue.send(order)
            assert isinstance(first, Acked)
            assert isinstance(again, Acked)
            assert again.venue_id == first.venue_id
            # by the venue's number, which another adapter has to look for: the kill switch with a key alone
            assert not row.cancel_by_cid
            async with speaking(process, process.ws, RECV_WINDOW_MS) as other:
                assert isinstance(await other.cancel(make_cancel(order)), Acked)
                nothing = await other.cancel(make_cancel(market_order()))
                assert isinstance(nothing, Rejected)
                assert nothing.code == NOT_FOUND
            late = await venue.send(order)  # its first one, which has ended
            assert isinstance(late, Acked)
            assert late.event is not None
            assert (late.venue_id, late.event.status) == (first.venue_id, "canceled")
            assert row.uniqueness == "idempotent"
            assert row.look_up == ("open", "closed")
            assert lacks_for_opening(row).startswith("undocumented: how long it finds an order")
            maker = market_order(style="post_only", tif="GTC", px=(price * 2).quantize(Decimal("0.01")))
            refused = await venue.send(maker)
            assert isinstance(refused, Rejected)
            assert refused.code == "venue:invalid_limit_price_post_only"
            accepted = {line["client_order_id"] for line in process.truth("order") if line["order_id"]}
            assert accepted == {longest.cid, order.cid}
            assert len({line["order_id"] for line in process.truth("order") if line["order_id"]}) == 2

    asyncio.run(run())


def test_what_is_refused_is_rejected_with_the_venues_reason() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            far = (price * 7).quantize(Decimal("0.01"))
            refused = {
                "venue:insufficient_fund": resting(price, qty=Decimal(5000)),
                "venue:limit_price_too_far_from_market": resting(price, px=far),
                "venue:invalid_size_precision": resting(price, qty=Decimal("1.0000001")),
                "venue:invalid_base_size_too_small": resting(price, qty=Decimal("0.000001")),
                "venue:invalid_quote_size_too_small": resting(price, qty=Decimal("0.00001")),
            }
            for code, intent in refused.items():
                answer = await venue.send(intent)
                assert isinstance(answer, Rejected), answer
                assert answer.code == code
                assert await venue.look_up(intent) == Absent()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fate", "exists"),
    [
        ("lost", True),
        pytest.param("failed", True, marks=pytest.mark.long),
        pytest.param("dropped", False, marks=pytest.mark.long),
        pytest.param("throttled", False, marks=pytest.mark.long),
    ],
)
def test_what_nobody_heard_of_is_in_doubt_until_it_is_looked_up(fate: str, exists: bool) -> None:
    async def run() -> None:
        # a page holds one row: lists are read to their ends
        async with adapter(hostility={fate: 1, "page_limit": 1}) as (process, venue, _):
            before, order = market_order(), market_order(qty=Decimal(2))
            for each in (before, order):
                assert isinstance(await venue.send(each), Ambiguous)
            found = await venue.look_up(before)
            if exists:
                assert isinstance(found, Acked)
                assert sum(each.qty for each in found.fills) == before.qty
            else:
                assert found == Absent()
            assert len({line["order_id"] for line in process.truth("trade")}) == 2 * exists
            assert {line["what"] for line in process.truth("hostile")} == {fate}

    asyncio.run(run())


def test_each_order_goes_out_with_a_token_that_ends_with_its_window() -> None:
    async def run() -> None:
        # what is carried out later than its token is good for is not carried out at all
        late = {"late": 1.0, "late_ms": 1700}
        async with adapter(hostility=late, window_ms=1000) as (process, venue, price):
            sent = [resting(price) for _ in range(16)]
            answers = await asyncio.gather(*(venue.send(each) for each in sent))
            assert {type(each) for each in answers} == {Ambiguous}
            await asyncio.sleep(1.8)
            hostile = process.truth("hostile")
            refused = {line["client_order_id"] for line in hostile if line["what"] == "late_refused:401"}
            placed = {line["client_order_id"] for line in process.truth("order") if line["order_id"]}
            assert refused | placed == {each.cid for each in sent}
            delays = {line["client_order_id"]: line["delay_ms"] for line in hostile if line["what"] == "late"}
            assert all(delays[each] <= 1000 for each in placed)
            assert max(delays.values()) > 1000

    asyncio.run(run())


def test_a_window_that_no_token_can_end_with_sends_nothing() -> None:
    async def run() -> None:
        async with adapter(window_ms=900) as (process, venue, price):
            answer = await venue.send(resting(price))
            assert isinstance(answer, Rejected)
            assert (answer.code, "900 ms" in answer.detail) == ("venue:request", True)
            assert process.truth("order") == []

    asyncio.run(run())


def test_executions_are_told_by_the_stream_once_and_after_a_break_it_stands_again() -> None:
    async def run() -> None:
        async with coinbase() as process, cut_line(process.ws) as (line, ws):
            control = await process.control()
            await control.go()
            await control.steps(1)
            async with speaking(process, ws, RECV_WINDOW_MS) as venue, following(venue) as facts:
                price = await price_of(process, BTC)
                buys = [
                    resting(price, px=price - n, qty=Decimal("0.4"), style="post_only") for n in range(1, 6)
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
                last = market_order()
                assert isinstance(await venue.send(last), Acked)
                await heard(lambda: "closed" in statuses(facts, last))

    asyncio.run(run())
