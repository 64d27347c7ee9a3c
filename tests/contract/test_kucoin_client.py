"""The unmodified ccxt.pro.kucoin, pointed at a sandbox that speaks KuCoin spot, trades and hears about it.

Not here: raw streams (`test_kucoin_streams`), broken requests (`test_kucoin_requests`), our adapter
(`test_kucoin_venue`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.kit.kucoin import kucoin_client
from tests.kit.sandbox import ACCOUNT, SandboxProcess, sandbox

pytestmark = pytest.mark.timeout(120)
BTC = "BTC/USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]
# Who shares an exchange has an account of its own.
OWNERS = ("fees", "ids", "terms", "pages", "errors", "deadline")


@pytest.fixture(scope="module")
def still() -> Iterator[SandboxProcess]:
    """An exchange whose market stands still, for several tests."""
    accounts = [ACCOUNT | {"name": name, "api_key": name} for name in OWNERS]
    with asyncio.Runner() as runner:
        opened = sandbox(protocol="kucoin", accounts=accounts)
        venue = runner.run(opened.__aenter__())
        yield venue
        runner.run(opened.__aexit__(None, None, None))


def as_owner(name: str, venue: SandboxProcess, scenario: Scenario) -> None:
    async def run() -> None:
        async with kucoin_client(venue, key=name) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def truth_of(venue: SandboxProcess, name: str, event: str) -> list[dict[str, Any]]:
    return [line for line in venue.truth(event) if line["account"] == name]


def with_client(scenario: Scenario, **config: Any) -> None:
    async def run() -> None:
        async with sandbox(protocol="kucoin", **config) as venue, kucoin_client(venue) as exchange:
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


def named(client_order_id: str, **more: Any) -> dict[str, Any]:
    return {"clientOrderId": client_order_id, **more}


async def last_price(exchange: Any) -> float:
    price: float = (await exchange.fetch_ticker(BTC))["last"]
    return price


async def by_id(exchange: Any, client_order_id: str) -> Any:
    return await exchange.fetch_order(None, BTC, {"clientOid": client_order_id})


@pytest.mark.long
def test_market_data_is_consistent() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        control = await venue.control()
        await control.go()
        done = await control.steps(20)

        assert set(exchange.markets) == {"BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT", "ETH/BTC", "LTC/BTC"}
        market = exchange.market(BTC)
        assert (market["id"], market["spot"], market["active"]) == ("BTC-USDT", True, True)
        assert market["precision"] == {"price": 0.01, "amount": 0.00001}
        first = done["t"] - 29 * 60_000
        candles = await exchange.fetch_ohlcv(BTC, "1m", since=first, limit=30)
        assert len(candles) == 30
        assert candles[-1][0] == done["t"]  # the placeholder of the candle that opens now
        assert candles[-1][5] == 0
        assert [b[0] - a[0] for a, b in itertools.pairwise(candles)] == [60_000] * 29
        longer = await exchange.fetch_ohlcv(BTC, "5m", since=first // 300_000 * 300_000 + 300_000, limit=4)
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
        book = await exchange.fetch_order_book(BTC, 100)
        assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
        assert (await exchange.fetch_trading_fee(BTC))["taker"] == 0.001

    with_client(scenario)


def test_market_order_pays_the_book_and_the_fee(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        book = await exchange.fetch_order_book(BTC, 100)
        first, second = book["asks"][:2]
        amount = float(exchange.amount_to_precision(BTC, first[1] + second[1] / 2))

        assert exchange.options["hf"] is True
        acknowledged = await exchange.create_order(BTC, "market", "buy", amount, params=named("two_levels"))
        order = await by_id(exchange, "two_levels")
        assert (order["id"], order["status"], order["filled"]) == (acknowledged["id"], "closed", amount)
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

        await exchange.create_order(BTC, "market", "buy", 1, params=named("by-cost", cost=1000))
        order = await by_id(exchange, "by-cost")
        assert 1000 - second[0] * 1e-5 * 2 < order["cost"] <= 1000

    as_owner("fees", still, scenario)


def test_maker_order_fills_in_parts_and_the_private_stream_tells() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        news: dict[str, list[Any]] = {"orders": [], "fills": []}

        async def follow(watch: Callable[[], Awaitable[Any]], into: list[Any]) -> None:
            while True:
                into.extend(await watch())

        followers = [
            asyncio.create_task(follow(exchange.watch_orders, news["orders"])),
            asyncio.create_task(follow(exchange.watch_my_trades, news["fills"])),
        ]
        private: Any = None
        while private is None or [each for each in private.subscriptions if each.isdigit()]:
            await asyncio.sleep(0.01)  # until it was acknowledged
            private = next((each for url, each in exchange.clients.items() if "=private" in url), None)

        price = await last_price(exchange)
        await exchange.create_order(BTC, "limit", "sell", 5, price * 1.0005, named("resting", postOnly=True))
        control = await venue.control()
        await control.go()
        fills = 0
        for _ in range(40):
            fills = (await control.steps(1))["fills"]
            if fills >= 2:
                break
        assert fills >= 2
        found = await by_id(exchange, "resting")
        assert (found["status"], found["info"]["active"], found["postOnly"]) == ("open", True, True)
        await exchange.cancel_order(None, BTC, {"clientOid": "resting"})
        async with asyncio.timeout(10):
            while not news["orders"] or news["orders"][-1]["status"] != "canceled":
                await asyncio.sleep(0.01)
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        assert {report["clientOrderId"] for report in news["orders"]} == {"resting"}
        assert news["orders"][-1]["filled"] == found["filled"] > 0
        assert [fill["takerOrMaker"] for fill in news["fills"]] == ["maker"] * len(news["fills"])
        assert sum(fill["amount"] for fill in news["fills"]) == pytest.approx(found["filled"])
        truth = [line for line in venue.truth("trade") if line["client_order_id"] == "resting"]
        assert [str(line["trade_id"]) for line in truth] == [fill["id"] for fill in news["fills"]]
        ended = await by_id(exchange, "resting")
        assert (ended["info"]["active"], ended["info"]["cancelExist"]) == (False, True)
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0

    with_client(scenario, feed={"kind": "synthetic", "candles": 40, "history": 60})


def test_a_client_order_id_may_be_used_twice_and_finds_the_newest(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
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

    as_owner("ids", still, scenario)


@pytest.mark.long
def test_where_ids_are_taken_a_second_order_of_one_is_refused() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, named("once"))
        await exchange.create_order(*ask)
        with pytest.raises(ccxt.BadRequest, match="clientOidDuplicated"):
            await exchange.create_order(*ask)
        assert len(await exchange.fetch_open_orders(BTC)) == 1

    with_client(scenario, hostility={"client_ids": "open"})


def test_orders_end_by_their_own_terms(still: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        best = (await exchange.fetch_order_book(BTC, 100))["bids"][0]
        wanted = float(exchange.amount_to_precision(BTC, best[1] * 1.5))
        ended = {}
        for kind, price, params in (
            ("FOK", best[0], {"timeInForce": "FOK"}),
            ("PostOnly", best[0], {"postOnly": True}),
            ("none", best[0] * 1.01, {"timeInForce": "IOC"}),
            ("IOC", best[0], {"timeInForce": "IOC"}),
        ):
            await exchange.create_order(BTC, "limit", "sell", wanted, price, named(kind, **params))
            found = (await by_id(exchange, kind))["info"]
            ended[kind] = (found["active"], found["cancelExist"], float(found["dealSize"]))

        # KuCoin takes a maker order that would trade, and cancels it.
        assert ended == {
            "FOK": (False, True, 0),
            "PostOnly": (False, True, 0),
            "none": (False, True, 0),
            "IOC": (False, True, best[1]),
        }
        assert await exchange.fetch_open_orders(BTC) == []
        assert (await exchange.fetch_balance())["used"]["BTC"] == 0

    as_owner("terms", still, scenario)


def test_lists_come_in_pages(still: SandboxProcess) -> None:
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

    as_owner("pages", still, scenario)


def test_refusals_are_the_venues(still: SandboxProcess) -> None:
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

    as_owner("errors", still, scenario)


def test_an_order_beyond_its_deadline_is_refused(still: SandboxProcess) -> None:
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

    as_owner("deadline", still, scenario)


@pytest.mark.long
def test_rate_limits_are_enforced() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        async def too_many() -> None:
            for n in range(10):
                await exchange.create_order(BTC, "market", "buy", 0.001, params=named(f"n{n}"))

        with pytest.raises(ccxt.RateLimitExceeded, match="429000"):
            await too_many()
        accepted = {line["client_order_id"] for line in venue.truth("order")}
        assert {"n0", "n1", "n2"} <= accepted < {f"n{n}" for n in range(10)}

    with_client(scenario, order_limit=3)


def test_ccxt_is_the_installed_class() -> None:
    assert ccxt.pro.kucoin.__module__ == "ccxt.pro.kucoin"
