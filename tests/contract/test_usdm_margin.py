"""Leverage meets the recorded crash of 19 May 2021: liquidation and funding, every wallet figure worked out
again.

The test plays real prices through the unmodified ccxt.pro.binanceusdm; `tests.kit.usdm_books` computes what
has to come out of them.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.sandbox import ACCOUNT
from tests.kit.usdm import usdm_venue
from tests.kit.usdm_books import Books, cut, maintenance

BTC = "BTC/USDT:USDT"
FEES: dict[str, Any] = {"maker_fee": "0.0002", "taker_fee": "0.0005"}
PURSE = Decimal(10_000)
POOR = ACCOUNT | {"balances": {"USDT": str(PURSE)}}


def crash(data: Path, begin: str, end: str) -> dict[str, Any]:
    return {
        "kind": "candles", "folder": str(data / "candles"), "pairs": ["BTC/USDT"], "timeframe": "1m",
        "start": f"2021-05-19 {begin}", "end": f"2021-05-19 {end}", "history": 30, "trades_per_candle": 24,
    }  # fmt: skip


async def wallet(exchange: Any) -> Decimal:
    [row] = await exchange.fapiPrivateV3GetBalance()
    return Decimal(row["balance"])


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_a_leveraged_long_is_liquidated_in_the_crash(market_data: Path, mode: str) -> None:
    async def run() -> None:
        feed = crash(market_data, "12:40:00", "13:20:00")
        async with usdm_venue(feed, accounts=[POOR], **FEES) as (venue, exchange):
            books = Books(PURSE, Decimal("0.0005"))
            await exchange.load_markets()
            await exchange.set_leverage(10, BTC)
            if mode == "isolated":
                await exchange.set_margin_mode(mode, BTC)
            bought = await exchange.create_order(BTC, "market", "buy", 2, params={"clientOrderId": "long"})
            resting = await exchange.create_order(BTC, "limit", "sell", 1, bought["average"] * 1.05)
            stop = await exchange.create_order(
                BTC, "market", "sell", 2, None, {"stopPrice": 20_000, "reduceOnly": True}
            )
            [position] = await exchange.fetch_positions()
            expected = position["liquidationPrice"]
            control = await venue.control()
            await control.go()
            while not venue.truth("liquidation"):
                assert not (await control.steps(1)).get("end")
            [line] = venue.truth("liquidation")

            # The price that was announced is the one at which it happened, one print at most too late.
            prints = [Decimal(trade["info"]["p"]) for trade in await exchange.fetch_trades(BTC, limit=1000)]
            mark = Decimal(line["mark"])
            assert mark < Decimal(str(expected))
            assert mark in prints
            assert await exchange.fetch_positions() == []
            assert await exchange.fetch_open_orders(BTC) == []
            assert await exchange.fetch_open_orders(BTC, params={"trigger": True}) == []
            assert (await exchange.fetch_order(resting["id"], BTC))["status"] == "expired"
            assert (await exchange.fetch_order(stop["id"], BTC, {"trigger": True}))["status"] == "expired"

            trades = [trade["info"] for trade in await exchange.fetch_my_trades(BTC)]
            forced = [trade for trade in trades if str(trade["orderId"]) == str(line["order_id"])]
            for trade in trades:
                if trade not in forced:
                    books.trade(trade)
            # Just before: margin of that moment below what the brackets ask for, and above nothing.
            qty = books.qty
            margin = cut(books.entry * qty / 10) if mode == "isolated" else books.wallet
            balance = margin + books.unrealised(mark)
            assert Decimal(line["maintenance_margin"]) == cut(maintenance(mark * qty))
            assert Decimal(line["margin_balance"]) == pytest.approx(balance, abs=Decimal("1e-6"))
            assert balance < maintenance(mark * qty)
            bankrupt = mark - balance / qty
            assert Decimal(line["bankruptcy_price"]) == pytest.approx(bankrupt, abs=Decimal("1e-6"))
            assert sum(Decimal(trade["qty"]) for trade in forced) == qty
            assert all(Decimal(trade["price"]) >= bankrupt - Decimal("1e-6") for trade in forced)
            assert all(Decimal(trade["commission"]) == 0 for trade in forced)
            before = books.wallet
            for trade in forced:
                books.trade(trade, is_charged=False)
            left = books.wallet - (before - margin)
            value = sum(Decimal(trade["quoteQty"]) for trade in forced)
            fee = min(max(left, Decimal(0)), cut(value * Decimal("0.0125")))
            assert Decimal(line["fee"]) == pytest.approx(fee, abs=Decimal("1e-6"))
            books.wallet -= fee
            assert books.qty == 0
            assert await wallet(exchange) == pytest.approx(books.wallet, abs=Decimal("1e-6"))
            assert await wallet(exchange) >= 0

            incomes = await exchange.fapiPrivateGetIncome()
            assert PURSE + sum(Decimal(row["income"]) for row in incomes) == await wallet(exchange)
            ended = await exchange.fapiPrivateGetForceOrders()
            assert [order["clientOrderId"][:10] for order in ended] == ["autoclose-"]
            balances = venue.truth("balances")[-1]["balances"]["USDT"]["free"]
            assert Decimal(balances) == await wallet(exchange)

    asyncio.run(run())


def test_funding_is_charged_to_longs_at_the_mark(market_data: Path) -> None:
    async def run() -> None:
        feed = crash(market_data, "15:50:00", "16:10:00")
        rates = {"perpetuals": {"funding_rates": {"BTCUSDT": "0.00075"}}}
        async with usdm_venue(feed, accounts=[POOR], **FEES, **rates) as (venue, exchange):
            books = Books(PURSE, Decimal("0.0005"))
            await exchange.load_markets()
            await exchange.create_order(BTC, "market", "buy", 0.25)
            announced = await exchange.fetch_funding_rate(BTC)
            assert (announced["fundingRate"], announced["fundingTimestamp"] % 28_800_000) == (0.00075, 0)
            control = await venue.control()
            await control.go()
            while (played := await control.steps(1))["t"] < announced["fundingTimestamp"]:
                pass
            assert played["t"] == announced["fundingTimestamp"]
            mark = (await exchange.fapiPublicGetPremiumIndex({"symbol": "BTCUSDT"}))["markPrice"]
            await control.to_end()
            await exchange.create_order(BTC, "market", "sell", 0.25, params={"reduceOnly": True})

            [settled] = await exchange.fetch_funding_rate_history(BTC)
            assert (settled["timestamp"], settled["info"]["markPrice"]) == (played["t"], mark)
            first, *rest = [trade["info"] for trade in await exchange.fetch_my_trades(BTC)]
            books.trade(first)
            paid = books.fund("0.00075", mark)
            for trade in rest:
                books.trade(trade)
            assert paid < 0
            [history] = await exchange.fetch_funding_history(BTC)
            assert Decimal(history["info"]["income"]) == paid
            [line] = venue.truth("funding")
            assert (Decimal(line["amount"]), line["qty"], line["mark"]) == (paid, "0.25000000", mark)
            assert await wallet(exchange) == pytest.approx(books.wallet, abs=Decimal("1e-7"))

    asyncio.run(run())


def test_the_rate_comes_from_the_premium_and_pays_shorts() -> None:
    async def run() -> None:
        feed = {"kind": "synthetic", "candles": 12, "history": 60, "assets": ["BTC"], "timeframe": "1h"}
        async with usdm_venue(feed, **FEES) as (venue, exchange):
            await exchange.load_markets()
            await exchange.create_order(BTC, "market", "sell", 0.5)
            before = await wallet(exchange)
            control = await venue.control()
            await control.go()
            await control.to_end()
            [settled] = await exchange.fapiPublicGetFundingRate({"symbol": "BTCUSDT"})
            # A premium of less than five hundredths of a per cent leaves the interest alone.
            assert settled["fundingRate"] == "0.00010000"
            got = Decimal("0.5") * Decimal(settled["markPrice"]) * Decimal("0.0001")
            assert await wallet(exchange) == before + cut(got)

    asyncio.run(run())


def test_a_stopped_exchange_leaves_a_log_that_sums_up(market_data: Path) -> None:
    """Only the truth log's double entries, summed by their purses, as a judge apart would do."""

    async def run() -> list[dict[str, Any]]:
        feed = crash(market_data, "12:40:00", "13:20:00")
        other = POOR | {"name": "other", "api_key": "k2"}
        async with usdm_venue(feed, accounts=[POOR, other], **FEES) as (venue, exchange):
            await exchange.load_markets()
            await exchange.set_leverage(10, BTC)
            await exchange.create_order(BTC, "market", "buy", 2)
            control = await venue.control()
            await control.go()
            await control.to_end()
            assert await venue.stop() == 0
            return venue.truth()

    log = asyncio.run(run())
    purses: dict[str, Decimal] = {}
    for line in log:
        if line["event"] == "entry":
            purses[line["from"]] = purses.get(line["from"], Decimal(0)) - Decimal(line["amount"])
            purses[line["to"]] = purses.get(line["to"], Decimal(0)) + Decimal(line["amount"])
    assert sum(purses.values()) == 0
    end = log[-1]["accounts"]
    for name in ("first", "other"):
        own = sum(amount for purse, amount in purses.items() if purse.split(":")[1:2] == [name])
        assert own == Decimal(end[name]["USDT"]["free"])
    assert purses["clearing"] == 0  # nobody holds a position any more
    assert [line["n"] for line in log] == list(range(len(log)))
