"""Our adapter for Binance's USD-M contracts on a sandbox that speaks them: what the port promises.

Not here: ccxt's own view (`test_usdm_client`), the exchange's margin (`test_usdm_margin`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from parley.ledger import Ledger
from parley.messages import Fill, Intent, OrderEvent
from tests.kit.sandbox import ACCOUNT, KEY, SECRET, SandboxProcess, sandbox
from tests.kit.units import make_cancel, make_intent
from tests.kit.usdm import MARKET
from venues.adapters import venue_of
from venues.binance_usdm_client import make_client
from venues.capabilities import CAPABILITIES
from venues.ccxt_venue import CcxtVenue
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
BTC, ASSET = "BTC/USDT:USDT", "BTC:USDT"
numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def adapter(
    leverage: int = 5, symbols: tuple[str, ...] = (BTC,), feed: dict[str, Any] = MARKET, **config: Any
) -> AsyncIterator[tuple[SandboxProcess, CcxtVenue, Any]]:
    """Run an exchange of contracts and connect an adapter; its client comes with it."""
    async with sandbox(feed, protocol="binanceusdm", **config) as process:
        client = make_client(process.rest, process.ws, api_key=KEY, secret=SECRET, recv_window_ms=5000)
        account = Account(name="main", venue="binanceusdm", symbols=symbols, leverage=leverage)
        venue = venue_of("binanceusdm", client, account, recv_window_ms=5000, lag_ms=0)
        try:
            yield process, venue, client
        finally:
            await venue.close()


async def priced(client: Any) -> Decimal:
    return Decimal((await client.fetch_ticker(BTC))["info"]["lastPrice"])


def order(**over: Any) -> Intent:
    return make_intent(next(numbers), **({"symbol": BTC, "qty": Decimal("0.2")} | over))


async def heard(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_short_lives_from_send_to_look_up_and_the_ledger_is_the_account() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, client):
            instruments = await venue.connect()
            await venue.prepare()
            btc = instruments[BTC]
            assert (btc.base, btc.quote, btc.margin) == (ASSET, "USDT", Decimal("0.2"))
            assert btc.tiers
            assert [each.up_to for each in btc.tiers] == sorted(each.up_to for each in btc.tiers)
            opening = await venue.balances()
            assert [asset for asset, _ in opening] == ["USDT"]
            ledger = Ledger("main", "USDT", instruments)
            ledger.open(opening, 0)

            facts: list[Any] = []
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.append, ready.set))
            await ready.wait()
            price = await priced(client)
            sold = order(side="sell")
            acked = await venue.send(sold)
            assert isinstance(acked, Acked), acked
            assert sum(each.qty for each in acked.fills) == sold.qty
            assert acked.event is not None
            assert (acked.event.status, acked.event.cum_qty) == ("closed", sold.qty)
            px = (price * Decimal("0.9")).quantize(Decimal("0.1"))
            waiting = order(style="limit", tif="GTC", px=px)
            assert isinstance(await venue.send(waiting), Acked)
            back = order(qty=Decimal("0.05"), reduce_only=True)
            bought = await venue.send(back)
            assert isinstance(bought, Acked), bought
            assert isinstance(await venue.cancel(make_cancel(waiting)), Acked)
            await heard(lambda: sum(each.qty for each in facts if isinstance(each, Fill)) == Decimal("0.25"))
            told = {each.trade_id: each for each in facts if isinstance(each, Fill)}
            assert told == {each.trade_id: each for each in (*acked.fills, *bought.fills)}

            for fill in told.values():
                ledger.apply(fill, agent="a", pid=b"", round=b"")
            account = dict(await venue.balances())
            assert account[ASSET] == ledger.cash(ASSET) == Decimal("-0.15")
            assert abs(account["USDT"] - ledger.cash("USDT")) < Decimal("0.00001")

            found = await venue.look_up(sold)
            assert isinstance(found, Acked)
            assert sorted(each.trade_id for each in found.fills) == sorted(e.trade_id for e in acked.fills)
            assert await venue.look_up(order()) == Absent()
            ended = await venue.look_up(waiting)
            assert isinstance(ended, Acked)
            assert ended.event is not None
            assert ended.event.status == "canceled"
            assert isinstance(again := await venue.cancel(make_cancel(waiting)), Rejected)
            assert again.code == NOT_FOUND
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            assert any(isinstance(each, OrderEvent) and each.iid == waiting.iid for each in facts)
            assert venue.foreign == 0
            assert len(process.truth("trade")) == len(told)

    asyncio.run(run())


def test_a_reduction_never_turns_a_position_over() -> None:
    async def run() -> None:
        async with adapter() as (_, venue, _client):
            await venue.connect()
            await venue.prepare()
            refused = await venue.send(order(side="sell", reduce_only=True))
            assert isinstance(refused, Rejected), refused
            assert isinstance(await venue.send(order()), Acked)
            assert isinstance(
                await venue.send(order(side="sell", qty=Decimal("0.5"), reduce_only=True)), Acked
            )
            assert ASSET not in dict(await venue.balances())
            assert CAPABILITIES["binanceusdm"].reduce_only

    asyncio.run(run())


def test_a_client_id_is_taken_while_its_order_is_open() -> None:
    async def run() -> None:
        async with adapter() as (process, venue, client):
            await venue.connect()
            await venue.prepare()
            px = (await priced(client) * Decimal("0.9")).quantize(Decimal("0.1"))
            waiting = order(style="limit", tif="GTC", px=px)
            assert isinstance(await venue.send(waiting), Acked)
            again = await venue.send(waiting)
            assert isinstance(again, Ambiguous), again
            assert again.cause.startswith("duplicate")
            assert (
                len([each for each in process.truth("order") if each["client_order_id"] == waiting.cid]) <= 2
            )

    asyncio.run(run())


def test_what_is_refused_is_rejected() -> None:
    async def run() -> None:
        async with adapter(leverage=1, accounts=[ACCOUNT | {"balances": {"USDT": "1000"}}]) as (
            _,
            venue,
            client,
        ):
            await venue.connect()
            await venue.prepare()
            poor = await venue.send(order())  # of some 12,000 USDT
            assert isinstance(poor, Rejected), poor
            crossing = (await priced(client) * Decimal("1.04")).quantize(Decimal("0.1"))
            maker = await venue.send(order(qty=Decimal("0.01"), style="post_only", tif="GTC", px=crossing))
            assert isinstance(maker, Rejected), maker
            assert {poor.code, maker.code} == {"venue:insufficient_funds", "venue:-5022"}
            assert await venue.balances() == (("USDT", Decimal(1000)),)

    asyncio.run(run())


def test_more_leverage_than_the_contract_allows_and_an_unknown_one_are_refused() -> None:
    async def run() -> None:
        async with adapter(leverage=999) as (_, venue, _client):
            with pytest.raises(VenueError, match="leverage"):
                await venue.connect()
        async with adapter(symbols=("BTX/USDT:USDT",)) as (_, venue, _client):
            with pytest.raises(Exception, match="BTC/USDT:USDT"):
                await venue.connect()

    asyncio.run(run())
