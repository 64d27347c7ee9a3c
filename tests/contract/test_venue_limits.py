"""A gateway counts before it asks, keeps a part of a venue's limits for cancels, and is silent while banned.

Real sockets, real ccxt, the real exchange with its own limits and bans; what is asked is counted on the line.

Not here: counting alone (`test_budget`), what each venue says (`test_meter`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import ccxt
import pytest

from parley.messages import Ack, Heartbeat, Intent, Strain, VenueReject
from runtime import kill_file
from tests.kit.bybit import bybit_client
from tests.kit.counted_line import CountedLine, counted
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import LIMITS, FakeDesk, gateway_config, make_cancel, make_intent, short_folder, unit
from tests.kit.venues import last_price

pytestmark = pytest.mark.timeout(120)
ROOMY = LIMITS | {"max_orders_per_s": 1000}
BAN_MS = 11_000  # longer than the exchange counts orders for
UNDER_WAY_S = 0.3  # what was asked before the gateway can have heard of the ban


class Place(NamedTuple):
    venue: SandboxProcess
    line: CountedLine
    desk: FakeDesk
    folder: Path
    last: Decimal

    def order(self, n: int, **over: Any) -> Intent:
        """A buy that rests far below the market."""
        px = (self.last * Decimal("0.9")).quantize(Decimal("0.01"))
        fields = {"style": "limit", "tif": "GTC", "px": px, "ref_px": px, "qty": Decimal("0.01")}
        return make_intent(n, **fields | over)

    async def rest(self, first: int, count: int) -> list[Intent]:
        """Rest orders at the exchange."""
        known, made = len(self.desk.of(Ack)), [self.order(first + n) for n in range(count)]
        for each in made:
            self.desk.send(each)
        await self.desk.until(lambda: len(self.desk.of(Ack)) == known + count)
        return made


@contextlib.asynccontextmanager
async def place(exchange: str = "binance", **config: Any) -> AsyncIterator[Place]:
    """Run an exchange, a gateway that reaches it over a counted line, and a desk."""
    with short_folder() as folder:
        async with sandbox(protocol=exchange, **config) as venue, counted(venue.rest) as line:
            over = {"exchange": exchange, "rest": line.rest, "timeout_ms": 3000}
            async with unit("gateway", gateway_config(folder, venue, over, limits=ROOMY), folder) as gateway:
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(gateway.socket)
                yield Place(venue, line, desk, folder, await last_price(venue, "BTC/USDT", exchange))
                desk.link.close("the test is over")
                await market.hang_up()


async def ban(at: Place) -> float:
    """Let somebody else on the same address ask too much until it is banned; when that was."""
    async with at.venue.client() as other:
        await other.load_markets()
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
        }
        for n in range(200):
            try:
                await other.privatePostOrder(
                    {**order, "price": f"{at.last * Decimal('0.8'):.2f}", "newClientOrderId": f"other{n}"}
                )
            except ccxt.DDoSProtection as error:
                if " 418 " in str(error):
                    return time.monotonic()
    raise AssertionError("nobody was banned")


def codes(desk: FakeDesk) -> Counter[str]:
    return Counter(each.code for each in desk.of(VenueReject) if each.definitive)


def test_burst_beyond_the_limit_is_refused_by_us_and_every_resting_order_is_still_cancelled() -> None:
    async def run() -> None:
        async with place(order_limit=50) as at:
            held = {"style": "market", "tif": "IOC", "px": None, "ref_px": at.last}
            at.desk.send(at.order(0, **held))
            for n in range(1, 70):
                at.desk.send(at.order(n))
            await at.desk.until(lambda: len(at.desk.of(Ack)) + codes(at.desk).total() == 70)
            # four fifths of the announced limit; the exchange itself said no to nothing
            assert len(at.desk.of(Ack)) == 40
            assert codes(at.desk) == {"last_look:budget": 30}
            assert "ORDERS 10S" in at.desk.of(VenueReject)[0].detail
            assert [(each.source, each.level) for each in at.desk.of(Strain)] == [("venue", 3)]
            assert "ORDERS 10S" in at.desk.of(Strain)[0].why

            at.desk.send(at.order(70, **held, side="sell", reduce_only=True))
            await at.desk.until(lambda: len(at.desk.of(Ack)) == 41)
            at.desk.send(at.order(71, **held, side="sell"))
            await at.desk.until(lambda: codes(at.desk)["last_look:budget"] == 31)

            answered = {each.iid for each in at.desk.of(Ack)}
            resting = [order for n in range(1, 70) if (order := at.order(n)).iid in answered]
            for order in resting:
                at.desk.send(make_cancel(order))
            await at.desk.until(lambda: sum(each.cancel for each in at.desk.of(Ack)) == 39)
            gone = {e["client_order_id"] for e in at.venue.truth("order") if e["status"] == "CANCELED"}
            assert gone == {each.cid for each in resting}
            assert set(at.line.answered) == {200}

    asyncio.run(run())


def test_banned_gateway_is_silent_until_the_ban_is_over_and_then_goes_on() -> None:
    async def run() -> None:
        async with place(order_limit=50, hostility={"ban": {"after": 2, "ms": BAN_MS}}) as at:
            (resting,) = await at.rest(0, 1)
            banned_at = await ban(at)
            await asyncio.sleep(1.5)  # the gateway asks for the time each second: now it knows
            for n in range(1, 21):
                at.desk.send(at.order(n))
                await asyncio.sleep(0.1)
            await at.desk.until(lambda: codes(at.desk)["last_look:venue_rests"] == 20)
            at.desk.send(make_cancel(resting, send_by=time.monotonic_ns() + 30_000_000_000))
            assert [each.level for each in at.desk.of(Strain)] == [3], "the desk need not ask to know"
            assert at.desk.of(Heartbeat)[-1].offset_ms == -1, "who may not ask for the time knows none"

            await asyncio.sleep(max(0.0, banned_at + BAN_MS / 1000 - 0.5 - time.monotonic()))
            during = at.line.since(banned_at + UNDER_WAY_S)
            assert len(during) <= 2, during
            assert at.line.answered.count(418) <= 2

            # the cancel waited, and an order that comes after the ban is taken
            await at.desk.until(lambda: any(each.cancel for each in at.desk.of(Ack)))
            known = len(at.desk.of(Ack))
            at.desk.send(at.order(30))
            await at.desk.until(lambda: len(at.desk.of(Ack)) == known + 1)
            assert at.line.answered.count(418) + at.line.answered.count(429) <= 2, "nobody came too early"
            await at.desk.until(lambda: at.desk.of(Heartbeat)[-1].offset_ms >= 0)
            assert [each.level for each in at.desk.of(Strain)] == [3, 0]

    asyncio.run(run())


@pytest.mark.long
def test_kill_during_a_ban_is_carried_out_when_it_is_over() -> None:
    async def run() -> None:
        async with place(order_limit=50, hostility={"ban": {"after": 2, "ms": 2 * BAN_MS}}) as at:
            orders = await at.rest(0, 5)
            banned_at = await ban(at)
            await asyncio.sleep(1.5)
            kill_file.write(
                at.folder / "HALT", "kill", ("platform",), mode="cancel", reason="test", by="test"
            )
            await asyncio.sleep(max(0.0, banned_at + 2 * BAN_MS / 1000 - 0.5 - time.monotonic()))
            during = at.line.since(banned_at + UNDER_WAY_S)
            assert len(during) <= 2, during
            assert codes(at.desk) == {}, "a cancel that is not sent needs no answer"

            await at.desk.until(lambda: sum(each.cancel for each in at.desk.of(Ack)) == 5)
            gone = {e["client_order_id"] for e in at.venue.truth("order") if e["status"] == "CANCELED"}
            assert gone >= {each.cid for each in orders}

    asyncio.run(run())


def test_gateway_that_bybit_turned_away_stays_away() -> None:
    """Bybit names no time; its documentation asks for ten minutes, of which a few seconds are looked at."""

    async def run() -> None:
        async with place("bybit", weight_limit=400, hostility={"ban": {"after": 2, "ms": 60_000}}) as at:
            async with bybit_client(at.venue) as other:
                with contextlib.suppress(ccxt.AuthenticationError):  # 10009: banned
                    for _ in range(1000):
                        with contextlib.suppress(ccxt.RateLimitExceeded):  # 10018: too much
                            await other.fetch_time()
            banned_at = time.monotonic()
            await asyncio.sleep(1.5)
            for n in range(10):
                at.desk.send(at.order(n))
                await asyncio.sleep(0.3)
            await at.desk.until(lambda: codes(at.desk)["last_look:venue_rests"] == 10)
            during = at.line.since(banned_at + UNDER_WAY_S)
            assert len(during) <= 2, during

    asyncio.run(run())
