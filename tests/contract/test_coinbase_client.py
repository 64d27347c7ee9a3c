"""The unmodified ccxt.pro.coinbase, pointed at a sandbox that speaks Coinbase, trades and hears about it.

Not here: our adapter (`test_adapter_on_venues`), the hub on it (`test_hub_on_venues`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.kit.clients import BTC, still, with_client
from tests.kit.coinbase import PEM, coinbase, coinbase_client
from tests.kit.sandbox import KEY, SandboxProcess
from venues.key_pairs import made_pem

pytestmark = pytest.mark.timeout(120)
ORDERS = "/api/v3/brokerage/orders"
ACCOUNTS = "/api/v3/brokerage/accounts"


def named(client_order_id: str, **more: Any) -> dict[str, Any]:
    # the name that all of ccxt has for it, clientOrderId, is left out by this class
    return {"client_order_id": client_order_id, **more}


def last(exchange: Any) -> float:
    return float(exchange.markets[BTC]["info"]["price"])


def test_market_data_is_consistent() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        control = await venue.control()
        await control.go()
        done = await control.steps(20)

        market = exchange.market(BTC)
        assert (market["id"], market["spot"], market["active"]) == ("BTC-USDT", True, True)
        assert market["precision"] == {"price": 0.01, "amount": 0.00001}
        since = done["t"] - 29 * 60_000
        candles = await exchange.fetch_ohlcv(BTC, "1m", since)
        assert len(candles) == 30
        assert (candles[-1][0], candles[-1][5]) == (done["t"], 0)  # the candle that opens now
        assert [b[0] - a[0] for a, b in itertools.pairwise(candles)] == [60_000] * 29
        longer = await exchange.fetch_ohlcv(BTC, "5m", since)
        for t, opened, high, low, close, volume in longer[:4]:
            inside = [c for c in candles if t <= c[0] < t + 300_000]
            assert (opened, close) == (inside[0][1], inside[-1][4])
            assert (high, low) == (max(c[2] for c in inside), min(c[3] for c in inside))
            assert volume == pytest.approx(sum(c[5] for c in inside))
        trades = await exchange.fetch_trades(BTC, limit=4)
        assert (max(x["price"] for x in trades), min(x["price"] for x in trades)) == tuple(candles[-2][2:4])
        assert sum(x["amount"] for x in trades) == pytest.approx(candles[-2][5], rel=1e-12)
        book = await exchange.fetch_order_book(BTC)
        assert book["bids"][0][0] < book["asks"][0][0]
        with pytest.raises(ccxt.ExchangeError, match="INVALID_ARGUMENT"):
            await exchange.fetch_ohlcv(BTC, "1m", since, params={"until": since + 400 * 60_000})

    with_client("coinbase", scenario)


def test_an_order_trades_by_its_terms_and_pays_its_fee_in_what_prices_are_in() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        book = await exchange.fetch_order_book(BTC)
        first, second = book["asks"][:2]
        amount = float(exchange.amount_to_precision(BTC, first[1] + second[1] / 2))
        px = second[0]

        # more than there is at that price: what is there trades, the rest rests
        resting = await exchange.create_order(BTC, "limit", "buy", amount * 9, px, named("part"))
        order = await exchange.fetch_order(resting["id"])
        assert (order["status"], order["clientOrderId"], order["filled"] > amount) == ("open", "part", True)
        mine = await exchange.fetch_my_trades(BTC)
        assert [fill["price"] for fill in mine] == [first[0], second[0]]
        assert {(fill["order"], fill["takerOrMaker"]) for fill in mine} == {(order["id"], "taker")}
        assert {fill["fee"]["currency"] for fill in mine} == {"USDT"}
        for fill in mine:
            assert fill["fee"]["cost"] == pytest.approx(fill["cost"] * 0.001, abs=1e-8)
        assert [each["id"] for each in await exchange.fetch_open_orders(BTC)] == [resting["id"]]
        await exchange.cancel_order(resting["id"])
        assert (await exchange.fetch_order(resting["id"]))["status"] == "canceled"
        assert await exchange.fetch_open_orders(BTC) == []
        with pytest.raises(ccxt.BadRequest):
            await exchange.cancel_order(resting["id"])

        with pytest.raises(ccxt.ExchangeError, match="INVALID_LIMIT_PRICE_POST_ONLY"):
            await exchange.create_order(BTC, "limit", "buy", 0.1, px * 1.1, named("maker", postOnly=True))
        book = await exchange.fetch_order_book(BTC)
        there, price = sum(level[1] for level in book["asks"][:1]), book["asks"][0][0]
        for terms, filled in (("FOK", 0.0), ("IOC", there)):
            wanted = float(exchange.amount_to_precision(BTC, there * 2))
            sent = await exchange.create_order(
                BTC, "limit", "buy", wanted, price, named(terms, timeInForce=terms)
            )
            ended = await exchange.fetch_order(sent["id"])
            assert (ended["status"], ended["filled"]) == ("canceled", pytest.approx(filled, abs=1e-8))

        # a second order of an id is the first one, whatever else it asks for
        again = await exchange.create_order(BTC, "limit", "sell", 5, px * 1.5, named("part"))
        assert again["id"] == resting["id"]
        lines = [line for line in venue.truth("order") if line["client_order_id"] == "part"]
        assert {line["order_id"] for line in lines} == {int(resting["id"])}

        await exchange.create_order(BTC, "market", "sell", 0.5, None, named("sold"))
        owned = {asset: total for asset, total in (await held(exchange)).items() if asset in ("BTC", "USDT")}
        mine = await exchange.fetch_my_trades(BTC)
        sign = {"buy": 1, "sell": -1}
        assert {fill["side"] for fill in mine} == set(sign)
        bought = sum(sign[fill["side"]] * fill["amount"] for fill in mine)
        assert owned["BTC"] == pytest.approx(20 + bought, abs=1e-9)
        # on both sides the fee is paid on top
        spent = sum(sign[fill["side"]] * fill["cost"] + fill["fee"]["cost"] for fill in mine)
        assert owned["USDT"] == pytest.approx(10_000_000 - spent, abs=1e-6)

    with_client("coinbase", scenario)


async def held(exchange: Any) -> dict[str, float]:
    page = await exchange.v3PrivateGetBrokerageAccounts({"limit": 250})
    return {
        row["currency"]: float(row["available_balance"]["value"]) + float(row["hold"]["value"])
        for row in page["accounts"]
    }


def test_lists_come_in_pages_that_end() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        px = round(last(exchange) * 0.9, 2)
        ids = [
            (await exchange.create_order(BTC, "limit", "buy", 0.01, px, named(f"p{n}")))["id"]
            for n in range(7)
        ]
        ask = exchange.v3PrivateGetBrokerageOrdersHistoricalBatch
        found: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(4):
            page = await ask({"limit": 2, **cursor})
            found += [row["order_id"] for row in page["orders"]]
            assert page["has_next"] is bool(page["cursor"])
            cursor = {"cursor": page["cursor"]}
        assert page["cursor"] == ""
        assert found == ids[::-1]
        with pytest.raises(ccxt.ExchangeError, match="INVALID_ARGUMENT"):
            await ask({"order_status": ["OPEN", "FILLED"]})

    with_client("coinbase", scenario)


def ask(venue: SandboxProcess, path: str, token: str, body: object = None) -> int:
    """Return the status of the answer to a request with a token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(venue.rest + path, data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_token_counts_for_its_key_its_request_and_its_time_only() -> None:
    async def run() -> None:
        async with (
            coinbase() as venue,
            coinbase_client(venue) as exchange,
            coinbase_client(venue, secret=made_pem()) as stranger,
        ):
            now = int(time.time())
            url = venue.rest + ACCOUNTS
            good = exchange.create_auth_token(now, "GET", url)
            head, claims, _ = good.split(".")
            other = stranger.create_auth_token(now, "GET", url).split(".")[2]
            wrong = {
                "none": "",
                "another's key": stranger.create_auth_token(now, "GET", url),
                "another method": exchange.create_auth_token(now, "POST", url),
                "another address": exchange.create_auth_token(now, "GET", venue.rest + ORDERS),
                "no address": exchange.create_auth_token(now),
                "expired": exchange.create_auth_token(now - 121, "GET", url),
                "too early": exchange.create_auth_token(now + 60, "GET", url),
                "signature of another": f"{head}.{claims}.{other}",
                "without signature": f"{head}.{claims}.",
                "cut": good[:-9],
                "no token": "a.b.c",
            }
            get = asyncio.to_thread
            assert await get(ask, venue, ACCOUNTS, good) == 200
            assert await get(ask, venue, ACCOUNTS + "?limit=5", good) == 200
            assert {
                name: await get(ask, venue, ACCOUNTS, each) for name, each in wrong.items()
            } == dict.fromkeys(wrong, 401)
            exchange.apiKey = "nobody"
            unknown = exchange.create_auth_token(now, "GET", url)
            assert await get(ask, venue, ACCOUNTS, unknown) == 401

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "INVALID_ARGUMENT"),
        ({"client_order_id": "x", "product_id": "NO-NE", "side": "BUY"}, "INVALID_PRODUCT_ID"),
        ({"client_order_id": "x", "product_id": "BTC-USDT", "side": "HOLD"}, "INVALID_SIDE"),
        (
            {"client_order_id": "x", "product_id": "BTC-USDT", "side": "BUY",
             "order_configuration": {"twap_limit_gtd": {}}},
            "UNSUPPORTED_ORDER_CONFIGURATION",
        ),
        (
            {"client_order_id": "x", "product_id": "BTC-USDT", "side": "BUY",
             "order_configuration": {"market_market_ioc": {"base_size": "NaN"}}},
            "INVALID_ARGUMENT",
        ),
        (
            {"client_order_id": "x", "product_id": "BTC-USDT", "side": "BUY",
             "order_configuration": {"market_market_ioc": {"base_size": "0.000000001"}}},
            "INVALID_SIZE_PRECISION",
        ),
        (
            {"client_order_id": "x y", "product_id": "BTC-USDT", "side": "BUY",
             "order_configuration": {"market_market_ioc": {"base_size": "1"}}},
            "INVALID_REQUEST",
        ),
    ],
)  # fmt: skip
def test_a_broken_request_gets_the_venues_error(body: dict[str, Any], reason: str, shared: Any) -> None:
    async def run() -> None:
        async with coinbase_client(shared) as exchange:
            with pytest.raises(ccxt.ExchangeError, match=f'"{reason}"'):
                await exchange.v3PrivatePostBrokerageOrders(body)

    asyncio.run(run())
    assert [line for line in shared.truth("order") if line["order_id"] is not None] == []


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    """An exchange for several tests that change nothing."""
    with still("coinbase", KEY) as venue:
        yield venue


def test_streams_tell_books_trades_and_orders() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        control = await venue.control()
        await control.go()
        await control.steps(1)
        book = await exchange.watch_order_book(BTC)
        assert book["bids"][0][0] < book["asks"][0][0]
        await exchange.watch_trades(BTC)
        assert await exchange.watch_orders() == []
        hearing = asyncio.ensure_future(exchange.watch_orders())
        await asyncio.sleep(0)
        sent = await exchange.create_order(BTC, "market", "sell", 0.25, None, named("told"))
        await hearing
        async with asyncio.timeout(5):
            while exchange.orders[-1]["status"] != "closed":
                await exchange.watch_orders()
        assert (exchange.orders[-1]["id"], exchange.orders[-1]["filled"]) == (sent["id"], 0.25)
        for _ in range(5):
            await control.steps(1)
        truth = await exchange.fetch_order_book(BTC)
        async with asyncio.timeout(5):
            while exchange.orderbooks[BTC]["bids"][:3] != truth["bids"][:3]:
                await exchange.watch_order_book(BTC)
        assert [level[:2] for level in exchange.orderbooks[BTC]["bids"]] == truth["bids"]
        assert [level[:2] for level in exchange.orderbooks[BTC]["asks"]] == truth["asks"]
        told = [int(trade["id"]) for trade in exchange.trades[BTC]]
        public = [int(trade["id"]) for trade in await exchange.fetch_trades(BTC)]
        assert told == sorted(told)
        assert set(told) == set(public)

    with_client("coinbase", scenario)


def test_the_private_stream_wants_a_good_token_and_each_socket_counts_its_messages() -> None:
    async def run() -> None:
        async with (
            coinbase() as venue,
            coinbase_client(venue) as exchange,
            coinbase_client(venue, secret=made_pem()) as stranger,
            aiohttp.ClientSession() as session,
            session.ws_connect(venue.ws) as socket,
        ):
            now = int(time.time())
            wrong = [
                stranger.create_auth_token(now),
                exchange.create_auth_token(now - 200),
                exchange.create_auth_token(now, "GET", venue.rest),
                None,
            ]
            for token in wrong:
                await socket.send_json({"type": "subscribe", "channel": "user", "jwt": token})
                answer = await socket.receive_json(timeout=5)
                assert answer == {"type": "error", "message": "authentication failure"}
            for broken in ("no JSON", '{"type":"subscribe"}', '{"type":"subscribe","channel":"level2"}'):
                await socket.send_str(broken)
                assert (await socket.receive_json(timeout=5))["type"] == "error"
            good = exchange.create_auth_token(now)
            await socket.send_json({"type": "subscribe", "channel": "user", "jwt": good})
            told = [await socket.receive_json(timeout=5) for _ in range(2)]
            assert [each["channel"] for each in told] == ["user", "subscriptions"]
            assert [each["sequence_num"] for each in told] == [0, 1]
            assert told[0]["events"] == [{"type": "snapshot", "orders": []}]

    asyncio.run(run())


def test_the_sandbox_takes_no_other_kind_of_key() -> None:
    async def run() -> None:
        async with coinbase(accounts=[{"api_key": KEY, "secret": "no pem", "balances": {}}]):
            pass

    assert PEM.startswith("-----BEGIN EC PRIVATE KEY")
    with pytest.raises(AssertionError, match="instead of getting ready"):
        asyncio.run(run())
