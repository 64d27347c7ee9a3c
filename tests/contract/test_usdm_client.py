"""The unmodified ccxt.pro.binanceusdm, pointed at the sandbox: settings, orders, positions, streams.

Liquidation and funding are in `test_usdm_margin`, broken and hostile requests in `test_usdm_requests`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.kit.sandbox import SandboxProcess
from tests.kit.usdm import MARKET, usdm_venue
from tests.kit.usdm_books import Books

BTC = "BTC/USDT:USDT"
Scenario = Callable[[SandboxProcess, Any], Awaitable[None]]


def with_client(scenario: Scenario, **config: Any) -> None:
    async def run() -> None:
        async with usdm_venue(maker_fee="0.0002", taker_fee="0.0005", **config) as (venue, exchange):
            await exchange.load_markets()
            await scenario(venue, exchange)

    asyncio.run(run())


async def last_price(exchange: Any) -> float:
    price: float = (await exchange.fetch_ticker(BTC))["last"]
    return price


def named(client_order_id: str, **more: Any) -> dict[str, Any]:
    return {"clientOrderId": client_order_id, **more}


async def raw_balance(exchange: Any) -> dict[str, str]:
    [row] = await exchange.fapiPrivateV3GetBalance()
    return row  # type: ignore[no-any-return]


async def raw_position(exchange: Any) -> dict[str, str]:
    found = await exchange.fapiPrivateV2GetPositionRisk({"symbol": "BTCUSDT"})
    return found[0]  # type: ignore[no-any-return]


def test_markets_tiers_and_settings() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        market = exchange.market(BTC)
        assert set(exchange.markets) == {BTC, "ETH/USDT:USDT"}
        assert (market["swap"], market["linear"], market["settle"]) == (True, True, "USDT")
        assert market["limits"]["cost"]["min"] == 5
        tiers = (await exchange.fetch_leverage_tiers([BTC]))[BTC]
        assert [tier["maxLeverage"] for tier in tiers[:3]] == [125, 100, 75]
        assert (tiers[1]["minNotional"], tiers[1]["maintenanceMarginRate"]) == (50_000, 0.005)

        assert (await exchange.fetch_leverage(BTC))["longLeverage"] == 20
        told = await exchange.set_leverage(75, BTC)
        assert (told["leverage"], told["maxNotionalValue"]) == (75, "3000000")
        await exchange.set_margin_mode("isolated", BTC)
        with pytest.raises(ccxt.MarginModeAlreadySet):
            await exchange.set_margin_mode("isolated", BTC)
        leverage = await exchange.fetch_leverage(BTC)
        assert (leverage["marginMode"], leverage["longLeverage"]) == ("isolated", 75)
        assert (await exchange.fetch_position_mode())["hedged"] is False
        with pytest.raises(ccxt.ExchangeError, match="-4059"):
            await exchange.set_position_mode(False)
        with pytest.raises(ccxt.ExchangeError, match="-4028"):
            await exchange.fapiPrivatePostLeverage({"symbol": "BTCUSDT", "leverage": 126})

        rate = await exchange.fetch_funding_rate(BTC)
        assert rate["markPrice"] == rate["indexPrice"] == await last_price(exchange)
        assert rate["fundingRate"] == 0.0001
        assert rate["fundingTimestamp"] == 1_704_067_200_000 + 8 * 3_600_000
        assert set(await exchange.fetch_funding_rates()) == set(exchange.markets)
        intervals = await exchange.fetch_funding_intervals()
        assert intervals[BTC]["interval"] == "8h"
        marks = await exchange.fetch_ohlcv(BTC, "1m", limit=5, params={"price": "mark"})
        traded = await exchange.fetch_ohlcv(BTC, "1m", limit=5)
        assert [candle[:5] for candle in marks] == [candle[:5] for candle in traded]

    with_client(scenario)


def test_a_position_and_every_figure_of_it() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        books = Books(Decimal(10_000_000), Decimal("0.0005"))
        await exchange.set_leverage(10, BTC)
        for n, (side, amount) in enumerate(
            [("buy", 0.7), ("buy", 0.31), ("sell", 0.4), ("sell", 1.1), ("buy", 0.2)]
        ):
            order = await exchange.create_order(BTC, "market", side, amount, params=named(f"m{n}"))
            assert (order["status"], order["filled"], order["clientOrderId"]) == ("closed", amount, f"m{n}")
        trades = await exchange.fetch_my_trades(BTC)
        for trade in trades:
            books.trade(trade["info"])
        assert books.qty == Decimal("-0.29")

        position, balance = await raw_position(exchange), await raw_balance(exchange)
        mark = Decimal(position["markPrice"])
        notional = abs(books.qty * mark)
        assert Decimal(position["positionAmt"]) == books.qty
        assert Decimal(position["entryPrice"]) == pytest.approx(books.entry, abs=Decimal("1e-7"))
        assert Decimal(position["unRealizedProfit"]) == pytest.approx(
            books.unrealised(mark), abs=Decimal("1e-7")
        )
        assert Decimal(balance["balance"]) == pytest.approx(books.wallet, abs=Decimal("1e-7"))
        for trade, earned in zip(trades, books.realised, strict=True):
            assert Decimal(trade["info"]["realizedPnl"]) == pytest.approx(earned, abs=Decimal("1e-7"))
        available = books.wallet + books.unrealised(mark) - notional / 10
        assert Decimal(balance["availableBalance"]) == pytest.approx(available, abs=Decimal("1e-7"))
        [shown] = await exchange.fetch_positions()
        assert (shown["side"], shown["contracts"], shown["marginMode"]) == ("short", 0.29, "cross")
        assert shown["initialMargin"] == pytest.approx(float(notional / 10))
        total = (await exchange.fetch_balance())["USDT"]["total"]
        assert total == pytest.approx(float(books.wallet + books.unrealised(mark)))

        # The truth log tells the same, to the last digit.
        wallet = {"from": Decimal(0), "to": Decimal(0)}
        for line in venue.truth("entry"):
            for end in wallet:
                if line[end].startswith(("cross:first", "isolated:first")):
                    wallet[end] += Decimal(line["amount"])
        assert wallet["to"] - wallet["from"] == Decimal(balance["balance"])
        assert venue.truth("balances")[-1]["balances"]["USDT"]["free"] == balance["balance"]
        last = venue.truth("position")[-1]
        assert (last["symbol"], last["qty"]) == (BTC, position["positionAmt"])

    with_client(scenario)


def test_an_isolated_position_has_a_wallet_of_its_own() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        await exchange.set_leverage(20, BTC)
        await exchange.set_margin_mode("isolated", BTC)
        bought = await exchange.create_order(BTC, "market", "buy", 0.5)
        margin = Decimal(str(bought["cost"])) / 20
        position = await raw_position(exchange)
        assert Decimal(position["isolatedWallet"]) == margin
        balance = await raw_balance(exchange)
        assert Decimal(balance["balance"]) - Decimal(balance["crossWalletBalance"]) == margin
        await exchange.add_margin(BTC, 100)
        assert Decimal((await raw_position(exchange))["isolatedWallet"]) == margin + 100
        with pytest.raises(ccxt.ExchangeError, match="-4161"):
            await exchange.set_leverage(10, BTC)
        with pytest.raises(ccxt.ExchangeError, match="-4048"):
            await exchange.set_margin_mode("cross", BTC)
        await exchange.create_order(BTC, "market", "sell", 0.2, params={"reduceOnly": True})
        left = Decimal((await raw_position(exchange))["isolatedWallet"])
        assert left == (margin + 100) * 3 / 5
        await exchange.create_order(BTC, "market", "sell", 0.3, params={"reduceOnly": True})
        balance = await raw_balance(exchange)
        assert balance["balance"] == balance["crossWalletBalance"]
        assert await exchange.fetch_positions() == []

    with_client(scenario)


def test_orders_are_found_by_client_id_and_refused_by_their_terms() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        ask = (BTC, "limit", "buy", 0.01, price * 0.9, named("again"))
        first = await exchange.create_order(*ask)
        assert (first["status"], first["type"]) == ("open", "limit")
        with pytest.raises(ccxt.ExchangeError, match="-4116"):
            await exchange.create_order(*ask)
        assert [order["id"] for order in await exchange.fetch_open_orders(BTC)] == [first["id"]]
        canceled = await exchange.cancel_order(None, BTC, {"origClientOrderId": "again"})
        assert (canceled["id"], canceled["status"]) == (first["id"], "canceled")
        second = await exchange.create_order(*ask)
        assert (await exchange.fetch_order(None, BTC, {"origClientOrderId": "again"}))["id"] == second["id"]
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.cancel_order(first["id"], BTC)
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.fetch_order("4711", BTC)
        maker = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.95, {"postOnly": True})
        assert (maker["status"], maker["postOnly"]) == ("open", True)
        await exchange.cancel_all_orders(BTC)
        everything = await exchange.fetch_orders(BTC)
        assert [order["status"] for order in everything] == ["canceled"] * 3

        best = (await exchange.fetch_order_book(BTC))["bids"][0]
        wanted = float(exchange.amount_to_precision(BTC, best[1] * 1.5))
        part = await exchange.create_order(BTC, "limit", "sell", wanted, best[0], {"timeInForce": "IOC"})
        assert (part["status"], part["filled"]) == ("expired", best[1])
        # By code: which class ccxt raises goes by the real venue's host name.
        refused = [
            ("-5022", ("limit", "sell", 0.01, best[0] * 0.99), {"postOnly": True}),
            ("-5021", ("limit", "sell", 90, best[0] * 0.99), {"timeInForce": "FOK"}),
            ("-2019", ("limit", "buy", 1000, price * 0.9), {}),
            ("-2027", ("limit", "buy", 9000, price * 0.9), {}),
            ("-2022", ("market", "sell", 0.01), {"reduceOnly": True}),
            ("-4164", ("limit", "buy", 0.00005, price * 0.9), {}),
            ("-4014", ("limit", "buy", 0.01, price * 0.9), {"price": "50000.001"}),
            ("-1111", ("limit", "buy", 0.01, price * 0.9), {"quantity": "0.010001"}),
            ("-4061", ("market", "buy", 0.01), {"positionSide": "LONG"}),
        ]
        await exchange.set_leverage(5, BTC)
        for code, (kind, side, amount, *rest), params in refused:
            with pytest.raises(ccxt.ExchangeError, match=code):
                await exchange.create_order(BTC, kind, side, amount, rest[0] if rest else None, params)
        with pytest.raises(ccxt.ExchangeError, match="-4120"):
            await exchange.fapiPrivatePostOrder(
                {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "stopPrice": 1, "quantity": 1}
            )
        rejected = {line["code"] for line in venue.truth("order") if line["status"] == "REJECTED"}
        assert {-2019, -2022, -5022, -5021, -4164} <= rejected

    with_client(scenario)


def test_reducing_orders_never_open() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        reduce = {"reduceOnly": True}
        await exchange.create_order(BTC, "market", "buy", 1)
        cut = await exchange.create_order(BTC, "limit", "sell", 5, price * 1.2, reduce)
        assert (cut["amount"], cut["reduceOnly"]) == (1, True)
        with pytest.raises(ccxt.ExchangeError, match="-2022"):
            await exchange.create_order(BTC, "market", "buy", 1, params=reduce)
        await exchange.create_order(BTC, "market", "sell", 1)
        assert (await exchange.fetch_order(cut["id"], BTC))["status"] == "expired"
        assert await exchange.fetch_positions() == []

    with_client(scenario)


def test_stops_wait_as_algo_orders_and_close_the_position() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        price = await last_price(exchange)
        await exchange.create_order(BTC, "market", "buy", 0.3, params=named("entry"))
        stop = await exchange.create_order(
            BTC, "STOP_MARKET", "sell", 0, None,
            named("guard", stopPrice=price * 0.9995, closePosition=True, workingType="MARK_PRICE"),
        )  # fmt: skip
        goal = await exchange.create_order(
            BTC,
            "limit",
            "sell",
            0.1,
            price * 1.2,
            named("goal", takeProfitPrice=price * 1.19, reduceOnly=True),
        )
        with pytest.raises(ccxt.ExchangeError, match="-2021"):
            await exchange.create_order(BTC, "market", "sell", 0.1, None, {"stopPrice": price * 1.1})
        waiting = await exchange.fetch_open_orders(BTC, params={"trigger": True})
        assert [order["clientOrderId"] for order in waiting] == ["guard", "goal"]
        assert await exchange.fetch_open_orders(BTC) == []
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.fetch_order(stop["id"], BTC)
        control = await venue.control()
        await control.go()
        while (found := await exchange.fetch_order(stop["id"], BTC, {"trigger": True}))["status"] == "open":
            await control.steps(1)
        assert found["info"]["algoStatus"] == "FINISHED"
        done = await exchange.fetch_order(found["info"]["actualOrderId"], BTC)
        assert (done["status"], done["filled"], done["type"]) == ("closed", 0.3, "market")
        assert await exchange.fetch_positions() == []
        await exchange.cancel_order(None, BTC, {"trigger": True, "clientOrderId": "goal"})
        ended = await exchange.fetch_order(goal["id"], BTC, {"trigger": True})
        assert ended["status"] == "canceled"

    with_client(scenario)


async def followed(watch: Callable[[], Awaitable[Any]], into: list[Any]) -> None:
    while True:
        news = await watch()
        into.extend(news if isinstance(news, list) else [news])


async def until(is_true: Callable[[], bool]) -> None:
    """Let the client read what was sent; the test's own time limit ends a wait in vain."""
    while not is_true():
        await asyncio.sleep(0.001)


def test_streams_tell_what_queries_say() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        told: dict[str, list[Any]] = {name: [] for name in ("orders", "positions", "trades", "marks")}
        watches: dict[str, Callable[[], Awaitable[Any]]] = {
            "orders": exchange.watch_orders,
            "positions": exchange.watch_positions,
            "trades": exchange.watch_my_trades,
            "marks": lambda: exchange.watch_mark_price(BTC),
            "books": lambda: exchange.watch_order_book(BTC),
            "balances": exchange.watch_balance,
        }
        tasks = [
            asyncio.create_task(followed(watch, told.setdefault(name, []))) for name, watch in watches.items()
        ]
        control = await venue.control()
        await control.go()
        await until(
            lambda: (
                bool(told["books"])
                and any("/private/" in url and client.isConnected for url, client in exchange.clients.items())
            )
        )
        price = await last_price(exchange)
        await exchange.create_order(BTC, "market", "buy", 0.4, params=named("in"))
        await exchange.create_order(
            BTC, "market", "sell", 0.4, None, named("guard", stopPrice=price * 0.999, reduceOnly=True)
        )
        while venue.truth("position")[-1]["qty"] != "0.00000000":
            await control.steps(1)
        expected = len(venue.truth("trade"))
        await until(lambda: len(told["trades"]) >= expected and told["positions"][-1]["contracts"] == 0)
        announced = await control.steps(1)
        market = announced["marks"]["BTCUSDT"]
        rate = await exchange.fetch_funding_rate(BTC)
        await until(
            lambda: (
                exchange.orderbooks[BTC]["nonce"] >= market["book"]
                and told["marks"][-1]["markPrice"] == rate["markPrice"]
            )
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert {order["clientOrderId"] for order in told["orders"]} == {"in", "guard"}
        assert told["orders"][-1]["status"] == "closed"
        mine = await exchange.fetch_my_trades(BTC)
        assert [trade["id"] for trade in told["trades"]] == [trade["id"] for trade in mine]
        held = [position["contracts"] for position in told["positions"]]
        assert (held[0], held[-1]) == (0.4, 0)
        balance = await exchange.fetch_balance()
        assert told["balances"][-1]["USDT"]["total"] == balance["USDT"]["total"]
        book = await exchange.fetch_order_book(BTC)
        assert exchange.orderbooks[BTC]["bids"][:10] == book["bids"][:10]
        assert exchange.orderbooks[BTC]["asks"][:10] == book["asks"][:10]

    with_client(scenario, feed=MARKET | {"candles": 60})


def test_ccxt_is_the_installed_class() -> None:
    assert ccxt.pro.binanceusdm.__module__ == "ccxt.pro.binanceusdm"


def test_modes_of_the_account_stand_in_the_way_of_what_they_forbid() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        both, many = exchange.fapiPrivatePostPositionSideDual, exchange.fapiPrivatePostMultiAssetsMargin

        async def refused(code: str, asking: Any) -> None:
            with pytest.raises(ccxt.ExchangeError, match=code):
                await asking

        await refused("-4171", many({"multiAssetsMargin": "false"}))
        await refused("-1130", many({"multiAssetsMargin": "perhaps"}))
        price = await last_price(exchange)
        waiting = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.9)
        await refused("-4067", both({"dualSidePosition": "true"}))
        await refused("-4170", many({"multiAssetsMargin": "true"}))
        await exchange.cancel_order(waiting["id"], BTC)
        await exchange.set_margin_mode("isolated", BTC)
        await exchange.create_order(BTC, "market", "buy", 0.01)
        await refused("-4068", both({"dualSidePosition": "true"}))
        await refused("-4167", many({"multiAssetsMargin": "true"}))
        await exchange.create_order(BTC, "market", "sell", 0.01)
        await exchange.set_margin_mode("cross", BTC)

        await exchange.set_position_mode(True)
        await many({"multiAssetsMargin": "true"})
        await exchange.fapiPrivatePostFeeBurn({"feeBurn": "true"})
        assert (await exchange.fetch_position_mode())["hedged"] is True
        assert await exchange.fapiPrivateGetMultiAssetsMargin() == {"multiAssetsMargin": True}
        assert await exchange.fapiPrivateGetFeeBurn() == {"feeBurn": True}
        told = await exchange.fapiPrivateGetAccountConfig()
        assert (told["dualSidePosition"], told["multiAssetsMargin"]) == (True, True)
        assert (await exchange.fapiPrivateV2GetAccount())["multiAssetsMargin"] is True
        await refused("-4168", exchange.set_margin_mode("isolated", BTC))
        await refused("-4061", exchange.create_order(BTC, "market", "buy", 0.01))
        await exchange.set_position_mode(False)
        await exchange.create_order(BTC, "market", "buy", 0.01)

    with_client(scenario)
