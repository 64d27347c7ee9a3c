"""The unmodified ccxt.pro.bybit, pointed at a sandbox that speaks Bybit v5 spot, trades and hears about it.

Not here: raw streams (`test_bybit_streams`), broken requests (`test_bybit_requests`), our adapter
(`test_bybit_venue`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.kit.bybit import bybit_client
from tests.kit.sandbox import SandboxProcess, sandbox

BTC = "BTC/USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]


def with_client(scenario: Scenario, **config: Any) -> None:
    async def run() -> None:
        async with sandbox(protocol="bybit", **config) as venue, bybit_client(venue) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def named(client_order_id: str, **more: Any) -> dict[str, Any]:
    return {"clientOrderId": client_order_id, **more}


async def last_price(exchange: Any) -> float:
    price: float = (await exchange.fetch_ticker(BTC))["last"]
    return price


async def order_of(exchange: Any, number: str) -> Any:
    return await exchange.fetch_order(number, BTC, {"acknowledged": True})


def test_market_data_is_consistent() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        control = await venue.control()
        await control.go()
        done = await control.steps(20)

        assert set(exchange.markets) == {"BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT", "ETH/BTC", "LTC/BTC"}
        market = exchange.market(BTC)
        assert (market["spot"], market["active"], market["precision"]["price"]) == (True, True, 0.01)
        candles = await exchange.fetch_ohlcv(BTC, "1m", limit=30)
        assert len(candles) == 30
        assert candles[-1][0] == done["t"]  # the placeholder of the candle that opens now
        assert candles[-1][5] == 0
        assert [b[0] - a[0] for a, b in itertools.pairwise(candles)] == [60_000] * 29
        longer = await exchange.fetch_ohlcv(BTC, "5m", since=candles[0][0], limit=4)
        for t, opened, high, low, close, volume in longer:
            inside = [c for c in candles if t <= c[0] < t + 300_000]
            assert (opened, close) == (inside[0][1], inside[-1][4])
            assert (high, low) == (max(c[2] for c in inside), min(c[3] for c in inside))
            assert volume == pytest.approx(sum(c[5] for c in inside))
        trades = await exchange.fetch_trades(BTC, limit=60)
        closed = [c for c in candles[:-1] if c[0] >= trades[0]["timestamp"] // 60_000 * 60_000 + 60_000]
        assert len(closed) > 5
        for t, _, high, low, close, volume in closed:
            inside = [x for x in trades if t <= x["timestamp"] < t + 60_000]
            assert sum(x["amount"] for x in inside) == pytest.approx(volume, rel=1e-12)
            assert (max(x["price"] for x in inside), min(x["price"] for x in inside)) == (high, low)
            assert inside[-1]["price"] == close
        ticker = await exchange.fetch_ticker(BTC)
        assert ticker["last"] == candles[-2][4]
        book = await exchange.fetch_order_book(BTC)
        assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
        assert set(await exchange.fetch_tickers()) == set(exchange.markets)
        assert (await exchange.fetch_trading_fee(BTC))["taker"] == 0.001

    with_client(scenario)


def test_market_order_pays_the_book_and_the_fee() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        book = await exchange.fetch_order_book(BTC)
        first, second = book["asks"][:2]
        amount = float(exchange.amount_to_precision(BTC, first[1] + second[1] / 2))

        acknowledged = await exchange.create_order(BTC, "market", "buy", amount, params=named("two-levels"))
        assert acknowledged["clientOrderId"] == "two-levels"
        order = await order_of(exchange, acknowledged["id"])
        assert (order["status"], order["filled"]) == ("closed", amount)
        mine = await exchange.fetch_my_trades(BTC)
        assert [fill["price"] for fill in mine] == [first[0], second[0]]
        assert {(fill["order"], fill["takerOrMaker"]) for fill in mine} == {(order["id"], "taker")}
        assert sum(fill["cost"] for fill in mine) == pytest.approx(order["cost"])
        assert sum(fill["fee"]["cost"] for fill in mine) == pytest.approx(order["fee"]["cost"])
        assert order["fee"]["currency"] == "BTC"
        balance = await exchange.fetch_balance()
        assert balance["BTC"]["free"] == pytest.approx(20 + amount * 0.999, abs=2e-8)
        assert balance["USDT"]["free"] == pytest.approx(10_000_000 - order["cost"], abs=1e-8)
        public = {trade["id"] for trade in await exchange.fetch_trades(BTC)}
        assert {fill["id"] for fill in mine} <= public
        truth = venue.truth("trade")
        assert [str(line["trade_id"]) for line in truth] == [fill["id"] for fill in mine]

        by_cost = await exchange.create_market_buy_order_with_cost(BTC, 1000)
        order = await order_of(exchange, by_cost["id"])
        assert 1000 - second[0] * 1e-5 * 2 < order["cost"] <= 1000

    with_client(scenario)


def test_maker_order_fills_in_parts_and_the_private_stream_tells() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        news: dict[str, list[Any]] = {"orders": [], "fills": [], "balances": []}

        async def follow(watch: Callable[[], Awaitable[Any]], into: list[Any]) -> None:
            while True:
                heard = await watch()
                into.extend(heard if isinstance(heard, list) else [heard])

        followers = [
            asyncio.create_task(follow(exchange.watch_orders, news["orders"])),
            asyncio.create_task(follow(exchange.watch_my_trades, news["fills"])),
            asyncio.create_task(follow(exchange.watch_balance, news["balances"])),
        ]
        wanted = {"orders", "myTrades", "balances:unified"}
        while not any(wanted <= set(client.subscriptions) for client in exchange.clients.values()):
            await asyncio.sleep(0)
        await answered(exchange)

        price = await last_price(exchange)
        order = await exchange.create_order(
            BTC, "limit", "sell", 5, price * 1.0005, named("resting", postOnly=True)
        )
        control = await venue.control()
        await control.go()
        fills = 0
        for _ in range(40):
            fills = (await control.steps(1))["fills"]
            if fills >= 2:
                break
        assert fills >= 2
        found = await order_of(exchange, order["id"])
        assert (found["status"], found["info"]["orderStatus"]) == ("open", "PartiallyFilled")
        assert found["average"] == found["price"]
        await answered(exchange)
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        assert {report["clientOrderId"] for report in news["orders"]} == {"resting"}
        assert news["orders"][-1]["filled"] == found["filled"] > 0
        assert [fill["takerOrMaker"] for fill in news["fills"]] == ["maker"] * len(news["fills"])
        assert sum(fill["amount"] for fill in news["fills"]) == pytest.approx(found["filled"])
        assert news["balances"][-1]["BTC"]["used"] == pytest.approx(found["remaining"])
        truth = [line for line in venue.truth("trade") if line["client_order_id"] == "resting"]
        assert [str(line["trade_id"]) for line in truth] == [fill["id"] for fill in news["fills"]]

        await exchange.cancel_order(order["id"], BTC)
        ended = await order_of(exchange, order["id"])
        assert ended["info"]["orderStatus"] == "PartiallyFilledCanceled"
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0

    with_client(scenario, feed={"kind": "synthetic", "candles": 40, "history": 60})


async def answered(exchange: Any) -> None:
    """Ping the private socket: what was sent there before has been read when the answer is."""
    private = [client for url, client in exchange.clients.items() if url.endswith("/v5/private")]
    before = private[0].lastPong
    await private[0].send({"op": "ping"})
    while private[0].lastPong == before:
        await asyncio.sleep(0)


def test_client_order_ids_are_used_up_and_found_whatever_became_of_the_order() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, named("only-once"))
        first = await exchange.create_order(*ask)
        with pytest.raises(ccxt.InvalidOrder, match="170141"):
            await exchange.create_order(*ask)
        opened = await exchange.fetch_open_orders(BTC, params={"orderLinkId": "only-once"})
        assert [order["id"] for order in opened] == [first["id"]]
        await exchange.cancel_order(None, BTC, {"orderLinkId": "only-once"})
        with pytest.raises(ccxt.InvalidOrder, match="170141"):
            await exchange.create_order(*ask)
        with pytest.raises(ccxt.OrderNotFound, match="170213"):
            await exchange.cancel_order(first["id"], BTC)

        assert await exchange.fetch_open_orders(BTC) == []
        for path in ("privateGetV5OrderRealtime", "privateGetV5OrderHistory"):
            answer = await getattr(exchange, path)({"category": "spot", "orderLinkId": "only-once"})
            found = answer["result"]["list"]
            assert [(one["orderId"], one["orderStatus"]) for one in found] == [(first["id"], "Cancelled")]
        cancelled = await exchange.fetch_canceled_and_closed_orders(BTC)
        assert [order["clientOrderId"] for order in cancelled] == ["only-once"]
        longest = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named("x" * 36))
        for wrong in ("x" * 37, "no spaces", "ä"):
            with pytest.raises(ccxt.BadRequest, match="170130"):
                await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named(wrong))
        assert [order["id"] for order in await exchange.fetch_open_orders(BTC)] == [longest["id"]]

    with_client(scenario)


def test_orders_end_by_their_own_terms() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        best = (await exchange.fetch_order_book(BTC))["bids"][0]
        wanted = float(exchange.amount_to_precision(BTC, best[1] * 1.5))
        ended = {}
        for kind, price, params in (
            ("FOK", best[0], {"timeInForce": "FOK"}),
            ("PostOnly", best[0], {"postOnly": True}),
            ("none", best[0] * 1.01, {"timeInForce": "IOC"}),
            ("IOC", best[0], {"timeInForce": "IOC"}),
        ):
            order = await exchange.create_order(BTC, "limit", "sell", wanted, price, named(kind, **params))
            found = (await order_of(exchange, order["id"]))["info"]
            ended[kind] = (found["orderStatus"], found["rejectReason"], float(found["cumExecQty"]))

        # Bybit takes a maker order that would trade, and cancels it.
        assert ended == {
            "FOK": ("Cancelled", "EC_NoImmediateQtyToFill", 0),
            "PostOnly": ("Cancelled", "EC_PostOnlyWillTakeLiquidity", 0),
            "none": ("Cancelled", "EC_NoImmediateQtyToFill", 0),
            "IOC": ("PartiallyFilledCanceled", "EC_NoImmediateQtyToFill", best[1]),
        }
        assert await exchange.fetch_open_orders(BTC) == []
        assert (await exchange.fetch_balance())["used"]["BTC"] == 0

    with_client(scenario)


def test_lists_come_in_pages_and_all_open_orders_are_cancelled() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        for n in range(7):
            await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named(f"n{n}"))
            await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"m{n}"))
        seen, cursor, pages = [], "", 0
        while True:
            page = await exchange.privateGetV5OrderRealtime(
                {"category": "spot", "limit": 3, **({"cursor": cursor} if cursor else {})}
            )
            seen += [order["orderLinkId"] for order in page["result"]["list"]]
            pages += 1
            cursor = page["result"]["nextPageCursor"]
            if not cursor:
                break
        assert (seen, pages) == ([f"n{n}" for n in reversed(range(7))], 3)
        executions = await exchange.privateGetV5ExecutionList({"category": "spot", "limit": 5})
        rest = {"category": "spot", "limit": 5, "cursor": executions["result"]["nextPageCursor"]}
        older = await exchange.privateGetV5ExecutionList(rest)
        links = [one["orderLinkId"] for one in executions["result"]["list"] + older["result"]["list"]]
        assert links == [f"m{n}" for n in reversed(range(7))]
        assert older["result"]["nextPageCursor"] == ""
        cancelled = await exchange.cancel_all_orders(BTC)
        assert {order["clientOrderId"] for order in cancelled} == set(seen)
        assert await exchange.fetch_open_orders(BTC) == []

    with_client(scenario)


def test_errors_become_the_right_exceptions() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        refused = [
            (ccxt.InsufficientFunds, "170131", (BTC, "limit", "buy", 500, price * 0.9), {}),
            (ccxt.InvalidOrder, "170140", (BTC, "limit", "buy", 0.00005, price * 0.9), {}),
            (ccxt.InvalidOrder, "170193", (BTC, "limit", "buy", 0.01, price * 6), {}),
            (ccxt.InvalidOrder, "170194", (BTC, "limit", "sell", 0.01, price / 6), {}),
            (ccxt.InvalidOrder, "170134", (BTC, "limit", "buy", 0.01, price * 0.9), {"price": "50000.001"}),
            (ccxt.InvalidOrder, "170137", (BTC, "limit", "buy", 0.01, price * 0.9), {"qty": "0.010001"}),
            (ccxt.ExchangeError, "170227", (BTC, "limit", "buy", 0.01, price), {"triggerPrice": price * 1.1}),
        ]
        for error, code, arguments, params in refused:
            with pytest.raises(error, match=code):
                await exchange.create_order(*arguments, params)
        with pytest.raises(ccxt.OrderNotFound):
            await order_of(exchange, "4711")
        with pytest.raises(ccxt.BadSymbol):
            await exchange.publicGetV5MarketOrderbook({"category": "spot", "symbol": "NOPE"})
        async with bybit_client(venue, secret="wrong") as forger:
            with pytest.raises(ccxt.AuthenticationError):
                await forger.privateGetV5AccountInfo()
        exchange.options["timeDifference"] = 3_600_000  # an hour behind
        with pytest.raises(ccxt.InvalidNonce):
            await exchange.fetch_balance()
        rejected = [line for line in venue.truth("order") if line["status"] == "REJECTED"]
        assert {170131, 170140, 170137} <= {line["code"] for line in rejected}
        assert all(line["order_id"] is None for line in rejected)

    with_client(scenario)


def test_rate_limits_are_enforced() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        for n in range(3):
            await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"n{n}"))

        async def too_many() -> None:
            for n in range(3, 10):
                await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"n{n}"))

        with pytest.raises(ccxt.RateLimitExceeded):
            await too_many()
        accepted = {line["client_order_id"] for line in venue.truth("order")}
        assert {"n0", "n1", "n2"} <= accepted < {f"n{n}" for n in range(10)}

    with_client(scenario, order_limit=3)


def test_ccxt_is_the_installed_class() -> None:
    assert ccxt.pro.bybit.__module__ == "ccxt.pro.bybit"
