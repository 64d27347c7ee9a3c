"""The unmodified ccxt.pro.binance, pointed at the sandbox, trades and hears about it.

Not here: the lock-step of the market (`test_sandbox_streams`), broken requests
(`test_sandbox_requests`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import pytest

from tests.kit.sandbox import SandboxProcess, sandbox

BTC = "BTC/USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]


def with_client(scenario: Scenario, **config: Any) -> None:
    async def run() -> None:
        async with sandbox(**config) as venue, venue.client() as exchange:
            await scenario(venue, exchange)

    asyncio.run(run())


async def last_price(exchange: Any, symbol: str = BTC) -> float:
    price: float = (await exchange.fetch_ticker(symbol))["last"]
    return price


def named(client_order_id: str) -> dict[str, str]:
    return {"clientOrderId": client_order_id}


async def round_trip(exchange: Any, name: str) -> None:
    """Ask for the time on the private socket: what was sent there before has been read then."""
    url = exchange.urls["api"]["ws"]["ws-api"]["spot"]
    request = {"id": name, "method": "time"}
    await exchange.watch(
        url, name, request, name, {"method": lambda client, reply: client.resolve(reply, name)}
    )


def test_market_data_is_consistent() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        markets = await exchange.load_markets()
        control = await venue.control()
        await control.go()
        done = await control.steps(20)

        assert {"BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT", "ETH/BTC", "LTC/BTC"} == set(markets)
        candles = await exchange.fetch_ohlcv(BTC, "1m", limit=30)
        assert len(candles) == 30
        assert candles[-1][0] == done["t"]  # the placeholder of the candle that opens now
        assert candles[-1][5] == 0
        assert [b[0] - a[0] for a, b in itertools.pairwise(candles)] == [60_000] * 29
        trades = await exchange.fetch_trades(BTC, limit=1000)
        closed = [c for c in candles[:-1] if c[0] >= trades[0]["timestamp"] // 60_000 * 60_000]
        for t, _, high, low, close, volume in closed:
            inside = [x for x in trades if t <= x["timestamp"] < t + 60_000]
            assert sum(x["amount"] for x in inside) == pytest.approx(volume, rel=1e-12)
            assert max(x["price"] for x in inside) == high
            assert min(x["price"] for x in inside) == low
            assert inside[-1]["price"] == close
        ticker = await exchange.fetch_ticker(BTC)
        assert ticker["last"] == candles[-2][4]
        assert ticker["bid"] < ticker["ask"]
        book = await exchange.fetch_order_book(BTC)
        assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
        assert set(await exchange.fetch_tickers()) == set(markets)
        assert set(await exchange.fetch_bids_asks([BTC])) == {BTC}

    with_client(scenario)


def test_longer_intervals_are_made_of_the_short_ones() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        short = await exchange.fetch_ohlcv(BTC, "1m", limit=61)
        longer = await exchange.fetch_ohlcv(BTC, "5m", limit=12)

        assert len(longer) == 12
        for t, opened, high, low, close, volume in longer:
            inside = [c for c in short[:-1] if t <= c[0] < t + 300_000]
            assert len(inside) == 5
            assert (opened, close) == (inside[0][1], inside[-1][4])
            assert (high, low) == (max(c[2] for c in inside), min(c[3] for c in inside))
            assert volume == pytest.approx(sum(c[5] for c in inside))

    with_client(scenario)


def test_market_order_pays_the_book_and_the_fee() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        await exchange.load_markets()
        book = await exchange.fetch_order_book(BTC)
        first, second = book["asks"][:2]
        amount = float(exchange.amount_to_precision(BTC, first[1] + second[1] / 2))

        order = await exchange.create_order(BTC, "market", "buy", amount, params=named("two-levels"))

        assert order["status"] == "closed"
        assert order["clientOrderId"] == "two-levels"
        assert order["filled"] == amount
        assert [fill["price"] for fill in order["trades"]] == [first[0], second[0]]
        balance = await exchange.fetch_balance()
        assert balance["BTC"]["free"] == pytest.approx(20 + amount * 0.999, abs=2e-8)
        assert balance["USDT"]["free"] == pytest.approx(10_000_000 - order["cost"], abs=1e-8)
        after = await exchange.fetch_order_book(BTC)
        assert after["asks"][0][0] == second[0]  # eaten levels stay away until the next step
        mine = await exchange.fetch_my_trades(BTC)
        assert [(t["order"], t["takerOrMaker"]) for t in mine] == [(order["id"], "taker")] * 2
        public = {t["id"] for t in await exchange.fetch_trades(BTC)}
        assert {t["id"] for t in mine} <= public

    with_client(scenario)


def test_market_order_by_quote_amount() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        order = await exchange.create_market_buy_order_with_cost(BTC, 1000)

        assert order["status"] == "closed"
        price = await last_price(exchange)
        assert 1000 - price * 1e-5 * 2 < order["cost"] <= 1000

    with_client(scenario)


def test_limit_order_rests_fills_and_is_reported() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        await exchange.load_markets()
        reports: list[Any] = []
        fills: list[Any] = []
        balances: list[Any] = []

        async def follow(watch: Callable[[], Awaitable[Any]], into: list[Any]) -> None:
            while True:
                news = await watch()
                into.extend(news if isinstance(news, list) else [news])

        followers = [
            asyncio.create_task(follow(exchange.watch_orders, reports)),
            asyncio.create_task(follow(exchange.watch_my_trades, fills)),
            asyncio.create_task(follow(exchange.watch_balance, balances)),
        ]
        control = await venue.control()
        while not any("spot" in client.subscriptions for client in exchange.clients.values()):
            await asyncio.sleep(0)
        await round_trip(exchange, "first")

        price = await last_price(exchange)
        order = await exchange.create_order(
            BTC, "limit", "sell", 0.01, price * 1.0005, {"clientOrderId": "resting", "postOnly": True}
        )
        assert order["status"] == "open"
        await control.go()
        for _ in range(40):
            announced = await control.steps(1)
            if announced["fills"]:
                break
        assert announced["fills"] > 0
        found = await exchange.fetch_order(order["id"], BTC)
        assert found["filled"] > 0
        assert found["average"] == order["price"]
        await round_trip(exchange, "second")
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        assert {report["id"] for report in reports} == {order["id"]}
        assert reports[-1]["filled"] == found["filled"]
        assert [fill["takerOrMaker"] for fill in fills] == ["maker"] * len(fills)
        assert sum(fill["amount"] for fill in fills) == pytest.approx(found["filled"])
        assert balances[-1]["BTC"]["used"] == pytest.approx(found["remaining"])
        truth = [line for line in venue.truth("trade") if line["client_order_id"] == "resting"]
        assert [line["trade_id"] for line in truth] == [int(fill["id"]) for fill in fills]

    with_client(scenario)


def test_client_order_ids_are_unique_among_open_orders_only() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, {"clientOrderId": "again"})
        first = await exchange.create_order(*ask)
        with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
            await exchange.create_order(*ask)
        canceled = await exchange.cancel_order(first["id"], BTC)
        assert canceled["status"] == "canceled"
        assert canceled["id"] == first["id"]
        second = await exchange.create_order(*ask)

        assert second["id"] != first["id"]
        found = await exchange.fetch_order(None, BTC, {"origClientOrderId": "again"})
        assert found["id"] == second["id"]
        everything = await exchange.fetch_orders(BTC)
        assert {o["id"]: o["status"] for o in everything} == {first["id"]: "canceled", second["id"]: "open"}
        assert [o["id"] for o in await exchange.fetch_open_orders(BTC)] == [second["id"]]

    with_client(scenario)


def test_errors_become_the_right_exceptions() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        refused = [
            (ccxt.InsufficientFunds, (BTC, "limit", "buy", 500, price * 0.9), {}),
            (ccxt.OrderImmediatelyFillable, (BTC, "limit", "buy", 0.01, price * 1.01), {"postOnly": True}),
            (ccxt.BadRequest, (BTC, "limit", "buy", 0.00005, price * 0.9), {}),  # NOTIONAL
            (ccxt.BadRequest, (BTC, "limit", "sell", 0.01, price), {"quantity": "0.0100000001"}),
            (ccxt.BadRequest, (BTC, "limit", "buy", 0.01, price * 0.9), {"clientOrderId": "no spaces"}),
            (ccxt.BadRequest, (BTC, "limit", "buy", 0.01, price * 0.9), {"clientOrderId": "x" * 37}),
        ]
        for error, arguments, params in refused:
            with pytest.raises(error):
                await exchange.create_order(*arguments, params)
        with pytest.raises(ccxt.InvalidOrder, match="LOT_SIZE"):
            await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, {"quantity": "0.010001"})
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.cancel_order("4711", BTC)
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.fetch_order("4711", BTC)
        with pytest.raises(ccxt.BadSymbol):
            await exchange.public_get_depth({"symbol": "NOPE"})
        async with venue.client(secret="wrong") as forger:
            with pytest.raises(ccxt.AuthenticationError):
                await forger.fetch_balance()
        async with venue.client(key="stranger", fetchCurrencies=False, fetchMargins=False) as stranger:
            with pytest.raises(ccxt.AuthenticationError):
                await stranger.fetch_balance()
        exchange.options["timeDifference"] = 3_600_000  # an hour behind
        with pytest.raises(ccxt.InvalidNonce):
            await exchange.fetch_balance()
        rejected = [line for line in venue.truth("order") if line["status"] == "REJECTED"]
        assert {-2010, -1013} <= {line["code"] for line in rejected}
        assert all(line["order_id"] is None for line in rejected)

    with_client(scenario)


def test_stop_limit_triggers_on_a_print() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        order = await exchange.create_order(
            BTC, "limit", "sell", 0.01, price * 0.9, {"stopLossPrice": price * 0.9995, **named("stop")}
        )
        assert (order["type"], order["status"]) == ("limit", "open")
        control = await venue.control()
        await control.go()
        for _ in range(40):
            announced = await control.steps(1)
            if announced["fills"]:
                break
        found = await exchange.fetch_order(order["id"], BTC)

        assert found["status"] == "closed"
        assert found["average"] <= price * 0.9995 * 1.001
        statuses = [line["status"] for line in venue.truth("order") if line["client_order_id"] == "stop"]
        assert statuses[0] == "NEW"
        assert statuses[-1] == "FILLED"

    with_client(scenario)


@pytest.mark.parametrize("kind", ["IOC", "FOK"])
def test_time_in_force(kind: str) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        await exchange.load_markets()
        best = (await exchange.fetch_order_book(BTC))["bids"][0]
        wanted = float(exchange.amount_to_precision(BTC, best[1] * 1.5))
        order = await exchange.create_order(BTC, "limit", "sell", wanted, best[0], {"timeInForce": kind})

        assert order["status"] == "expired"
        assert order["filled"] == (best[1] if kind == "IOC" else 0)
        assert await exchange.fetch_open_orders(BTC) == []
        assert (await exchange.fetch_balance())["used"]["BTC"] == 0

    with_client(scenario)


def test_orders_over_the_websocket_api() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        order = await exchange.create_order_ws(BTC, "limit", "buy", 0.01, price * 0.9, named("by-ws"))
        assert order["status"] == "open"
        assert (await exchange.fetch_order_ws(order["id"], BTC))["clientOrderId"] == "by-ws"
        assert (await exchange.cancel_order_ws(order["id"], BTC))["status"] == "canceled"
        with pytest.raises(ccxt.InsufficientFunds):
            await exchange.create_order_ws(BTC, "limit", "buy", 500, price * 0.9)

    with_client(scenario)


def test_rate_limits_are_reported_and_enforced() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        await exchange.public_get_ping()
        headers = {name.upper(): value for name, value in exchange.last_response_headers.items()}
        assert int(headers["X-MBX-USED-WEIGHT-1M"]) > 0
        for _ in range(50):
            await exchange.public_get_ping()
        with pytest.raises(ccxt.DDoSProtection):
            await exchange.public_get_exchangeinfo()

    with_client(scenario, weight_limit=60)
