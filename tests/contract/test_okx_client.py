"""The unmodified ccxt.pro.okx, pointed at a sandbox that speaks OKX v5 spot: what it alone sees.

Not here: what holds for every class (`test_client_on_venues`), raw streams (`test_okx_streams`), broken
requests (`test_okx_requests`), our adapter (`test_adapter_on_venues`).
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
from tests.kit.okx import okx_client
from tests.kit.sandbox import SandboxProcess


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    """An exchange whose market stands still, for several tests."""
    with still("okx", "ids", "pages", "errors", "deadline") as venue:
        yield venue


def test_maker_order_fills_in_parts_and_the_private_stream_tells() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        watched = {
            "orders": exchange.watch_orders, "fills": exchange.watch_my_trades,
            "balances": exchange.watch_balance,
        }  # fmt: skip
        async with followed(**watched) as news:
            while not news["balances"]:  # they are told to whoever begins to listen
                await asyncio.sleep(0)
            await answered(exchange)

            price = await last_price(exchange)
            order = await exchange.create_order(
                BTC, "limit", "sell", 5, price * 1.0005, named("resting", postOnly=True)
            )
            await filled_in_parts(venue)
            found = await exchange.fetch_order(order["id"], BTC)
            assert (found["status"], found["info"]["state"]) == ("open", "partially_filled")
            assert (found["average"], found["info"]["ordType"]) == (found["price"], "post_only")
            assert found["clientOrderId"] == "resting"
            await answered(exchange)
        assert_told(venue, news, found)
        assert news["balances"][-1]["BTC"]["used"] == pytest.approx(found["remaining"])

        await exchange.cancel_order(order["id"], BTC)
        ended = await exchange.fetch_order(order["id"], BTC)
        assert (ended["info"]["state"], ended["info"]["cancelSource"]) == ("canceled", "1")
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0

    with_client("okx", scenario, feed={"kind": "synthetic", "candles": 40, "history": 60})


async def answered(exchange: Any) -> None:
    """Ping the private socket: what was sent there before has been read when the answer is."""
    private = next(client for url, client in exchange.clients.items() if url.endswith("/private"))
    before = private.lastPong
    await private.send("ping")
    while private.lastPong == before:
        await asyncio.sleep(0)


def test_a_client_order_id_is_free_again_when_its_order_ended_and_finds_the_newest(
    shared: SandboxProcess,
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

    as_owner("okx", "ids", shared, scenario)


def test_lists_come_in_pages_and_a_batch_cancels_them(shared: SandboxProcess) -> None:
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

    as_owner("okx", "pages", shared, scenario)


def test_errors_become_the_right_exceptions(shared: SandboxProcess) -> None:
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

    as_owner("okx", "errors", shared, scenario)


def test_an_order_that_comes_after_its_deadline_is_refused(shared: SandboxProcess) -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        exchange.headers["expTime"] = str(exchange.milliseconds() - 1)
        with pytest.raises(ccxt.InvalidNonce, match="50102"):
            await exchange.create_order(BTC, "market", "buy", 0.01, params=named("late"))
        exchange.headers["expTime"] = str(exchange.milliseconds() + 5000)
        await exchange.create_order(BTC, "market", "buy", 0.01, params=named("intime"))
        assert {line["client_order_id"] for line in truth_of(venue, "deadline", "order")} == {"intime"}

    as_owner("okx", "deadline", shared, scenario)
