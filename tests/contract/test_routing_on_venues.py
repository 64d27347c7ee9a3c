"""An order shared out over two sandbox exchanges costs what the route said, fee and all.

Two processes, real sockets, unmodified ccxt clients; their books and fees differ. What was paid is read from
the exchanges' own logs.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from parley.execution.routing import Market, Route, route
from parley.messages import Book
from tests.kit.sandbox import SandboxProcess, sandbox
from venues.binance_client import account_fees, binance_instrument

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

BTC = "BTC/USDT"
D = Decimal


async def told(exchange: Any, name: str) -> Market:
    await exchange.load_markets()
    fees = account_fees(await exchange.fetch_balance())
    raw = await exchange.fetch_order_book(BTC, 20)
    book = Book(
        symbol=BTC, t=0, seq=1, bids=tuple(map(tuple, raw["bids"])), asks=tuple(map(tuple, raw["asks"]))
    )
    return Market(binance_instrument(exchange.markets[BTC], name, fees), book)


async def send(exchange: Any, qty: Decimal, px: Decimal) -> None:
    params = {"timeInForce": "FOK", "clientOrderId": "routed"}
    await exchange.create_order(BTC, "limit", "buy", float(qty), float(px), params)


def paid(venue: SandboxProcess, fee: Decimal) -> tuple[Decimal, Decimal]:
    """Base bought and quote paid, with the fee in the quote's worth, by the exchange's log."""
    last = [line for line in venue.truth("order") if line["client_order_id"] == "routed"][-1]
    return D(last["cum_qty"]), D(last["cum_quote"]) * (1 + fee)


async def routed(qty: Decimal) -> tuple[Route, dict[str, Market], dict[str, tuple[Decimal, Decimal]]]:
    async with (
        sandbox(maker_fee="0.001", taker_fee="0.001") as dear,
        sandbox(maker_fee="0.0002", taker_fee="0.0002") as fair,
        dear.client() as at_dear,
        fair.client() as at_fair,
    ):
        venues = {"dear": (dear, at_dear), "fair": (fair, at_fair)}
        markets = {name: await told(exchange, name) for name, (_, exchange) in venues.items()}
        found = route(markets, "buy", qty)
        for part in found.parts:
            await send(venues[part.venue][1], part.qty, part.px)
        logged = {
            p.venue: paid(venues[p.venue][0], markets[p.venue].instrument.taker_fee) for p in found.parts
        }
        return found, markets, logged


def test_two_exchanges_together_charge_what_the_route_said() -> None:
    qty = D("15")

    found, markets, logged = asyncio.run(routed(qty))

    assert {market.instrument.taker_fee for market in markets.values()} == {D("0.001"), D("0.0002")}
    assert found.unplaced == 0
    assert {name: sold for name, (sold, _) in logged.items()} == {p.venue: p.qty for p in found.parts}
    assert sum((cost for _, cost in logged.values()), D(0)) == found.cost
    # the fairer fee reaches further into an equal book, and both are needed
    by_venue = {part.venue: part for part in found.parts}
    assert by_venue["fair"].px > by_venue["dear"].px
    # alone, the better of the two would have cost more
    alone = [route({name: market}, "buy", qty) for name, market in markets.items()]
    assert all(one.unplaced > 0 or one.cost > found.cost for one in alone)
