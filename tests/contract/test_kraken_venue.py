"""Our adapter for Kraken on a sandbox that speaks it: what the port promises, and the capability row.

Not here: the gateway on top of it, and requests that are broken (`test_kraken_requests`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from parley.ids import client_order_id
from parley.messages import Fill, Gap, Intent, OrderEvent
from tests.kit.kraken import ACCOUNTS, SECRET, last_price
from tests.kit.sandbox import KEY, SandboxProcess, sandbox
from tests.kit.units import make_cancel, make_intent
from venues.adapters import venue_of
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.ccxt_venue import CcxtVenue
from venues.kraken_client import make_client
from venues.kraken_ids import wire_id
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, KeyRights, Rejected, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
BTC = "BTC/USDT"
WINDOW_MS = 5000
numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def adapter(**config: Any) -> AsyncIterator[tuple[SandboxProcess, CcxtVenue, Decimal]]:
    """Run an exchange and connect an adapter; the last price of BTC/USDT comes with it."""
    async with sandbox(protocol="kraken", **({"accounts": ACCOUNTS} | config)) as process:
        client = make_client(process.rest, process.ws, api_key=KEY, secret=SECRET, recv_window_ms=WINDOW_MS)
        account = Account(name="main", venue="kraken", symbols=(BTC, "ETH/BTC"))
        venue = venue_of("kraken", client, account, recv_window_ms=WINDOW_MS, lag_ms=0)
        try:
            await venue.connect()
            yield process, venue, await last_price(process, BTC)
        finally:
            await venue.close()


def market_order(**over: Any) -> Intent:
    n = next(numbers)
    return make_intent(n, **({"cid": client_order_id(b"k" * 32, "abcde", n.to_bytes(16))} | over))


def resting(price: Decimal, **over: Any) -> Intent:
    px = (price * Decimal("0.9")).quantize(Decimal("0.01"))
    return market_order(**({"style": "limit", "tif": "GTC", "px": px} | over))


def test_an_order_lives_from_send_to_look_up() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            facts: list[Any] = []
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.append, ready.set))
            await ready.wait()
            taken, waiting = market_order(qty=Decimal("0.25")), resting(price)
            assert isinstance(await venue.send(taken), Acked)
            acked = await venue.send(waiting)
            assert isinstance(acked, Acked)
            await heard(lambda: "closed" in statuses(facts, taken) and statuses(facts, waiting) != [])
            mine = [each for each in facts if isinstance(each, Fill)]
            assert sum(each.qty for each in mine) == taken.qty
            assert {(each.iid, each.fee_asset, each.liquidity) for each in mine} == {
                (taken.iid, "USDT", "taker")
            }
            last_fill = max(facts.index(each) for each in mine)
            assert last_fill < next(n for n, each in enumerate(facts) if is_closed(each, taken))

            found = await venue.look_up(taken)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("closed", taken.qty)
            assert list(found.fills) == mine
            still = await venue.look_up(waiting)
            assert isinstance(still, Acked)
            assert still.event is not None
            assert (still.event.status, still.venue_id) == ("open", acked.venue_id)
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
            assert not any(isinstance(each, Gap) for each in facts)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            truth = process.truth("trade")
            assert [str(line["trade_id"]) for line in truth] == [each.trade_id for each in mine]
            assert [Decimal(line["fee"]) for line in truth] == [each.fee for each in mine]
            paid = sum((each.px * each.qty + each.fee for each in mine), Decimal(0))
            held = dict(await venue.balances())
            assert held["USDT"] == 10_000_000 - paid
            assert held["BTC"] == 20 + taken.qty

    asyncio.run(run())


def statuses(facts: list[Any], intent: Intent) -> list[str]:
    return [each.status for each in facts if isinstance(each, OrderEvent) and each.iid == intent.iid]


def is_closed(fact: object, intent: Intent) -> bool:
    return isinstance(fact, OrderEvent) and fact.iid == intent.iid and fact.status == "closed"


async def heard(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_the_capability_row_is_what_the_venue_does() -> None:
    row = CAPABILITIES["kraken"]

    async def run() -> None:
        async with adapter() as (process, venue, price):
            btc = (await venue.connect())[BTC]
            assert (btc.tick, btc.lot, btc.min_notional) == (Decimal("0.01"), Decimal("0.00001"), Decimal(5))
            assert (btc.maker_fee, btc.taker_fee) == (Decimal("0.001"), Decimal("0.001"))
            assert dict(await venue.balances()) == {"BTC": 20, "ETH": 100, "USDT": 10_000_000}
            assert abs(await venue.clock_offset_ms()) < 100
            assert await venue.key_rights() == KeyRights(trades=True, withdraws=False)
            assert venue.fence_ns == row.least_fence_ms * 1_000_000

            assert isinstance(await venue.send(resting(price, cid="aA09")), Acked)
            for wrong in ("x" * 19, "x" * 32, "a_b", ""):
                refused = await venue.send(resting(price, cid=wrong))
                assert isinstance(refused, Rejected)
            order = resting(price)
            assert isinstance(await venue.send(order), Acked)
            again = await venue.send(order)
            assert isinstance(again, Ambiguous)
            assert again.cause.startswith("duplicate")
            assert row.cancel_by_cid
            assert isinstance(await venue.cancel(make_cancel(order)), Acked)
            assert isinstance(await venue.send(order), Acked)  # free again
            assert row.uniqueness == "open"
            assert isinstance(await venue.cancel(make_cancel(order)), Acked)
            assert row.look_up == ("open", "closed")
            assert lacks_for_opening(row).startswith("undocumented: how long it finds an order")
            high = (price * 2).quantize(Decimal("0.01"))
            assert row.post_only
            ends = (
                market_order(style="post_only", tif="GTC", px=high),
                resting(price, tif="IOC"),
                resting(price, tif="FOK"),
            )
            for ended in ends:
                assert isinstance(await venue.send(ended), Acked)
                found = await venue.look_up(ended)
                assert isinstance(found, Acked)
                assert found.event is not None
                assert (found.event.status, found.event.cum_qty) == ("expired", Decimal(0))
            accepted = {line["client_order_id"] for line in process.truth("order") if line["order_id"]}
            assert accepted == {wire_id(each.cid) for each in (order, *ends)} | {"aA09"}

    asyncio.run(run())


@pytest.mark.long
def test_what_is_refused_is_rejected_with_the_venues_words() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            refused = {
                "venue:EOrder:Insufficient funds": resting(price, qty=Decimal(5000)),
                "venue:EOrder:Invalid price": resting(price, px=(price * 7).quantize(Decimal("0.01"))),
                "venue:EOrder:Tick size check failed": resting(price, px=Decimal("40000.001")),
                "venue:EGeneral:Invalid arguments:volume": resting(price, qty=Decimal("0.000000001")),
                "venue:EOrder:Cost minimum not met": resting(price, qty=Decimal("0.00001")),
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
    [
        pytest.param("lost", True, marks=pytest.mark.long),
        pytest.param("failed", True, marks=pytest.mark.long),
        pytest.param("dropped", False, marks=pytest.mark.long),
        pytest.param("throttled", False, marks=pytest.mark.long),
    ],
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


@pytest.mark.long
def test_each_order_goes_out_with_its_own_deadline() -> None:
    async def run() -> None:
        # what is carried out later than its deadline is not carried out at all
        async with adapter(hostility={"late": 1.0, "late_ms": 12_000}) as (process, venue, price):
            sent = [resting(price) for _ in range(6)]
            begun = time.monotonic()
            answers = await asyncio.gather(*(venue.send(each) for each in sent))
            assert {type(each) for each in answers} == {Ambiguous}
            await asyncio.sleep(13 + begun - time.monotonic() + 1)
            lines = process.truth("hostile")
            refused = {line["client_order_id"] for line in lines if line["what"] == "late_refused:1"}
            placed = {line["client_order_id"] for line in process.truth("order") if line["order_id"]}
            assert refused | placed == {wire_id(each.cid) for each in sent}
            assert refused
            delays = {line["client_order_id"]: line["delay_ms"] for line in lines if line["what"] == "late"}
            assert all(delays[each] <= WINDOW_MS for each in placed)

    asyncio.run(run())


@pytest.mark.long
def test_a_private_stream_that_was_refused_is_begun_anew_with_another_token() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            client = venue._client
            old = {"token": "spoilt", "start": client.seconds(), "expires": 900}
            client.client(client.urls["api"]["ws"]["private"]).subscriptions["authenticated"] = old
            facts: list[Any] = []
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.append, ready.set))
            async with asyncio.timeout(20):
                await ready.wait()
                assert any(isinstance(each, Gap) for each in facts)  # it was refused at first
                order = resting(price)
                assert isinstance(await venue.send(order), Acked)
                await heard(lambda: "open" in statuses(facts, order))
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


def test_requests_that_are_made_at_once_are_all_taken_in_their_order() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            sent = [resting(price) for _ in range(12)]
            asked = [venue.look_up(market_order()) for _ in range(4)]
            answers = await asyncio.gather(*(venue.send(each) for each in sent), *asked)
            assert [type(each) for each in answers] == [Acked] * 12 + [Absent] * 4
            placed = [line["client_order_id"] for line in process.truth("order") if line["order_id"]]
            assert placed == [wire_id(each.cid) for each in sent]

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("skew_ms", [0, -1700, 340])
def test_a_clock_of_whole_seconds_is_known_to_less_than_a_tenth_of_one(skew_ms: int) -> None:
    async def run() -> None:
        async with adapter(hostility={"clock_skew_ms": skew_ms}) as (_, venue, _):
            assert await venue.clock_offset_ms() == pytest.approx(skew_ms, abs=100)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "trades", "withdraws"),
    [
        (["query-funds"], False, False),
        (["modify-trades", "close-trades"], True, False),
        (["modify-trades"], False, False),
        (["modify-trades", "close-trades", "withdraw-funds"], True, True),
        (["add-withdraw-address"], False, True),
        ([], False, False),
    ],
)
def test_what_a_key_may_do_is_read_against_it(said: list[str], trades: bool, withdraws: bool) -> None:
    assert asyncio.run(answering({"permissions": said}).key_rights()) == KeyRights(
        trades=trades, withdraws=withdraws
    )


@pytest.mark.parametrize("answer", [{}, {"permissions": None}, {"permissions": "modify-trades"}])
def test_an_answer_that_does_not_say_what_a_key_may_do_is_none(answer: dict[str, object]) -> None:
    with pytest.raises(VenueError, match="rights of the key: the answer does not say"):
        asyncio.run(answering(answer).key_rights())


def test_a_list_that_is_not_of_the_id_that_was_asked_for_is_no_answer() -> None:
    row = {"cl_ord_id": "another", "opentm": "1.5"}
    with pytest.raises(VenueError, match="open orders: expected only those of mine"):
        asyncio.run(answering({"open": {"O1": row}}).look_up(market_order(cid="mine")))


def test_keys_that_are_not_kraken_are_refused_before_they_are_used() -> None:
    with pytest.raises(VenueError, match="keys: expected a secret in base 64"):
        asyncio.run(answering({}, secret="sandbox-secret").connect())


def answering(result: dict[str, object], secret: str = SECRET) -> CcxtVenue:
    """Return a venue whose client gets an answer that no sandbox gives."""

    async def say(request: object = None) -> object:
        return {"error": [], "result": result}

    async def markets() -> object:
        return {}

    client = SimpleNamespace(
        privatePostGetApiKeyInfo=say, privatePostOpenOrders=say, load_markets=markets,
        last_response_headers={}, options={"recvWindow": WINDOW_MS}, secret=secret,
    )  # fmt: skip
    account = Account(name="main", venue="kraken", symbols=(BTC,))
    return venue_of("kraken", client, account, recv_window_ms=WINDOW_MS, lag_ms=0)
