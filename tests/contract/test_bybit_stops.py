"""What is special about stops at Bybit spot: no direction, what they tie up, and how they are named.

Not here: what holds for every spot exchange that holds them (test_spot_stops).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from parley.messages import Intent
from tests.contract.test_spot_stops import stage
from tests.kit.adapters import WINDOW_MS, heard, statuses
from tests.kit.bybit import bybit_client
from tests.kit.sandbox import Control
from tests.kit.stops import FALLING, MOVING
from tests.kit.units import make_cancel
from tests.kit.venues import VENUES, Orders
from venues.bybit_stops import BeyondError, BybitStops
from venues.bybit_words import BybitOrders
from venues.port import Absent, Acked
from venues.words import Account, Placing, UnsentError

pytestmark = pytest.mark.timeout(120)
D = Decimal
BTC = "BTC/USDT"
PLACING = Placing(symbol=BTC, kind="market", side="buy", qty="1", px=None, params={})


def stop_fields(trigger: Decimal, px: Decimal) -> dict[str, Any]:
    """A stop as Bybit is told it."""
    return {
        "category": "spot", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit", "qty": "0.05",
        "price": f"{px:.2f}", "triggerPrice": f"{trigger:.2f}", "orderFilter": "tpslOrder",
    }  # fmt: skip


def test_the_exchange_takes_a_stop_the_market_is_beyond_for_one_that_waits_to_come_back() -> None:
    """Which is why the adapter asks for the price before."""

    async def run() -> None:
        at = VENUES["bybit"]
        async with at.sandbox(feed=MOVING) as process, bybit_client(process) as client:
            market: Control = await process.control()
            await market.go()
            await market.steps(FALLING)
            last = await at.last_price(process, BTC)
            ask = client.privatePostV5OrderCreate
            await ask(stop_fields(last * D("1.05"), last * D("0.9")) | {"orderLinkId": "beyond"})
            await market.steps(20)
            truth = [each for each in process.truth("order") if each["client_order_id"] == "beyond"]
            assert [(each["type"], each["status"]) for each in truth] == [("TAKE_PROFIT_LIMIT", "NEW")]

    asyncio.run(run())


def test_a_stop_ties_up_what_it_sells_and_is_cancelled_only_by_who_says_what_it_is() -> None:
    async def run() -> None:
        at = VENUES["bybit"]
        async with at.sandbox(feed=MOVING) as process, bybit_client(process) as client:
            market: Control = await process.control()
            await market.go()
            await market.steps(1)
            last = await at.last_price(process, BTC)
            await client.privatePostV5OrderCreate(
                stop_fields(last * D("0.9"), last * D("0.89")) | {"orderLinkId": "mine"}
            )
            wallet = await client.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"})
            (btc,) = [c for c in wallet["result"]["list"][0]["coin"] if c["coin"] == "BTC"]
            assert btc["locked"] == "0.05"
            named = {"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "mine"}
            for filtered in ({}, {"orderFilter": "StopOrder"}):
                with pytest.raises(ccxt.OrderNotFound):
                    await client.privatePostV5OrderCancel(named | filtered)
            listed = await client.privateGetV5OrderRealtime({"category": "spot", "symbol": "BTCUSDT"})
            (row,) = listed["result"]["list"]
            assert (row["orderStatus"], row["stopOrderType"]) == ("Untriggered", "tpslOrder")
            for kind, rows in (("Order", 0), ("tpslOrder", 1)):
                query = {"category": "spot", "symbol": "BTCUSDT", "orderFilter": kind}
                found = await client.privateGetV5OrderRealtime(query)
                assert len(found["result"]["list"]) == rows
            await client.privatePostV5OrderCancel(named | {"orderFilter": "tpslOrder"})
            ended = await client.privateGetV5OrderHistory(named)
            assert [each["orderStatus"] for each in ended["result"]["list"]] == ["Deactivated"]

    asyncio.run(run())


def test_a_stop_is_signed_with_the_time_left_and_keeps_its_number_when_it_is_set_off() -> None:
    async def run() -> None:
        async with stage("bybit", FALLING) as s:
            stop, placed = await s.guard(20)
            sent = s.venue._client.last_request_headers
            assert 2500 < int(sent["X-BAPI-RECV-WINDOW"]) < WINDOW_MS  # signed with what was left
            await s.end(stop, "FILLED")
            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert {found.venue_id, *(each.venue_id for each in found.fills)} == {placed.venue_id}
            await heard(lambda: statuses(s.facts, stop)[-1:] == ["closed"])

    asyncio.run(run())


class Asked:
    """What a client of Bybit is asked, with answers made up: no exchange is late on demand."""

    def __init__(self, price: str | BaseException, pause_s: float = 0.0) -> None:
        self.options = {"recvWindow": 400}
        self.price, self.pause_s = price, pause_s
        self.windows: list[int] = []
        self.others: list[int] = []  # what requests would get that are made while the stop is under way
        self.cancels: list[str] = []
        self.waiting = "tpslOrder"

    async def publicGetV5MarketTickers(self, query: object) -> Any:
        await asyncio.sleep(self.pause_s)
        if isinstance(self.price, BaseException):
            raise self.price
        return {"result": {"list": [{"lastPrice": self.price}]}}

    def sign(self, path: str, api: list[str], method: str, request: object) -> Any:
        self.windows.append(self.options["recvWindow"])
        return {"url": path, "method": method, "headers": {}, "body": ""}

    async def fetch(self, url: str, method: str, headers: object, body: str) -> Any:
        self.others.append(self.options["recvWindow"])
        return {"result": {"orderId": "1"}, "time": 1}

    def market_id(self, symbol: str) -> str:
        return "BTCUSDT"

    def create_order_request(self, *asked: object) -> Any:
        return {}

    async def privatePostV5OrderCreate(self, request: object) -> Any:
        return {"result": {"orderId": "1"}, "time": 1}

    async def privateGetV5OrderRealtime(self, query: object) -> Any:
        return {"result": {"list": []}}

    privateGetV5OrderHistory = privateGetV5OrderRealtime

    async def privatePostV5OrderCancel(self, request: Any) -> Any:
        kind = request.get("orderFilter", "Order")
        self.cancels.append(kind)
        if kind != self.waiting:
            raise ccxt.OrderNotFound('bybit {"retCode":170213,"retMsg":"Order does not exist."}')
        return {"result": {"orderId": "1"}, "time": 1}


def stop_at(trigger: str) -> Intent:
    """A stop that sells."""
    return Orders(VENUES["bybit"], D(100)).market(
        side="sell", style="stop_limit", tif="GTC", reduce_only=True, trigger=D(trigger), px=D(trigger) - 1
    )


def test_the_time_for_the_price_comes_out_of_the_orders_own() -> None:
    async def run() -> None:
        client = Asked("100", pause_s=0.05)
        await BybitStops(client).place(stop_at("99"), {"symbol": "BTCUSDT"})
        (window,) = client.windows
        assert 200 < window <= 350
        assert client.others == [client.options["recvWindow"]] == [400]

    asyncio.run(run())


def test_a_price_that_nobody_says_stops_no_stop() -> None:
    async def run() -> None:
        for unknown in (ccxt.NetworkError("away"), "nothing"):
            client = Asked(unknown)
            await BybitStops(client).place(stop_at("101"), {"symbol": "BTCUSDT"})
            assert len(client.windows) == 1
        slow = Asked("100", pause_s=5.0)
        await BybitStops(slow).place(stop_at("99"), {"symbol": "BTCUSDT"})
        assert slow.windows[0] <= 300

    asyncio.run(run())


def test_nothing_is_sent_beyond_the_trigger_or_too_late() -> None:
    async def run() -> None:
        client = Asked("99")
        with pytest.raises(BeyondError):
            await BybitStops(client).place(stop_at("99"), {"symbol": "BTCUSDT"})
        late, times = Asked("100"), iter((0, 300_000_000))
        with pytest.raises(UnsentError):
            await BybitStops(late, lambda: next(times)).place(stop_at("99"), {"symbol": "BTCUSDT"})
        assert client.windows == late.windows == []

    asyncio.run(run())


def test_a_cancel_goes_where_the_order_is_known_to_be_and_then_to_the_other_place() -> None:
    async def run() -> None:
        stop = stop_at("99")
        known, client = BybitStops(Asked("100")), Asked("100")
        await known.place(stop, {"symbol": "BTCUSDT"})
        known._client = client
        await known.cancel(make_cancel(stop), {})
        assert client.cancels == ["tpslOrder"]
        client.waiting = "Order"
        await known.cancel(make_cancel(stop), {})
        assert client.cancels[1:] == ["tpslOrder", "Order"]
        client.waiting = "tpslOrder"
        await BybitStops(client).cancel(make_cancel(stop), {})
        assert client.cancels[3:] == ["Order", "tpslOrder"]

    asyncio.run(run())


@pytest.mark.parametrize("is_placed", [True, False])
def test_an_order_that_is_known_for_no_stop_is_cancelled_once(is_placed: bool) -> None:
    async def run() -> None:
        client = Asked("100")
        words = BybitOrders(client, Account(name="main", venue="bybit", symbols=(BTC,)))
        order = Orders(VENUES["bybit"], D(100)).market()
        if is_placed:
            await words.place(order, PLACING)
        else:
            assert await words.look_up(order) == Absent()
        with pytest.raises(ccxt.OrderNotFound):
            await words.cancel(make_cancel(order))
        assert client.cancels == ["Order"]

    asyncio.run(run())
