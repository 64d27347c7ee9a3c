"""Exchanges that cancel what rests when nobody speaks any more: asked by ccxt itself, and by a gateway.

Real sockets, unmodified ccxt, the exchange's own timers by the wall clock; the truth log is the judge.

Not here: when a timer is set (tests/unit/runtime/test_gateway_dead_man.py), whole desks
(tests/kill/test_dead_man.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from parley.messages import Ack, Intent, OrderEvent, Unknown, VenueReject
from runtime.resync import RESYNCED, Resync
from tests.kit.okx import okx_client
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import (
    FakeDesk,
    UnitEndedError,
    UnitProcess,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
    start,
)
from tests.kit.usdm import MARKET, usdm_client
from venues.binance_usdm_limits import UsdmLimits
from venues.binance_usdm_words import UsdmOrders
from venues.capabilities import CAPABILITIES
from venues.ccxt_venue import CcxtVenue
from venues.okx_limits import OkxLimits
from venues.okx_words import OkxOrders
from venues.port import VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
SHORTEST_S = 10
SYMBOLS = {"okx": "BTC/USDT", "binanceusdm": "BTC/USDT:USDT"}
CLIENTS = {"okx": okx_client, "binanceusdm": usdm_client}


@contextlib.asynccontextmanager
async def exchange_of(name: str) -> AsyncIterator[tuple[SandboxProcess, Decimal]]:
    """Run an exchange whose market stands still; also return what was paid last."""
    async with sandbox(MARKET if name == "binanceusdm" else None, protocol=name) as venue:
        market = await venue.control()
        await market.go()
        await market.steps(1)
        async with CLIENTS[name](venue) as client:
            yield venue, Decimal(str((await client.fetch_ticker(SYMBOLS[name]))["last"]))


def states(venue: SandboxProcess, cid: str) -> list[tuple[str, str]]:
    """Return an order's states and their reasons, as the exchange wrote them down."""
    lines = [each for each in venue.truth("order") if each["client_order_id"] == cid]
    return [(each["status"], each.get("reason", "")) for each in lines]


def timers(venue: SandboxProcess) -> list[int]:
    """Return what the exchange was told of its timers, in ms, 0: off."""
    return [each["ms"] for each in venue.truth("dead_man")]


async def ended(venue: SandboxProcess, cid: str, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while states(venue, cid)[-1][0] == "NEW":
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------------- the exchange's own words


def test_okx_cancels_what_bears_the_tag_and_neither_stops_nor_others() -> None:
    async def run() -> None:
        async with exchange_of("okx") as (venue, last), okx_client(venue) as client:
            symbol, px = SYMBOLS["okx"], float(last) * 0.9
            for seconds in (1, 9, 121):
                with pytest.raises(ccxt.ExchangeError, match="51000"):
                    await client.cancel_all_orders_after(seconds * 1000)
            off = await client.cancel_all_orders_after(0)
            assert off["data"][0]["triggerTime"] == "0"
            for cid, params in (("mine", {"tag": "parley"}), ("others", {"tag": "x"}), ("untagged", {})):
                await client.create_order(symbol, "limit", "buy", 0.01, px, {"clientOrderId": cid, **params})
            stop = {
                "instId": "BTC-USDT", "tdMode": "cash", "side": "sell", "ordType": "conditional",
                "sz": "0.01", "algoClOrdId": "stop", "slTriggerPx": f"{px:.1f}", "slTriggerPxType": "last",
                "slOrdPx": f"{px * 0.99:.1f}", "tag": "parley",
            }  # fmt: skip
            await client.privatePostTradeOrderAlgo(stop)
            row = (await client.cancel_all_orders_after(SHORTEST_S * 1000, {"tag": "parley"}))["data"][0]
            assert int(row["triggerTime"]) - int(row["ts"]) == SHORTEST_S * 1000
            await asyncio.sleep(SHORTEST_S - 1)
            assert states(venue, "mine") == [("NEW", "")]
            await ended(venue, "mine", 3.0)
            assert states(venue, "mine")[-1] == ("CANCELED", "dead_man")
            assert [states(venue, each) for each in ("others", "untagged", "stop")] == [[("NEW", "")]] * 3
            said = await client.privateGetTradeOrder({"instId": "BTC-USDT", "clOrdId": "mine"})
            assert (said["data"][0]["state"], said["data"][0]["cancelSource"]) == ("canceled", "20")

    asyncio.run(run())


def test_binance_counts_down_by_contract_and_begins_anew_when_it_is_told() -> None:
    async def run() -> None:
        async with exchange_of("binanceusdm") as (venue, last), usdm_client(venue) as client:
            await client.load_markets()
            px = float(last) * 0.9
            for market, count in (("NOPE", 1000), ("BTCUSDT", "x"), ("BTCUSDT", "")):
                with pytest.raises(ccxt.BaseError):
                    await client.fapiPrivatePostCountdownCancelAll({"symbol": market, "countdownTime": count})
            await client.create_order(
                SYMBOLS["binanceusdm"], "limit", "buy", 0.01, px, {"clientOrderId": "mine"}
            )
            eth = (await client.fetch_ticker("ETH/USDT:USDT"))["last"] * 0.9
            await client.create_order(
                "ETH/USDT:USDT", "limit", "buy", 0.1, eth, {"clientOrderId": "elsewhere"}
            )
            for _ in range(3):
                said = await client.fapiPrivatePostCountdownCancelAll(
                    {"symbol": "BTCUSDT", "countdownTime": 1000}
                )
                assert said == {"symbol": "BTCUSDT", "countdownTime": "1000"}
                await asyncio.sleep(0.6)
            assert states(venue, "mine") == [("NEW", "")]
            await ended(venue, "mine", 3.0)
            assert states(venue, "mine")[-1] == ("CANCELED", "dead_man")
            assert states(venue, "elsewhere") == [("NEW", "")]
            await client.fapiPrivatePostCountdownCancelAll({"symbol": "ETHUSDT", "countdownTime": 300})
            await client.fapiPrivatePostCountdownCancelAll({"symbol": "ETHUSDT", "countdownTime": 0})
            await asyncio.sleep(0.5)
            assert states(venue, "elsewhere") == [("NEW", "")]

    asyncio.run(run())


@pytest.mark.parametrize("answered", [{}, {"tag": ""}, {"tag": "x"}])
def test_okx_without_our_tag_has_promised_nothing_and_the_accounts_timer_goes_off(
    answered: dict[str, str],
) -> None:
    """A venue that does not know the tag may have set the timer of the whole account."""

    async def run() -> None:
        async with exchange_of("okx") as (venue, _), okx_client(venue) as client:
            words = OkxOrders(client, Account(name="main", venue="okx", symbols=(SYMBOLS["okx"],)))
            switch = CcxtVenue(
                client, words, CAPABILITIES["okx"], OkxLimits(), recv_window_ms=2000, lag_ms=1000
            ).dead_man
            assert switch is not None
            await switch.arm(SYMBOLS["okx"], SHORTEST_S)
            assert switch.refusal(SYMBOLS["okx"]) == ""
            real = client.privatePostTradeCancelAllAfter

            async def altered(request: dict[str, str]) -> dict[str, Any]:
                said = await real(request)
                row = {name: told for name, told in said["data"][0].items() if name != "tag"}
                return said | {"data": [row | answered]}

            client.privatePostTradeCancelAllAfter = altered
            with pytest.raises(VenueError, match="asked for the tag 'parley'"):
                await switch.arm(SYMBOLS["okx"], SHORTEST_S)
            told = [(each["scope"], each["ms"]) for each in venue.truth("dead_man")]
            assert told[1:] == [("parley", SHORTEST_S * 1000), ("", 0)]
            assert "asked for the tag" in switch.refusal(SYMBOLS["okx"])

    asyncio.run(run())


def test_binance_that_says_another_time_has_promised_nothing() -> None:
    async def run() -> None:
        async with exchange_of("binanceusdm") as (venue, _), usdm_client(venue) as client:
            await client.load_markets()
            symbol = SYMBOLS["binanceusdm"]
            words = UsdmOrders(client, Account(name="main", venue="binanceusdm", symbols=(symbol,)))
            row = CAPABILITIES["binanceusdm"]
            switch = CcxtVenue(client, words, row, UsdmLimits(), recv_window_ms=2000, lag_ms=1000).dead_man
            assert switch is not None
            await switch.arm(symbol, 30)
            assert switch.refusal(symbol) == ""
            assert timers(venue) == [30_000]
            with pytest.raises(VenueError, match="NOPE"):
                await switch.arm("NOPE/USDT:USDT", 30)
            with pytest.raises(VenueError, match="countdownTime"):
                await switch.arm(symbol, 10**6)
            assert switch.refusal(symbol) == ""  # a no leaves the last promise as it was
            assert switch.meter.faults.take() is None  # who keeps all timers counts, and only once
            real = client.fapiPrivatePostCountdownCancelAll

            async def altered(request: dict[str, Any]) -> dict[str, Any]:
                return await real(request) | {"countdownTime": "5"}

            client.fapiPrivatePostCountdownCancelAll = altered
            with pytest.raises(VenueError, match="asked for 30000 ms"):
                await switch.arm(symbol, 30)
            assert "asked for 30000 ms" in switch.refusal(symbol)

    asyncio.run(run())


# ---------------------------------------------------------------------- a gateway


@dataclass
class Stage:
    """A gateway at an exchange that cancels after the shortest silence, its desk, and an order that rests."""

    venue: SandboxProcess
    folder: Path
    config: dict[str, object]
    order: Intent
    gateway: UnitProcess
    desk: FakeDesk

    async def follow(self, **over: object) -> None:
        """Start the next gateway, and ask it what became of the order."""
        self.gateway = await start("gateway", self.config | over, self.folder)
        self.desk = await FakeDesk.connect(self.gateway.socket)
        self.desk.say(Resync(epoch=2, orders=(self.order.iid,)).text())
        await self.desk.until(lambda: RESYNCED in self.desk.controls)

    async def dies(self) -> None:
        """Kill the gateway."""
        self.gateway.process.send_signal(signal.SIGKILL)
        await self.gateway.process.wait()

    async def ends(self) -> None:
        """Let the gateway end in order."""
        self.gateway.process.terminate()
        _, errors = await self.gateway.process.communicate()
        assert self.gateway.process.returncode == 0, errors.decode()


@contextlib.asynccontextmanager
async def resting(name: str, dead_man_s: int | None = SHORTEST_S) -> AsyncIterator[Stage]:
    """Run a gateway whose order rests far from the market."""
    with short_folder() as folder:
        async with exchange_of(name) as (venue, last):
            target = {"exchange": name, "name": name, "symbols": [SYMBOLS[name]]}
            config = gateway_config(folder, venue, target, dead_man_s=dead_man_s)
            gateway = await start("gateway", config, folder)
            desk = await FakeDesk.connect(gateway.socket)
            stage = Stage(venue, folder, config, make_intent(), gateway, desk)
            try:
                px = (last * Decimal("0.9")).quantize(Decimal("0.1"))
                while not desk.of(Ack):  # until the exchange has promised it is refused
                    stage.order = make_intent(
                        desk.sent, venue=name, symbol=SYMBOLS[name], style="limit", tif="GTC", px=px,
                        ref_px=last,
                    )  # fmt: skip
                    desk.send(stage.order)
                    await desk.until(lambda: len(desk.of(Ack)) + len(desk.of(VenueReject)) == desk.sent)
                assert {each.code for each in desk.of(VenueReject)} <= {"last_look:dead_man"}
                yield stage
            finally:
                if stage.gateway.process.returncode is None:
                    stage.gateway.process.kill()  # it may have been stopped
                    await stage.gateway.process.wait()


async def is_killed(name: str) -> None:
    """Nobody takes over: the exchange cancels, and the gateway that comes much later says so."""
    async with resting(name) as stage:
        await stage.dies()
        await ended(stage.venue, stage.order.cid, SHORTEST_S + 3)
        assert states(stage.venue, stage.order.cid)[-1] == ("CANCELED", "dead_man")
        await stage.follow()
        told = stage.desk.of
        await stage.desk.until(lambda: "canceled" in {each.status for each in told(OrderEvent)})
        assert [each.status for each in told(OrderEvent)][-1] == "canceled"
        assert {each.iid for each in told(OrderEvent)} == {stage.order.iid}
        assert told(VenueReject) == []
        # what it did not know when it began it knows now
        last = [each for each in stage.desk.messages if isinstance(each, Ack | Unknown)][-1]
        assert isinstance(last, Ack)


async def lives(name: str) -> None:
    """As long as it lives nothing is cancelled; what ends while the stream stands is told at once."""
    async with resting(name) as stage:
        await asyncio.sleep(SHORTEST_S + 3)
        assert states(stage.venue, stage.order.cid) == [("NEW", "")]
        assert timers(stage.venue)[:4] == [SHORTEST_S * 1000] * 4
        stage.gateway.process.send_signal(signal.SIGSTOP)  # silent, and yet connected
        await ended(stage.venue, stage.order.cid, SHORTEST_S + 3)
        stage.gateway.process.send_signal(signal.SIGCONT)
        await stage.desk.until(lambda: "canceled" in {each.status for each in stage.desk.of(OrderEvent)})
        assert stage.desk.of(Unknown) == []


async def ends_over_it(name: str) -> None:
    """An orderly end leaves the timer to what rests."""
    async with resting(name) as stage:
        await stage.ends()
        assert timers(stage.venue)[-1] == SHORTEST_S * 1000
        await ended(stage.venue, stage.order.cid, SHORTEST_S + 3)


async def ends_with_nothing(name: str) -> None:
    """An orderly end at which nothing rests takes it off."""
    async with resting(name) as stage:
        stage.desk.send(make_cancel(stage.order))
        await stage.desk.until(lambda: "canceled" in {each.status for each in stage.desk.of(OrderEvent)})
        await stage.ends()
        assert timers(stage.venue)[-1] == 0


async def is_followed_without(name: str) -> None:
    """A life without a timer takes off the one before it, which would cancel what rests now."""
    async with resting(name) as stage:
        await stage.dies()
        await stage.follow(dead_man_s=0)
        async with asyncio.timeout(SHORTEST_S):
            while timers(stage.venue)[-1] != 0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(SHORTEST_S + 1)
        assert states(stage.venue, stage.order.cid) == [("NEW", "")]
        assert timers(stage.venue).count(0) == 1


async def guards(name: str) -> None:
    """A stop outlives the gateway where the timer spares stops."""
    async with resting(name) as stage:
        last, tick = stage.order.ref_px, Decimal("0.1")
        assert last is not None
        fields = {"venue": name, "symbol": SYMBOLS[name], "ref_px": last}
        stop = make_intent(
            103, side="sell", style="stop_limit", tif="GTC", reduce_only=True, **fields,
            trigger=(last * Decimal("0.95")).quantize(tick), px=(last * Decimal("0.94")).quantize(tick),
        )  # fmt: skip
        for n, each in enumerate((make_intent(102, **fields), stop), 2):
            stage.desk.send(each)
            await stage.desk.hear(Ack, n)
        await stage.dies()
        await ended(stage.venue, stage.order.cid, SHORTEST_S + 3)
        assert states(stage.venue, stage.order.cid)[-1][1] == "dead_man"
        assert states(stage.venue, stop.cid) == [("NEW", "")]


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.long if each == "okx" else ()) for each in sorted(SYMBOLS)]
)
def test_a_gateway_that_is_silent_leaves_nothing_resting_and_one_that_lives_does(name: str) -> None:
    stories = [is_killed, lives, ends_over_it, ends_with_nothing, is_followed_without]
    row = CAPABILITIES[name].dead_man
    if row is not None and row.spares_stops:
        stories.append(guards)

    async def run() -> None:
        await asyncio.gather(*(story(name) for story in stories))  # they wait for the same seconds

    asyncio.run(run())


def test_a_time_out_that_the_exchange_does_not_take_is_refused_before_anything_is_sent() -> None:
    async def run() -> None:
        with pytest.raises(UnitEndedError) as ended_with:
            async with resting("okx", dead_man_s=121):
                pass
        assert ended_with.value.code == 2
        assert "dead_man_s: at 'okx' expected 10 to 120 seconds" in ended_with.value.errors

    asyncio.run(run())
