"""The unmodified ccxt.pro.okx, pointed at a sandbox that speaks OKX v5 spot, trades and hears about it.

Not here: raw streams (`test_okx_streams`), broken requests (`test_okx_requests`), our adapter
(`test_okx_venue`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.kit.okx import okx_client
from tests.kit.sandbox import ACCOUNT, SandboxProcess, sandbox

BTC = "BTC/USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]
# Who shares an exchange has an account of its own.
OWNERS = ("fees", "ids", "terms", "pages", "errors", "deadline")


@pytest.fixture(scope="module")
def still() -> Iterator[SandboxProcess]:
    """An exchange whose market stands still, for several tests."""
    accounts = [ACCOUNT | {"name": name, "api_key": name} for name in OWNERS]
    with asyncio.Runner() as runner:
        opened = sandbox(protocol="okx", accounts=accounts)
        venue = runner.run(opened.__aenter__())
        yield venue
        runner.run(opened.__aexit__(None, None, None))


def as_owner(name: str, venue: SandboxProcess, scenario: Scenario) -> None:
    async def run() -> None:
        async with okx_client(venue, key=name) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def truth_of(venue: SandboxProcess, name: str, event: str) -> list[dict[str, Any]]:
    return [line for line in venue.truth(event) if line["account"] == name]


def with_client(scenario: Scenario, **config: Any) -> None:
    async def run() -> None:
        async with sandbox(protocol="okx", **config) as venue, okx_client(venue) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def named(client_order_id: str, **more: Any) -> dict[str, Any]:
    return {"clientOrderId": client_order_id, **more}


async def last_price(exchange: Any) -> float:
    price: float = (await exchange.fetch_ticker(BTC))["last"]
    return price


def test_market_data_is_consistent() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        control = await venue.control()
        await control.go()
        done = await control.steps(20)

        assert set(exchange.markets) == {"BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT", "ETH/BTC", "LTC/BTC"}
        market = exchange.market(BTC)
        assert (market["id"], market["spot"], market["active"]) == ("BTC-USDT", True, True)
        assert market["precision"] == {"price": 0.01, "amount": 0.00001}
        candles = await exchange.fetch_ohlcv(BTC, "1m", limit=30)
        assert len(candles) == 30
        assert candles[-1][0] == done["t"]  # the placeholder of the candle that opens now
        assert candles[-1][5] == 0
        assert [b[0] - a[0] for a, b in itertools.pairwise(candles)] == [60_000] * 29
        longer = await exchange.fetch_ohlcv(BTC, "5m", since=candles[0][0], limit=4)
        assert len(longer) == 4
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


def test_market_order_pays_the_book_and_the_fee(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        book = await exchange.fetch_order_book(BTC)
        first, second = book["asks"][:2]
        amount = float(exchange.amount_to_precision(BTC, first[1] + second[1] / 2))

        acknowledged = await exchange.create_order(BTC, "market", "buy", amount, params=named("twolevels"))
        assert acknowledged["clientOrderId"] == "twolevels"
        order = await exchange.fetch_order(acknowledged["id"], BTC)
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
        truth = truth_of(venue, "fees", "trade")
        assert [str(line["trade_id"]) for line in truth] == [fill["id"] for fill in mine]

        by_cost = await exchange.create_market_buy_order_with_cost(BTC, 1000)
        order = await exchange.fetch_order(by_cost["id"], BTC)
        assert 1000 - second[0] * 1e-5 * 2 < float(order["info"]["accFillSz"]) * order["average"] <= 1000
        # ccxt names an order that nobody named, and says by whom
        assert order["info"]["clOrdId"].startswith(order["info"]["tag"])
        assert order["info"]["tag"] == exchange.options["brokerId"]

    as_owner("fees", still, scenario)


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
        while not news["balances"]:  # they are told to whoever begins to listen
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
        found = await exchange.fetch_order(order["id"], BTC)
        assert (found["status"], found["info"]["state"]) == ("open", "partially_filled")
        assert (found["average"], found["info"]["ordType"]) == (found["price"], "post_only")
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
        ended = await exchange.fetch_order(order["id"], BTC)
        assert (ended["info"]["state"], ended["info"]["cancelSource"]) == ("canceled", "1")
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0

    with_client(scenario, feed={"kind": "synthetic", "candles": 40, "history": 60})


async def answered(exchange: Any) -> None:
    """Ping the private socket: what was sent there before has been read when the answer is."""
    private = next(client for url, client in exchange.clients.items() if url.endswith("/private"))
    before = private.lastPong
    await private.send("ping")
    while private.lastPong == before:
        await asyncio.sleep(0)


def test_a_client_order_id_is_free_again_when_its_order_ended_and_finds_the_newest(
    still: SandboxProcess,
) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, named("onceatatime"))
        first = await exchange.create_order(*ask)
        with pytest.raises(ccxt.InvalidOrder, match="51016"):
            await exchange.create_order(*ask)
        found = await exchange.fetch_order(None, BTC, {"clOrdId": "onceatatime"})
        assert (found["id"], found["status"]) == (first["id"], "open")
        await exchange.cancel_order(None, BTC, {"clOrdId": "onceatatime"})
        with pytest.raises(ccxt.OrderNotFound, match="51400"):
            await exchange.cancel_order(first["id"], BTC)
        assert await exchange.fetch_open_orders(BTC) == []
        found = await exchange.fetch_order(None, BTC, {"clOrdId": "onceatatime"})
        assert (found["id"], found["status"]) == (first["id"], "canceled")

        second = await exchange.create_order(*ask)
        assert second["id"] != first["id"]
        found = await exchange.fetch_order(None, BTC, {"clOrdId": "onceatatime"})
        assert (found["id"], found["status"]) == (second["id"], "open")
        cancelled = await exchange.fetch_canceled_orders(BTC)
        assert [order["id"] for order in cancelled] == [first["id"]]
        longest = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named("x" * 32))
        for wrong in ("x" * 33, "no-dash", "nospaces ", "ä"):
            with pytest.raises(ccxt.BadRequest, match="51000"):
                await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named(wrong))
        opened = {order["id"] for order in await exchange.fetch_open_orders(BTC)}
        assert opened == {second["id"], longest["id"]}

    as_owner("ids", still, scenario)


def test_orders_end_by_their_own_terms(still: SandboxProcess) -> None:
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
            found = (await exchange.fetch_order(order["id"], BTC))["info"]
            ended[kind] = (found["state"], found["cancelSource"], float(found["accFillSz"]))

        # OKX takes a maker order that would trade, and cancels it.
        assert ended == {
            "FOK": ("canceled", "13", 0),
            "PostOnly": ("canceled", "31", 0),
            "none": ("canceled", "14", 0),
            "IOC": ("canceled", "14", best[1]),
        }
        assert await exchange.fetch_open_orders(BTC) == []
        assert (await exchange.fetch_balance())["used"]["BTC"] == 0

    as_owner("terms", still, scenario)


def test_lists_come_in_pages_and_a_batch_cancels_them(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        for n in range(7):
            await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9, named(f"n{n}"))
            await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"m{n}"))
        seen: list[Any] = []
        pages = 0
        while True:
            after = {"after": seen[-1]["ordId"]} if seen else {}
            page = (await exchange.privateGetTradeOrdersPending({"limit": 3, **after}))["data"]
            if not page:
                break
            seen += page
            pages += 1
        assert ([each["clOrdId"] for each in seen], pages) == ([f"n{n}" for n in reversed(range(7))], 3)
        fills = (await exchange.privateGetTradeFills({"instType": "SPOT", "limit": 5}))["data"]
        older = {"instType": "SPOT", "limit": 5, "after": fills[-1]["billId"]}
        fills += (await exchange.privateGetTradeFills(older))["data"]
        assert [each["clOrdId"] for each in fills] == [f"m{n}" for n in reversed(range(7))]
        closed = (await exchange.privateGetTradeOrdersHistory({"instType": "SPOT"}))["data"]
        assert [each["clOrdId"] for each in closed] == [f"m{n}" for n in reversed(range(7))]
        await exchange.cancel_orders([each["ordId"] for each in seen], BTC)
        assert await exchange.fetch_open_orders(BTC) == []

    as_owner("pages", still, scenario)


def test_errors_become_the_right_exceptions(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        refused = [
            (ccxt.InsufficientFunds, "51008", (BTC, "limit", "buy", 500, price * 0.9), {}),
            (ccxt.InvalidOrder, "51020", (BTC, "limit", "buy", 0.01, price * 0.9), {"sz": "0.000001"}),
            (ccxt.InvalidOrder, "51137", (BTC, "limit", "buy", 0.01, price * 6), {}),
            (ccxt.InvalidOrder, "51138", (BTC, "limit", "sell", 0.01, price / 6), {}),
            (ccxt.BadRequest, "51000", (BTC, "limit", "buy", 0.01, price * 0.9), {"px": "50000.001"}),
            (ccxt.InvalidOrder, "51121", (BTC, "limit", "buy", 0.01, price * 0.9), {"sz": "0.010001"}),
            (ccxt.ExchangeError, "51010", (BTC, "limit", "buy", 0.01, price), {"triggerPrice": price * 1.1}),
            (ccxt.ExchangeError, "51010", (BTC, "limit", "buy", 0.01, price), {"tdMode": "cross"}),
        ]
        for error, code, arguments, params in refused:
            with pytest.raises(error, match=code):
                await exchange.create_order(*arguments, params)
        with pytest.raises(ccxt.OrderNotFound, match="51603"):
            await exchange.fetch_order("4711", BTC)
        with pytest.raises(ccxt.BadSymbol):
            await exchange.publicGetMarketBooks({"instId": "NO-PE"})
        for over in ({"secret": "wrong"}, {"passphrase": "wrong"}, {"key": "wrong"}):
            async with okx_client(venue, **({"key": "errors"} | over)) as forger:
                with pytest.raises(ccxt.AuthenticationError):
                    await forger.privateGetAccountConfig()
        async with okx_client(venue, "errors", passphrase="wrong") as forger:
            forger.markets = exchange.markets
            with pytest.raises(ccxt.AuthenticationError, match="60024"):
                await forger.watch_orders()
        exchange.options["timeDifference"] = 3_600_000  # an hour behind
        with pytest.raises(ccxt.InvalidNonce):
            await exchange.fetch_balance()
        rejected = [line for line in truth_of(venue, "errors", "order") if line["status"] == "REJECTED"]
        assert {51008, 51020, 51121} <= {line["code"] for line in rejected}
        assert all(line["order_id"] is None for line in rejected)

    as_owner("errors", still, scenario)


def test_an_order_that_comes_after_its_deadline_is_refused(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        exchange.headers["expTime"] = str(exchange.milliseconds() - 1)
        with pytest.raises(ccxt.InvalidNonce, match="50102"):
            await exchange.create_order(BTC, "market", "buy", 0.01, params=named("late"))
        exchange.headers["expTime"] = str(exchange.milliseconds() + 5000)
        await exchange.create_order(BTC, "market", "buy", 0.01, params=named("intime"))
        assert {line["client_order_id"] for line in truth_of(venue, "deadline", "order")} == {"intime"}

    as_owner("deadline", still, scenario)


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
    assert ccxt.pro.okx.__module__ == "ccxt.pro.okx"
