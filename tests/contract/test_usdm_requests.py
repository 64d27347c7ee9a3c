"""Broken and hostile requests to the contracts' protocol: what is refused, lost, late, lagging or shut.

The client is the unmodified ccxt.pro.binanceusdm; hostility is the same as for spot. Not here: orders that go
well (`test_usdm_client`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.kit.sandbox import SandboxProcess
from tests.kit.usdm import MARKET, usdm_client, usdm_venue
from venues.sandbox.config import parse_config
from venues.sandbox.config_values import ConfigError
from venues.sandbox.process import check, make_feed

BTC = "BTC/USDT:USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]


def with_client(scenario: Scenario, **config: Any) -> None:
    async def run() -> None:
        async with usdm_venue(**config) as (venue, exchange):
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def test_signatures_paths_and_parameters_are_checked() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        async with usdm_client(venue, secret="wrong") as forger:
            with pytest.raises(ccxt.AuthenticationError):
                await forger.fapiPrivateV3GetBalance()
        async with aiohttp.ClientSession() as session:
            for path, status, number in (
                ("/fapi/v1/nothing", 404, -1000),
                ("/api/v3/exchangeInfo", 404, -1000),
                ("/fapi/v1/order", 401, -2014),
                ("/fapi/v1/premiumIndex?symbol=NOPE", 400, -1121),
                ("/fapi/v1/klines?symbol=BTCUSDT&interval=7x", 400, -1120),
                ("/fapi/v1/fundingRate?limit=x", 400, -1100),
            ):
                async with session.get(venue.rest + path) as answer:
                    assert (answer.status, (await answer.json())["code"]) == (status, number)
        for params, code in (
            ({"leverage": 10}, "-1102"),
            ({"symbol": "NOPE", "leverage": 10}, "-1121"),
            ({"symbol": "BTCUSDT", "leverage": 0}, "-4028"),
            ({"symbol": "BTCUSDT", "leverage": "1.5"}, "-1100"),
        ):
            with pytest.raises(ccxt.BaseError, match=code):
                await exchange.fapiPrivatePostLeverage(params)
        ask = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": 1, "timeInForce": "GTC"}
        for more, code in (
            ({"price": 50000, "positionSide": "SHORT"}, "-4061"),
            ({"price": 50000, "callbackRate": 1}, "-1106"),
            ({"price": 50000, "closePosition": "true"}, "-4136"),
            ({"price": 50000, "timeInForce": "GTD"}, "-1115"),
            ({"price": 50000, "newClientOrderId": "no spaces"}, "-4015"),
            ({}, "-1102"),
        ):
            with pytest.raises(ccxt.BaseError, match=code):
                await exchange.fapiPrivatePostOrder(ask | more)
        assert await exchange.fetch_open_orders(BTC) == []

    with_client(scenario)


def test_a_listen_key_needs_its_account_and_a_foreign_one_hears_nothing() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        key = (await exchange.fapiPrivatePostListenKey())["listenKey"]
        assert (await exchange.fapiPrivatePostListenKey())["listenKey"] == key
        await exchange.fapiPrivatePutListenKey()
        async with aiohttp.ClientSession() as session:
            mine = await session.ws_connect(f"{venue.ws}/private/ws?listenKey={key}")
            other = await session.ws_connect(f"{venue.ws}/private/ws?listenKey={'0' * 64}")
            await mine.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            assert (await mine.receive_json())["id"] == 1
            await exchange.create_order(BTC, "market", "buy", 0.01)
            kinds = [(await mine.receive_json())["e"] for _ in range(3)]
            assert kinds == ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
            await other.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
            assert (await other.receive_json())["id"] == 2  # and nothing before it
        await exchange.fapiPrivateDeleteListenKey()
        with pytest.raises(ccxt.BaseError, match="-1125"):
            await exchange.fapiPrivatePutListenKey({"listenKey": key})

    with_client(scenario)


@pytest.mark.parametrize(("fate", "exists"), [("lost", True), ("failed", True), ("dropped", False)])
def test_an_unanswered_order_is_found_by_its_client_id_or_is_not(fate: str, exists: bool) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = (await exchange.fetch_ticker(BTC))["last"]
        stopped = {"stopPrice": price * 0.8, "clientOrderId": "stop", "reduceOnly": True}
        for params, trigger in (({"clientOrderId": "plain"}, {}), (stopped, {"trigger": True})):
            with pytest.raises(ccxt.BaseError):
                await exchange.create_order(BTC, "limit", "sell", 0.01, price * 1.1, dict(params))
            ask = exchange.fetch_order(None, BTC, {"clientOrderId": params["clientOrderId"]} | trigger)
            if exists:
                assert (await ask)["status"] == "open"
            else:
                with pytest.raises(ccxt.OrderNotFound):
                    await ask
        met = [line["what"] for line in venue.truth("hostile")]
        assert met == [fate, fate]

    with_client(scenario, hostility={fate: 1.0})


def test_cancels_and_lists_are_hostile_as_for_spot() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = (await exchange.fetch_ticker(BTC))["last"]
        orders = [await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9) for _ in range(3)]
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.fetch_order(orders[2]["id"], BTC)  # too new to be seen
        await asyncio.sleep(0.3)
        assert (await exchange.fetch_order(orders[2]["id"], BTC))["status"] == "open"
        assert len(await exchange.fetch_orders(BTC)) == 2
        with pytest.raises(ccxt.BaseError):
            await exchange.cancel_order(orders[0]["id"], BTC)
        assert (await exchange.fetch_order(orders[0]["id"], BTC))["status"] == "canceled"
        assert {line["what"] for line in venue.truth("hostile")} == {"cancel_lost"}

    hostility = {"lookup_lag_ms": 200, "page_limit": 2, "cancels": {"lost": 1.0}}
    with_client(scenario, hostility=hostility)


def test_a_delisted_contract_takes_no_orders_and_the_door_shuts() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = (await exchange.fetch_ticker(BTC))["last"]
        order = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9)
        control = await venue.control()
        await control.go()
        await control.steps(2)
        assert (await exchange.fetch_order(order["id"], BTC))["status"] == "expired"
        with pytest.raises(ccxt.ExchangeError, match="-4108"):
            await exchange.create_order(BTC, "market", "buy", 0.01)
        await control.steps(2)
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await exchange.fetch_balance()

    start = 1_704_067_200_000
    hostility = {
        "delistings": {"BTC/USDT": start + 60_000},
        "maintenance": {"at": start + 180_000, "ms": 3_600_000},
    }
    with_client(scenario, hostility=hostility)


def test_duplicated_events_of_the_account_are_told_twice() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        key = (await exchange.fapiPrivatePostListenKey())["listenKey"]
        async with aiohttp.ClientSession() as session:
            mine = await session.ws_connect(f"{venue.ws}/private/ws?listenKey={key}")
            await mine.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await mine.receive_json()
            await exchange.create_order(BTC, "market", "buy", 0.01)
            heard = [(await mine.receive_json())["e"] for _ in range(6)]
        assert sorted(heard) == ["ACCOUNT_UPDATE"] * 2 + ["ORDER_TRADE_UPDATE"] * 4

    with_client(scenario, hostility={"private": {"duplicated": 1.0}})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"feed": {"kind": "synthetic", "candles": 5}}, "expected pairs quoted in USDT"),
        ({"perpetuals": {"brackets": {"XRPUSDT": [["1", 2, "0.1"]]}}}, "expected one of BTCUSDT, ETHUSDT"),
        ({"perpetuals": {"funding_hours": 0}}, "from 1 to 24"),
        ({"protocol": "binance", "perpetuals": {}}, "expected with one of binanceusdm"),
    ],
)
def test_a_configuration_that_cannot_be_played_is_refused(config: dict[str, Any], said: str) -> None:
    raw = {"truth": "t", "feed": MARKET, "protocol": "binanceusdm"} | config

    def read() -> None:
        parsed = parse_config(raw)
        check(parsed, make_feed(parsed.feed, 1))

    with pytest.raises(ConfigError, match=said):
        read()
