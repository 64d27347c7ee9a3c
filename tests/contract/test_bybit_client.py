"""The unmodified ccxt.pro.bybit, pointed at a sandbox that speaks Bybit v5 spot: what it alone sees.

Not here: what holds for every class (`test_client_on_venues`), raw streams (`test_bybit_streams`), broken
requests (`test_bybit_requests`), our adapter (`test_adapter_on_venues`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.kit.bybit import bybit_client
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
from tests.kit.sandbox import SandboxProcess


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    """An exchange whose market stands still, for several tests."""
    with still("bybit", "ids", "pages", "errors") as venue:
        yield venue


async def order_of(exchange: Any, number: str) -> Any:
    return await exchange.fetch_order(number, BTC, {"acknowledged": True})


def test_maker_order_fills_in_parts_and_the_private_stream_tells() -> None:
    async def scenario(venue: SandboxProcess, exchange: Any) -> None:
        watched = {
            "orders": exchange.watch_orders, "fills": exchange.watch_my_trades,
            "balances": exchange.watch_balance,
        }  # fmt: skip
        async with followed(**watched) as news:
            wanted = {"orders", "myTrades", "balances:unified"}
            while not any(wanted <= set(client.subscriptions) for client in exchange.clients.values()):
                await asyncio.sleep(0)
            await answered(exchange)

            price = await last_price(exchange)
            order = await exchange.create_order(
                BTC, "limit", "sell", 5, price * 1.0005, named("resting", postOnly=True)
            )
            await filled_in_parts(venue)
            found = await order_of(exchange, order["id"])
            assert (found["status"], found["info"]["orderStatus"]) == ("open", "PartiallyFilled")
            assert (found["average"], found["clientOrderId"]) == (found["price"], "resting")
            await answered(exchange)
        assert_told(venue, news, found)
        assert news["balances"][-1]["BTC"]["used"] == pytest.approx(found["remaining"])

        await exchange.cancel_order(order["id"], BTC)
        ended = await order_of(exchange, order["id"])
        assert ended["info"]["orderStatus"] == "PartiallyFilledCanceled"
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0

    with_client("bybit", scenario, feed={"kind": "synthetic", "candles": 40, "history": 60})


async def answered(exchange: Any) -> None:
    """Ping the private socket: what was sent there before has been read when the answer is."""
    private = [client for url, client in exchange.clients.items() if url.endswith("/v5/private")]
    before = private[0].lastPong
    await private[0].send({"op": "ping"})
    while private[0].lastPong == before:
        await asyncio.sleep(0)


def test_client_order_ids_are_used_up_and_found_whatever_became_of_the_order(shared: SandboxProcess) -> None:
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

    as_owner("bybit", "ids", shared, scenario)


def test_lists_come_in_pages_and_all_open_orders_are_cancelled(shared: SandboxProcess) -> None:
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

    as_owner("bybit", "pages", shared, scenario)


def test_errors_become_the_right_exceptions(shared: SandboxProcess) -> None:
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
        async with bybit_client(venue, "errors", "wrong") as forger:
            with pytest.raises(ccxt.AuthenticationError):
                await forger.privateGetV5AccountInfo()
        exchange.options["timeDifference"] = 3_600_000  # an hour behind
        with pytest.raises(ccxt.InvalidNonce):
            await exchange.fetch_balance()
        rejected = [line for line in truth_of(venue, "errors", "order") if line["status"] == "REJECTED"]
        assert {170131, 170140, 170137} <= {line["code"] for line in rejected}
        assert all(line["order_id"] is None for line in rejected)

    as_owner("bybit", "errors", shared, scenario)
