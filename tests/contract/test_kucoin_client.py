"""The unmodified ccxt.pro.kucoin, pointed at a sandbox that speaks KuCoin spot: what it alone sees.

Not here: what holds for every class (`test_client_on_venues`), raw streams (`test_kucoin_streams`), broken
requests (`test_kucoin_requests`), our adapter (`test_adapter_on_venues`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.kit.clients import (
    BTC,
    as_owner,
    assert_told,
    filled_in_parts,
    followed,
    last_price,
    named,
    still,
    truth_of,
    with_client,
)
from tests.kit.kucoin import kucoin_client
from tests.kit.sandbox import ACCOUNT, SandboxProcess

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    """An exchange whose market stands still, for several tests."""
    with still("kucoin", "ids", "pages", "errors", "deadline") as venue:
        yield venue


async def by_id(exchange: Any, client_order_id: str) -> Any:
    return await exchange.fetch_order(None, BTC, {"clientOid": client_order_id})


def test_maker_order_fills_in_parts_and_the_private_stream_tells() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        async with followed(orders=exchange.watch_orders, fills=exchange.watch_my_trades) as news:
            private: Any = None
            while private is None or [each for each in private.subscriptions if each.isdigit()]:
                await asyncio.sleep(0.01)  # until it was acknowledged
                private = next((each for url, each in exchange.clients.items() if "=private" in url), None)

            price = await last_price(exchange)
            params = named("resting", postOnly=True)
            await exchange.create_order(BTC, "limit", "sell", 5, price * 1.0005, params)
            await filled_in_parts(venue)
            found = await by_id(exchange, "resting")
            assert (found["status"], found["info"]["active"], found["postOnly"]) == ("open", True, True)
            assert found["clientOrderId"] == "resting"
            await exchange.cancel_order(None, BTC, {"clientOid": "resting"})
            async with asyncio.timeout(10):
                while not news["orders"] or news["orders"][-1]["status"] != "canceled":
                    await asyncio.sleep(0.01)
        assert_told(venue, news, found)
        ended = await by_id(exchange, "resting")
        assert (ended["info"]["active"], ended["info"]["cancelExist"]) == (False, True)
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0

    with_client("kucoin", scenario, feed={"kind": "synthetic", "candles": 40, "history": 60})


def test_a_client_order_id_may_be_used_twice_and_finds_the_newest(shared: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        assert exchange.options["hf"] is True
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, named("not_unique"))
        first, second = await exchange.create_order(*ask), await exchange.create_order(*ask)
        assert first["id"] != second["id"]
        found = await by_id(exchange, "not_unique")
        assert (found["id"], found["status"]) == (second["id"], "open")
        await exchange.cancel_order(None, BTC, {"clientOid": "not_unique"})
        with pytest.raises(ccxt.OrderNotFound, match="order_not_exist_or_not_allow_to_cancel"):
            await exchange.cancel_order(None, BTC, {"clientOid": "not_unique"})
        assert (await by_id(exchange, "not_unique"))["info"]["cancelExist"] is True
        with pytest.raises(ccxt.OrderNotFound, match="order not exist"):
            await by_id(exchange, "nobody")

        longest = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named("aZ0_-" * 8))
        for wrong in ("x" * 41, "nospaces ", "ä"):
            with pytest.raises(ccxt.BadRequest, match="400100"):
                await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named(wrong))
        opened = {order["id"] for order in await exchange.fetch_open_orders(BTC)}
        assert opened == {first["id"], longest["id"]}

    as_owner("kucoin", "ids", shared, scenario)


@pytest.mark.long
def test_where_ids_are_taken_a_second_order_of_one_is_refused() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, named("once"))
        await exchange.create_order(*ask)
        with pytest.raises(ccxt.BadRequest, match="clientOidDuplicated"):
            await exchange.create_order(*ask)
        assert len(await exchange.fetch_open_orders(BTC)) == 1

    with_client("kucoin", scenario, hostility={"client_ids": "open"})


def test_lists_come_in_pages(shared: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        for n in range(7):
            await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named(f"n{n}"))
            await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"m{n}"))
        seen: list[Any] = []
        last: dict[str, Any] = {}
        pages = 0
        while True:
            page = (await exchange.privateGetHfOrdersDone({"symbol": "BTC-USDT", "limit": 3, **last}))["data"]
            if not page["items"]:
                break
            last = {"lastId": page["lastId"]}
            seen += page["items"]
            pages += 1
        assert ([each["clientOid"] for each in seen], pages) == ([f"m{n}" for n in reversed(range(7))], 3)
        fills = (await exchange.privateGetHfFills({"symbol": "BTC-USDT", "limit": 5}))["data"]
        older = {"symbol": "BTC-USDT", "limit": 5, "lastId": fills["lastId"]}
        fills = fills["items"] + (await exchange.privateGetHfFills(older))["data"]["items"]
        assert [each["orderId"] for each in fills] == [each["id"] for each in seen]
        opened = await exchange.fetch_open_orders(BTC)
        assert {order["clientOrderId"] for order in opened} == {f"n{n}" for n in range(7)}

    as_owner("kucoin", "pages", shared, scenario)


def test_refusals_are_the_venues(shared: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        with pytest.raises(ccxt.InsufficientFunds, match="200004"):
            await exchange.create_order(BTC, "limit", "buy", 9000, price, named("toomuch"))
        with pytest.raises(ccxt.ExchangeError, match="600100"):
            await exchange.create_order(BTC, "limit", "buy", 0.00001, price, named("toosmall"))
        with pytest.raises(ccxt.InvalidOrder, match="400370"):
            await exchange.create_order(BTC, "limit", "buy", 0.01, price * 7, named("toohigh"))
        for key, secret, passphrase, code in (
            ("stranger", ACCOUNT["secret"], ACCOUNT["passphrase"], "400003"),
            ("errors", ACCOUNT["secret"], "guess", "400004"),
            ("errors", "guess", ACCOUNT["passphrase"], "400004"),
        ):
            async with kucoin_client(venue, key, secret, passphrase) as other:
                with pytest.raises(ccxt.AuthenticationError, match=code):
                    await other.privateGetAccounts()
        assert {line["status"] for line in truth_of(venue, "errors", "order")} == {"REJECTED"}

    as_owner("kucoin", "errors", shared, scenario)


def test_an_order_beyond_its_deadline_is_refused(shared: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        late = {"clientTimestamp": exchange.milliseconds() - 2000, "allowMaxTimeWindow": 1000}
        with pytest.raises(ccxt.BadRequest, match="allowMaxTimeWindow"):
            await exchange.create_order(BTC, "market", "buy", 0.01, params=named("late", **late))
        in_time = {"clientTimestamp": exchange.milliseconds(), "allowMaxTimeWindow": 5000}
        await exchange.create_order(BTC, "market", "buy", 0.01, params=named("in_time", **in_time))
        assert {line["client_order_id"] for line in truth_of(venue, "deadline", "order")} == {"in_time"}

        exchange.options["timeDifference"] = 6000
        with pytest.raises(ccxt.InvalidNonce, match="400002"):
            await exchange.create_order(BTC, "market", "buy", 0.01, params=named("stale"))

    as_owner("kucoin", "deadline", shared, scenario)
