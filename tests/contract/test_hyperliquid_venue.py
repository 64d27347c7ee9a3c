"""Our adapter for Hyperliquid: what it makes of orders, its keys, and lists that are short or full.

Not here: what holds for every venue (`test_adapter_on_venues`), and what the exchange makes of broken actions
(`test_hyperliquid_requests`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt.pro
import pytest

from parley.errors import ConfigError
from parley.messages import Fill, Gap, Intent
from tests.kit.adapters import following, heard, statuses
from tests.kit.cut_line import cut_line
from tests.kit.hyperliquid import ADDRESS, BTC, PRIVATE_KEY, SANDBOX, hyperliquid_client
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import make_cancel, make_intent
from venues.adapters import venue_of
from venues.ccxt_venue import CcxtVenue
from venues.hyperliquid_client import make_client
from venues.hyperliquid_cloids import cloid_of
from venues.port import Acked, Ambiguous, KeyRights, Rejected, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
RECV_WINDOW_MS = 5000
numbers = itertools.count(1)


def account(*symbols: str) -> Account:
    return Account(name="main", venue="hyperliquid", symbols=symbols or (BTC, "ETH/USDC"))


def speaking(client: Any, *symbols: str) -> CcxtVenue:
    words = account(*symbols)
    return venue_of("hyperliquid", client, words, recv_window_ms=RECV_WINDOW_MS, lag_ms=0)


@contextlib.asynccontextmanager
async def adapter(**config: Any) -> AsyncIterator[tuple[SandboxProcess, CcxtVenue, Decimal]]:
    """Run an exchange and connect an adapter; the last price of BTC/USDC comes with it."""
    async with sandbox(**(SANDBOX | config)) as process, hyperliquid_client(process) as client:
        assert type(client) is ccxt.pro.hyperliquid
        venue = speaking(client)
        await venue.connect()
        yield process, venue, Decimal(client.markets[BTC]["info"]["markPx"])


def market_order(price: Decimal, **over: Any) -> Intent:
    return make_intent(next(numbers), **({"symbol": BTC, "ref_px": price, "qty": Decimal("0.25")} | over))


def resting(price: Decimal, share: str = "0.9", **over: Any) -> Intent:
    px = (price * Decimal(share)).quantize(Decimal(1))
    return market_order(price, **({"style": "limit", "tif": "GTC", "px": px} | over))


def test_a_market_order_is_a_limit_that_is_five_percent_off_and_may_not_rest() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            order = market_order(price)
            assert isinstance(await venue.send(order), Acked)
            placed = process.truth("order")[0]
            assert placed["client_order_id"] == cloid_of(order.cid)
            assert (placed["type"], placed["time_in_force"]) == ("LIMIT", "IOC")
            assert abs(Decimal(placed["price"]) / price - Decimal("1.05")) < Decimal("0.0001")

    asyncio.run(run())


def test_a_part_that_traded_stays_traded_when_the_rest_is_cancelled_or_may_not_rest() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price), following(venue) as facts:
            whole = Decimal(100)  # more than the book shows within a tenth of a percent
            part = resting(price, "1.001", qty=whole)
            assert isinstance(await venue.send(part), Acked)
            assert isinstance(await venue.cancel(make_cancel(part)), Acked)
            ioc = resting(price, "1.001", qty=whole, tif="IOC", side="buy")
            said = await venue.send(ioc)
            await heard(lambda: "canceled" in statuses(facts, part))
            for intent in (part, *([ioc] if isinstance(said, Acked) else [])):
                found = await venue.look_up(intent)
                assert isinstance(found, Acked)
                assert found.event is not None
                traded = [each for each in facts if isinstance(each, Fill) and each.iid == intent.iid]
                assert found.event.status == "canceled"
                assert found.event.cum_qty == sum(each.qty for each in traded)
                assert 0 < found.event.cum_qty < whole
                assert list(found.fills) == traded

    asyncio.run(run())


def test_what_ccxt_would_round_or_drop_is_not_sent() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            for intent, why in (
                (resting(price, qty=Decimal("0.123456")), "quantity"),
                (resting(price, px=Decimal("50000.5")), "price"),
                (resting(price, tif="FOK"), "GTC or IOC"),
                (market_order(price, ref_px=None), "ref_px"),
                (market_order(price, cid="local" + "a" * 25 + "b"), "client order id"),
                (market_order(price, cid="a" * 20), "client order id"),
            ):
                said = await venue.send(intent)
                assert isinstance(said, Rejected)
                assert said.code == "venue:request"
                assert why in said.detail
            assert process.truth("order") == []

    asyncio.run(run())


def test_an_action_that_comes_late_is_not_carried_out() -> None:
    async def run() -> None:
        async with adapter(hostility={"clock_skew_ms": 10_000}) as (process, venue, price):
            said = await venue.send(market_order(price))
            assert isinstance(said, Ambiguous)  # the words for it are documented nowhere
            assert "expired" in said.cause
            assert process.truth("order") == []

    asyncio.run(run())


def test_an_order_of_an_earlier_life_is_told_and_found_by_its_intent_alone() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, price):
            order = resting(price)
            assert isinstance(await venue.send(order), Acked)
            async with hyperliquid_client(process) as client:
                second = speaking(client)
                await second.connect()
                second.know(order.cid, order.iid)
                async with following(second) as facts:
                    assert isinstance(await second.look_up(order), Acked)
                    assert isinstance(await second.cancel(make_cancel(order)), Acked)
                    await heard(lambda: "canceled" in statuses(facts, order))
                    assert second.foreign == 0

    asyncio.run(run())


def test_a_stream_that_broke_brings_what_was_missed_and_nothing_twice() -> None:
    async def run() -> None:
        async with sandbox(**SANDBOX) as process, cut_line(process.ws) as (line, ws):
            client = make_client(
                process.rest, ws, api_key=ADDRESS, secret=PRIVATE_KEY, recv_window_ms=RECV_WINDOW_MS
            )
            venue = speaking(client)
            try:
                await venue.connect()
                price = Decimal(client.markets[BTC]["info"]["markPx"])
                async with following(venue) as facts:
                    orders = [market_order(price, qty=Decimal("0.01")) for _ in range(3)]
                    assert isinstance(await venue.send(orders[0]), Acked)
                    line.cut()
                    for order in orders[1:]:
                        assert isinstance(await venue.send(order), Acked)
                    line.mend()
                    await heard(lambda: len([each for each in facts if isinstance(each, Fill)]) >= 3)
                    mine = [each.iid for each in facts if isinstance(each, Fill)]
                    assert mine[0] == orders[0].iid
                    assert sorted(mine) == sorted(each.iid for each in orders)
                    assert any(isinstance(each, Gap) for each in facts)
            finally:
                await venue.close()

    asyncio.run(run())


def test_executions_are_read_whole_however_full_the_lists_are() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            client = venue._client
            orders = [market_order(price, qty=Decimal("0.01")) for _ in range(5)]
            for order in orders:
                assert isinstance(await venue.send(order), Acked)
            asked: list[Any] = []
            ask = client.publicPostInfo

            async def spread(query: dict[str, Any]) -> Any:
                if query["type"] != "userFillsByTime":
                    return await ask(query)
                rows = await ask(query | {"startTime": 0, "endTime": 2**52})
                asked.append(query)
                # a list of two rows at most, and trades a millisecond apart
                moved = [each | {"time": each["time"] + int(each["tid"])} for each in rows]
                within = [each for each in moved if query["startTime"] <= each["time"] <= query["endTime"]]
                return within[:2]

            client.publicPostInfo = spread
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("venues.hyperliquid_orders._PAGE", 2)
                for order in orders:
                    found = await venue.look_up(order)
                    assert isinstance(found, Acked)
                    assert sum(each.qty for each in found.fills) == order.qty
            assert len(asked) > 5 * 2

    asyncio.run(run())


def test_executions_that_do_not_account_for_the_order_are_no_answer() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, price):
            client = venue._client
            order = market_order(price)
            assert isinstance(await venue.send(order), Acked)
            ask = client.publicPostInfo

            async def forgetful(query: dict[str, Any]) -> Any:
                return [] if query["type"] == "userFillsByTime" else await ask(query)

            client.publicPostInfo = forgetful
            with pytest.raises(VenueError, match="they sum to 0"):
                await venue.look_up(order)

            async def set_back(query: dict[str, Any]) -> Any:
                said = await ask(query)
                if query["type"] == "orderStatus":
                    said["order"]["order"]["sz"] = said["order"]["order"]["origSz"]
                    said["order"]["status"] = "canceled"
                return said

            # what an ended order's rest says is not documented: its executions count
            client.publicPostInfo = set_back
            found = await venue.look_up(order)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("canceled", order.qty)

    asyncio.run(run())


def test_who_may_not_trade_there_is_told_before_anything_is_sent() -> None:
    async def run() -> None:
        async with sandbox(**SANDBOX) as process:
            for key, secret, why in (
                ("0x12", PRIVATE_KEY, "expected an address"),
                (ADDRESS, "0x1234", "expected a private key of 64 hex digits, was a text of 6"),
                (ADDRESS, "f" * 64, "out of its range"),
            ):
                async with hyperliquid_client(process, key, secret) as client:
                    with pytest.raises(ConfigError, match=why) as refused:
                        await speaking(client).connect()
                    assert secret not in str(refused.value)
            async with hyperliquid_client(process, ADDRESS, "1" * 64) as client:
                venue = speaking(client)
                await venue.connect()
                assert await venue.key_rights() == KeyRights(trades=False, withdraws=False)
                price = Decimal(client.markets[BTC]["info"]["markPx"])
                said = await venue.send(market_order(price))
                assert isinstance(said, Rejected)
                assert said.code == "venue:unknownSigner"
            assert process.truth("order") == []
        own = make_client("", "", api_key="", secret=PRIVATE_KEY)
        address = own.eth_get_address_from_private_key(PRIVATE_KEY)
        await own.close()
        master = SANDBOX["accounts"][0] | {"api_key": address}
        own_key = SANDBOX | {"accounts": [master]}
        async with sandbox(**own_key) as process, hyperliquid_client(process, address) as client:
            # the account's own key may move everything out
            assert await speaking(client).key_rights() == KeyRights(trades=True, withdraws=True)

    asyncio.run(run())


def test_only_pairs_in_usdc() -> None:
    async def run() -> None:
        crossed = SANDBOX["feed"] | {"crosses": ["ETH/BTC"]}
        crossing = SANDBOX | {"feed": crossed}
        async with sandbox(**crossing) as process, hyperliquid_client(process) as client:
            venue = speaking(client, "ETH/BTC")
            with pytest.raises(ConfigError, match="expected pairs in USDC, got 'ETH/BTC'"):
                await venue.connect()

    asyncio.run(run())
