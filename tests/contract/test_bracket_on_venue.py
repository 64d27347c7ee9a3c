"""A bracket over the sandbox exchange: the venue holds the stop, over real sockets, in lock-step.

The caller here is the smallest there can be: it carries out each action with the unmodified ccxt client and
tells the bracket what the venue says of the order by its id. The truth is the exchange's own log.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from parley.execution.bracket import Action, Bracket, Cancel, PlaceStop, Rules, bracket
from parley.instruments import Instrument
from tests.kit.builders import T0
from tests.kit.sandbox import SandboxProcess, sandbox
from venues.binance_client import account_fees, binance_instrument

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

BTC = "BTC/USDT"
QTY = Decimal("0.05")
MOVING: dict[str, Any] = {"kind": "synthetic", "candles": 60, "history": 60}


class Carrier:
    """Carries out what a bracket wants at the sandbox, one action at a time."""

    def __init__(self, exchange: Any, held: Bracket, grid: Instrument) -> None:
        self.exchange, self.held, self.grid = exchange, held, grid
        self.actions: list[Action] = []
        self.trades: set[str] = set()

    async def turn(self) -> None:
        """Tell the bracket the news, then do what it wants until it wants nothing."""
        await self.news()
        bid = (await self.exchange.fetch_order_book(BTC))["bids"][0][0]
        while (action := self.held.step(bid, self.grid)) is not None:
            self.actions.append(action)
            await self.do(action)
            await self.news()

    async def do(self, action: Action) -> None:
        named = {"clientOrderId": f"b{action.n}"}
        try:
            if isinstance(action, Cancel):
                await self.exchange.cancel_order("", BTC, named)
                return
            params: dict[str, Any] = {"timeInForce": "IOC", **named}
            if isinstance(action, PlaceStop):
                params = {"stopLossPrice": float(action.trigger), "timeInForce": "GTC", **named}
            await self.exchange.create_order(
                BTC, "limit", action.side, float(action.qty), float(action.limit), params
            )
            self.held.accepted(action.n)
        except ccxt.OrderImmediatelyFillable:
            self.held.refused(action.n, reached=True)
        except ccxt.OrderNotFound:
            self.held.cancel_failed(action.n)

    async def news(self) -> None:
        if (order := self.held.order) is None:
            return
        found = await self.exchange.fetch_order("", BTC, {"origClientOrderId": f"b{order.n}"})
        query = {"symbol": "BTCUSDT", "orderId": found["id"], "limit": 1000}
        for trade in await self.exchange.privateGetMyTrades(query):
            if trade["id"] not in self.trades:
                self.trades.add(trade["id"])
                self.held.filled(order.n, Decimal(trade["qty"]))
        if found["status"] != "open":
            self.held.ended(order.n, Decimal(found["info"]["executedQty"]))


async def played(
    rules: dict[str, float | bool], begin: int = 1
) -> tuple[Carrier, list[dict[str, Any]], dict[str, Decimal]]:
    """Buy after ``begin`` steps, guard that while the market plays, and give what everybody says of it."""
    async with sandbox(feed=MOVING) as venue, venue.client() as exchange:
        await exchange.load_markets()
        fees = account_fees(await exchange.fetch_balance())
        grid = binance_instrument(exchange.markets[BTC], "sandbox", fees)
        control = await venue.control()
        await control.go()
        await control.steps(begin)
        bought = await exchange.create_order(BTC, "market", "buy", float(QTY))
        price = float(bought["average"])
        levels = {name: price * (1 + bps / 1e4) for name, bps in rules.items() if name in ("stop", "take")}
        held = bracket(Rules(**{**rules, **levels}), 1, QTY, T0)  # type: ignore[arg-type]
        carrier = Carrier(exchange, held, grid)
        await carrier.turn()
        for _ in range(MOVING["candles"] - begin):
            if held.left == 0:
                break
            await control.steps(1)
            await carrier.turn()
        own = [line for line in venue.truth("order") if str(line["client_order_id"]).startswith("b")]
        return carrier, own, by_the_log(venue)


def by_the_log(venue: SandboxProcess) -> dict[str, Decimal]:
    """The most orders of the bracket that were alive at once, and what they sold, by the exchange's log."""
    alive: dict[str, bool] = {}
    sold: dict[str, Decimal] = {}
    most = 0
    for line in venue.truth("order"):
        name = str(line["client_order_id"])
        if name.startswith("b"):
            alive[name] = line["status"] in ("NEW", "PARTIALLY_FILLED")
            sold[name] = Decimal(line["cum_qty"])
            most = max(most, sum(alive.values()))
    return {"alive": Decimal(most), "sold": sum(sold.values(), Decimal(0))}


def kinds(carrier: Carrier) -> list[str]:
    return [type(action).__name__ for action in carrier.actions]


def test_the_venue_leaves_at_the_stop_without_a_word_from_here() -> None:
    carrier, own, truth = asyncio.run(played({"stop": -20.0}, begin=28))

    assert kinds(carrier) == ["PlaceStop"]
    assert {line["type"] for line in own} == {"STOP_LOSS_LIMIT"}
    assert own[-1]["status"] == "FILLED"
    assert truth == {"alive": Decimal(1), "sold": QTY}


def test_a_take_is_left_after_the_stop_is_gone_and_both_never_live_together() -> None:
    carrier, own, truth = asyncio.run(played({"stop": -400.0, "take": 5.0}))

    assert kinds(carrier)[:3] == ["PlaceStop", "Cancel", "Leave"]
    assert carrier.held.left == 0
    assert own[-1]["type"] == "LIMIT"
    assert truth == {"alive": Decimal(1), "sold": QTY}


def test_a_trailing_stop_is_moved_at_the_venue_in_one_direction() -> None:
    carrier, own, truth = asyncio.run(played({"trail_bps": 20.0, "step_bps": 1.0}))
    triggers = [action.trigger for action in carrier.actions if isinstance(action, PlaceStop)]

    assert len(triggers) > 1
    assert triggers == sorted(triggers)
    assert carrier.held.left == 0
    assert {line["type"] for line in own} >= {"STOP_LOSS_LIMIT"}
    assert truth == {"alive": Decimal(1), "sold": QTY}


def test_a_stop_that_no_venue_holds_is_watched_and_left_from_here() -> None:
    carrier, own, truth = asyncio.run(played({"stop": -20.0, "on_venue": False}, begin=28))

    assert set(kinds(carrier)) == {"Leave"}
    assert {line["type"] for line in own} == {"LIMIT"}
    assert carrier.held.held_by == "parley"
    assert truth == {"alive": Decimal(1), "sold": QTY}
