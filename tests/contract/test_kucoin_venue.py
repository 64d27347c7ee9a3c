"""Our adapter for KuCoin on a sandbox that speaks it: what the port promises, and the capability row.

Not here: the gateway on top of it, and ccxt's own view (`test_kucoin_client`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from parley.messages import Fill, Intent, OrderEvent
from tests.kit.sandbox import KEY, PASSPHRASE, SECRET, SandboxProcess, sandbox
from tests.kit.units import make_cancel, make_intent
from venues.adapters import venue_of
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.ccxt_venue import CcxtVenue
from venues.kucoin_client import make_client
from venues.limits import Request
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, KeyRights, Rejected, VenueError
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
    async with sandbox(protocol="kucoin", **config) as process:
        client = make_client(
            process.rest, process.ws, api_key=KEY, secret=SECRET, passphrase=PASSPHRASE,
            recv_window_ms=window_ms,
        )  # fmt: skip
        account = Account(name="main", venue="kucoin", symbols=(BTC, "ETH/USDT"))
        venue = venue_of("kucoin", client, account, recv_window_ms=window_ms, lag_ms=0)
        try:
            await venue.connect()
            price = Decimal((await client.fetch_ticker(BTC))["info"]["last"])
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
            assert await venue.key_rights() == KeyRights(trades=True, withdraws=False)

            facts: list[Any] = []
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.append, ready.set))
            await ready.wait()
            taken, waiting = market_order(qty=Decimal("0.25")), resting(price)
            assert isinstance(await venue.send(taken), Acked)
            # what traded at once was told before the answer, with the fee that only the list knows
            mine = [each for each in facts if isinstance(each, Fill)]
            assert sum(each.qty for each in mine) == taken.qty
            assert {(each.iid, each.fee_asset, each.liquidity) for each in mine} == {
                (taken.iid, "BTC", "taker")
            }
            last_fill = max(facts.index(each) for each in mine)
            (closed,) = {each for each in facts if is_closed(each, taken)}
            assert last_fill < facts.index(closed)
            assert closed.avg_px == sum(each.px * each.qty for each in mine) / taken.qty
            acked = await venue.send(waiting)
            assert isinstance(acked, Acked)
            assert acked.event is None

            found = await venue.look_up(taken)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("closed", taken.qty)
            assert found.fills == tuple(mine)
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
            assert [(str(line["trade_id"]), Decimal(line["fee"])) for line in truth] == [
                (each.trade_id, each.fee) for each in mine
            ]

    asyncio.run(run())


def statuses(facts: list[Any], intent: Intent) -> list[str]:
    return [each.status for each in facts if isinstance(each, OrderEvent) and each.iid == intent.iid]


def is_closed(fact: object, intent: Intent) -> bool:
    return isinstance(fact, OrderEvent) and fact.iid == intent.iid and fact.status == "closed"


async def heard(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_the_capability_row_is_what_the_venue_does() -> None:
    row = CAPABILITIES["kucoin"]

    async def run() -> None:
        async with adapter() as (process, venue, price):
            assert isinstance(await venue.send(resting(price, cid="aZ0_-" * 8)), Acked)
            assert row.cid_len == 40
            for wrong in ("x" * 41, "a b", ""):
                refused = await venue.send(resting(price, cid=wrong))
                assert isinstance(refused, Rejected)
            order = resting(price)
            assert isinstance(await venue.send(order), Acked)
            assert isinstance(await venue.send(order), Acked)  # nothing is promised, and nothing kept
            assert row.uniqueness == "none"
            assert row.cancel_by_cid
            assert isinstance(await venue.cancel(make_cancel(order)), Acked)
            assert row.look_up == ("open", "closed")
            assert lacks_for_opening(row) == ""
            maker = market_order(style="post_only", tif="GTC", px=(price * 2).quantize(Decimal("0.01")))
            assert row.post_only
            assert isinstance(await venue.send(maker), Acked)
            found = await venue.look_up(maker)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("canceled", 0)
            accepted = [line["client_order_id"] for line in process.truth("order") if line["status"] == "NEW"]
            assert sorted(accepted) == sorted(["aZ0_-" * 8, order.cid, order.cid, maker.cid])

    asyncio.run(run())


def test_an_id_that_the_venue_calls_taken_leaves_its_order_in_doubt() -> None:
    async def run() -> None:
        async with adapter(hostility={"client_ids": "forever"}) as (_, venue, price):
            order = resting(price)
            first = await venue.send(order)
            assert isinstance(first, Acked)
            again = await venue.send(order)
            assert isinstance(again, Ambiguous)
            assert again.cause.startswith("duplicate")
            found = await venue.look_up(order)
            assert isinstance(found, Acked)
            assert found.venue_id == first.venue_id

    asyncio.run(run())


def test_what_is_refused_is_rejected_with_the_venues_code() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            refused = {
                "venue:200004": resting(price, qty=Decimal(5000)),
                "venue:400370": resting(price, px=(price * 7).quantize(Decimal("0.01"))),
                "venue:400760": resting(price, side="sell", px=Decimal("100.00")),
                "venue:600100": resting(price, qty=Decimal("0.00001")),
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
    [
        ("lost", True),
        pytest.param("failed", True, marks=pytest.mark.long),
        pytest.param("dropped", False, marks=pytest.mark.long),
        ("throttled", False),
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


def test_each_order_goes_out_with_its_own_deadline() -> None:
    async def run() -> None:
        # what is carried out later than its deadline is not carried out at all
        late = {"late": 1.0, "late_ms": 1500}
        async with adapter(hostility=late, window_ms=100) as (process, venue, price):
            sent = [resting(price) for _ in range(6)]
            answers = await asyncio.gather(*(venue.send(each) for each in sent))
            assert {type(each) for each in answers} == {Ambiguous}
            await asyncio.sleep(1.6)
            refused = {
                line["client_order_id"]
                for line in process.truth("hostile")
                if line["what"] == "late_refused:400100"
            }
            placed = {line["client_order_id"] for line in process.truth("order") if line["order_id"]}
            assert refused | placed == {each.cid for each in sent}
            assert len(refused) >= 4
            delays = {
                line["client_order_id"]: line["delay_ms"]
                for line in process.truth("hostile")
                if line["what"] == "late"
            }
            assert all(delays[each] <= 100 for each in placed)

    asyncio.run(run())


def test_what_answers_say_is_left_of_a_pool_is_kept_to() -> None:
    async def run() -> None:
        async with adapter(weight_limit=150) as (process, venue, price):
            sent = 0
            while venue.meter.take(Request.SEND) is None:
                assert isinstance(await venue.send(resting(price)), Acked)
                sent += 1
            # of 4000 that are documented this one has 150, and some were spent before the first order
            assert 10 < sent < 140
            assert venue.meter.take(Request.CANCEL) is None  # of what is left for who opens nothing
            assert {line["status"] for line in process.truth("order")} == {"NEW"}

    asyncio.run(run())


@pytest.mark.parametrize("page_limit", [0, 1])
def test_executions_are_read_to_the_last_page(page_limit: int) -> None:
    async def run() -> None:
        async with adapter(hostility={"page_limit": page_limit}) as (process, venue, _):
            order = market_order(qty=Decimal(40), cid="several")  # more than the first level has
            assert isinstance(await venue.send(order), Acked)
            found = await venue.look_up(order)
            assert isinstance(found, Acked)
            truth = [str(line["trade_id"]) for line in process.truth("trade")]
            assert [each.trade_id for each in found.fills] == truth
            assert len(truth) > 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "trades", "withdraws"),
    [
        ("General", False, False),
        ("General,Spot", True, False),
        ("General, Spot, InnerTransfer", True, False),
        ("General,Futures,Spot,Earn,InnerTransfer,Transfer,Margin", True, True),
        ("General,Withdrawal", False, True),
        ("", False, False),
    ],
)
def test_what_a_key_may_do_is_read_against_it(said: str, trades: bool, withdraws: bool) -> None:
    found = asyncio.run(answering(privateGetUserApiKey={"permission": said}).key_rights())
    assert found == KeyRights(trades=trades, withdraws=withdraws)


@pytest.mark.parametrize("answer", [{}, {"permission": None}, {"permission": ["Spot"]}])
def test_an_answer_that_does_not_say_what_a_key_may_do_is_none(answer: dict[str, object]) -> None:
    with pytest.raises(VenueError, match="rights of the key: the answer does not say"):
        asyncio.run(answering(privateGetUserApiKey=answer).key_rights())


@pytest.mark.parametrize(
    ("unified", "opened", "expected"),
    [
        (True, True, "account mode: expected a classic account"),
        (False, False, "account type: expected one for high-frequency trading, opened was False"),
        (False, None, "account type: expected one for high-frequency trading, opened was None"),
    ],
)
def test_another_kind_of_account_is_not_traded_with(unified: bool, opened: object, expected: str) -> None:
    venue = answering(is_uta_enabled=unified, privateGetHfAccountsOpened=opened)
    with pytest.raises(VenueError, match=f"^{expected}"):
        asyncio.run(venue.connect())


@pytest.mark.parametrize(
    ("rows", "owned"),
    [
        ([("main", "9"), ("trade", "2")], "2"),
        ([("main", "9"), ("trade", "2"), ("trade_hf", "3")], "3"),
    ],
)
def test_the_account_that_trades_is_the_one_whose_balance_counts(
    rows: list[tuple[str, str]], owned: str
) -> None:
    told = [{"type": kind, "currency": "USDT", "balance": balance} for kind, balance in rows]
    found = asyncio.run(answering(privateGetAccounts=told).balances())
    assert found == (("USDT", Decimal(owned)),)


def answering(**answers: object) -> CcxtVenue:
    """Return a venue whose client gives answers that no sandbox gives; ``is_uta_enabled`` is ccxt's own."""

    def saying(name: str, data: object) -> Any:
        async def say() -> object:
            return data if name == "is_uta_enabled" else {"code": "200000", "data": data}

        return say

    async def markets() -> object:
        return {}

    calls = {name: saying(name, data) for name, data in answers.items()}
    client = SimpleNamespace(load_markets=markets, last_response_headers={}, **calls)
    account = Account(name="main", venue="kucoin", symbols=(BTC,))
    return venue_of("kucoin", client, account, recv_window_ms=RECV_WINDOW_MS, lag_ms=0)
