"""Real gateways and unmodified ccxt.pro classes at an exchange that is hostile in its streams and doors.

Cancels that nobody answers, events that are lost, repeated or in another order, bans, maintenance, a wrong
clock, short pages, a market that ends. The truth log is the judge.

Gateways are `serve` of their own module in this process: one of its own would cost its imports.
What Parley does not yet live through is marked as expected to fail, with what is wrong.
Not here: requests for new orders (`test_gateway_in_doubt`), public streams (`test_hostile_books`), the
switches themselves (unit tests).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import msgspec
import pytest

from parley.errors import UserError
from parley.messages import (
    Ack,
    Fill,
    Gap,
    Heartbeat,
    Intent,
    OrderEvent,
    Unknown,
    VenueReject,
)
from runtime import gateway as gateway_unit
from runtime.gateway_config import GatewayConfig
from tests.contract.test_hostile_books import BINANCE_AND_LONG, BTC, LTC, client_of
from tests.kit.sandbox import Control, SandboxProcess, sandbox
from tests.kit.units import (
    LIMITS,
    FakeDesk,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
)
from tests.kit.venues import last_price

pytestmark = pytest.mark.timeout(120)
BOTH = pytest.mark.parametrize("protocol", ["binance", "bybit"])
QUICK: dict[str, object] = {"recv_window_ms": 1000, "timeout_ms": 3000, "lag_ms": 100}
PATIENCE_S = 10.0
SOON_S = 1.0
SECOND_STEP = "2024-01-01T00:02"  # of a synthetic market
CLOSED = {"binance": "venue:market_closed", "bybit": "venue:170157"}
WEIGHT = {"binance": 400, "bybit": 60}  # in a minute
BANNED = {"binance": "IP banned until", "bybit": "IP has been banned."}
ENDED = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "closed", "CANCELED": "canceled"}
TOO_MUCH = (ccxt.DDoSProtection, ccxt.RateLimitExceeded, ccxt.AuthenticationError)


@contextlib.asynccontextmanager
async def served(socket: Path, serving: Callable[[asyncio.Event], Any]) -> AsyncIterator[None]:
    """Run a unit in this process, until its socket is there and then until the end of the context."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(serving(stop))
    try:
        while not socket.exists() and not running.done():
            await asyncio.sleep(0.01)
        if running.done():
            running.result()
        yield
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        gc.unfreeze()  # a unit takes collection over from the interpreter
        gc.enable()
    running.result()


class Place:
    """An exchange, a gateway at it, a desk, and the market's control."""

    def __init__(self, venue: SandboxProcess, desk: FakeDesk, market: Control, px: Decimal) -> None:
        self.venue = venue
        self.desk = desk
        self.market = market
        self.px = px
        self.sent: list[Intent] = []
        self._numbers = itertools.count(1)  # what an order meets depends on its id

    def order(self, **over: Any) -> Intent:
        """Send an order to buy; at once, or as `over` says."""
        intent = make_intent(next(self._numbers), **({"ref_px": self.px, "qty": Decimal("0.2")} | over))
        self.sent.append(intent)
        self.desk.send(intent)
        return intent

    def rest(self, share: str = "0.9", **over: Any) -> Intent:
        """Send an order that rests at a share of the price."""
        px = (self.px * Decimal(share)).quantize(Decimal("0.01"))
        return self.order(**({"style": "limit", "tif": "GTC", "px": px} | over))

    def truth(self) -> dict[str, tuple[str, Decimal]]:
        """State and filled quantity of every order there, by client id."""
        return {
            line["client_order_id"]: (ENDED.get(line["status"], "expired"), Decimal(line["cum_qty"]))
            for line in self.venue.truth("order")
            if line["order_id"] is not None
        }

    def believed(self) -> dict[str, tuple[str, Decimal]]:
        """The same as the desk was told."""
        last = {each.iid: (each.status, each.cum_qty) for each in self.desk.of(OrderEvent)}
        return {each.cid: last[each.iid] for each in self.sent if each.iid in last}

    def is_even(self) -> bool:
        """Whether the desk believes what is true, of states and of every trade."""
        trades = {
            str(line["trade_id"]): (Decimal(line["qty"]), Decimal(line["price"]), Decimal(line["fee"]))
            for line in self.venue.truth("trade")
        }
        fills = self.desk.of(Fill)
        told = {fill.trade_id: (fill.qty, fill.px, fill.fee) for fill in fills}
        return len(told) == len(fills) and told == trades and self.believed() == self.truth()

    async def even(self) -> None:
        """Wait until the desk believes what is true."""
        with contextlib.suppress(TimeoutError):
            await self.until(self.is_even, PATIENCE_S / 5)
        assert self.believed() == self.truth()
        assert self.is_even()

    def decided(self) -> set[bytes]:
        """Of which orders the desk knows whether they exist."""
        there = {each.iid for each in self.desk.of(Ack) if not each.cancel}
        no = (each for each in self.desk.of(VenueReject) if each.definitive and not each.cancel)
        return there | {each.iid for each in no}

    async def until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(patience_s):
            while not holds():
                await asyncio.sleep(0.02)

    async def all_decided(self, patience_s: float = PATIENCE_S) -> None:
        await self.until(lambda: self.decided() >= {each.iid for each in self.sent}, patience_s)

    def hostile(self, what: str) -> list[dict[str, Any]]:
        """What the exchange says that it did."""
        return [line for line in self.venue.truth("hostile") if line["what"] == what]


@contextlib.asynccontextmanager
async def trading(
    protocol: str, switches: Mapping[str, object], seed: int = 7, *, inspect_s: float = 0.0, **over: object
) -> AsyncIterator[Place]:
    """Run a hostile exchange, a gateway and a desk, with one step of market played."""
    with short_folder() as folder:
        market_feed = {"kind": "synthetic", "candles": 60, "history": 60, "trades_per_candle": 12}
        async with sandbox(feed=market_feed, protocol=protocol, seed=seed, hostility=switches) as venue:
            adapter = {**QUICK, "exchange": protocol, **over}
            raw = gateway_config(
                folder, venue, adapter, limits=LIMITS | {"max_orders_per_s": 1000}, inspect_s=inspect_s
            )
            config = msgspec.json.decode(msgspec.json.encode(raw), type=GatewayConfig)
            async with served(folder / "gw.sock", lambda stop: gateway_unit.serve(config, stop)):
                market = await venue.control()
                await market.go()
                await market.steps(1)
                desk = await FakeDesk.connect(folder / "gw.sock")
                px = await last_price(venue, BTC, protocol)
                try:
                    yield Place(venue, desk, market, px)
                finally:
                    desk.link.close("the test is over")
                    await market.hang_up()


def answers_to_cancels(desk: FakeDesk, order: Intent) -> list[Ack | VenueReject | Unknown]:
    said = (each for each in desk.messages if isinstance(each, Ack | VenueReject | Unknown))
    return [each for each in said if each.cancel and each.iid == order.iid]


async def until_cancelled(desk: FakeDesk, order: Intent) -> int:
    """Cancel an order again and again until somebody answers; return how often."""
    for n in itertools.count(1):
        desk.send(make_cancel(order, n=n))
        async with asyncio.timeout(PATIENCE_S):
            while len(answers_to_cancels(desk, order)) < n:
                await asyncio.sleep(0.01)
        if not isinstance(answers_to_cancels(desk, order)[-1], Unknown):
            return n
    raise AssertionError("the count has no end")


@BOTH
def test_a_cancel_that_nobody_answers_gets_through_when_it_is_repeated(protocol: str) -> None:
    shares = {"lost": 0.2, "failed": 0.2, "late": 0.2, "dropped": 0.15, "throttled": 0.15}

    async def run() -> None:
        async with trading(protocol, {"cancels": shares, "late_ms": 300}) as place:
            resting = [place.rest() for _ in range(14)]
            await place.all_decided()
            tries = await asyncio.gather(*(until_cancelled(place.desk, each) for each in resting))
            assert max(tries) > 1
            assert {what for what in shares if place.hostile(f"cancel_{what}")} == set(shares)
            await place.even()
            assert {state for state, _ in place.truth().values()} == {"canceled"}

    asyncio.run(run())


@BINANCE_AND_LONG
def test_an_order_trades_before_the_cancel_that_comes_late(protocol: str) -> None:
    async def run() -> None:
        async with trading(protocol, {"cancels": {"late": 1.0}, "late_ms": 900}) as place:
            resting = [place.rest(f"0.99{n}") for n in range(1, 10)]
            await place.all_decided()
            for order in resting:
                place.desk.send(make_cancel(order))
            await place.desk.until(lambda: sum(each.cancel for each in place.desk.of(Unknown)) == 9)
            for _ in range(10):
                await place.market.steps(1)
            await place.until(lambda: "open" not in {state for state, _ in place.truth().values()})
            assert {state for state, _ in place.truth().values()} == {"closed", "canceled"}
            await place.even()

    asyncio.run(run())


async def trade_on(place: Place) -> None:
    """Trade at once, rest where the market comes by, let it come by, and cancel what is left."""
    for share in ("0.9995", "0.999", "0.998", "0.9999", "0.997", "0.9985"):
        place.order()
        place.rest(share)
        place.rest(share, qty=Decimal("3"))
    await place.all_decided()
    for _ in range(8):
        await place.market.steps(1)
        await asyncio.sleep(0.02)
    for each in place.sent:
        if place.truth()[each.cid][0] == "open":
            place.desk.send(make_cancel(each))
    await asyncio.sleep(SOON_S / 4)


@pytest.mark.parametrize(
    ("protocol", "switch", "seed"),
    [
        ("binance", "duplicated", 4),
        pytest.param("binance", "swapped", 4, marks=pytest.mark.long),
        pytest.param("binance", "swapped", 2, marks=pytest.mark.long),
        pytest.param("bybit", "duplicated", 7, marks=pytest.mark.long),
        ("bybit", "swapped", 7),
        pytest.param("okx", "duplicated", 7, marks=pytest.mark.long),
        pytest.param("okx", "swapped", 7, marks=pytest.mark.long),
    ],
)
def test_events_that_come_twice_or_in_another_order_change_nothing(
    protocol: str, switch: str, seed: int
) -> None:
    async def run() -> None:
        async with trading(protocol, {"private": {switch: 0.5}}, seed, inspect_s=0.5) as place:
            await trade_on(place)
            assert len(place.hostile(f"event_{switch}")) > 15
            assert len(place.venue.truth("trade")) > 10
            await place.even()

    asyncio.run(run())


@BINANCE_AND_LONG
def test_events_that_are_lost_are_looked_up(protocol: str) -> None:
    async def run() -> None:
        async with trading(protocol, {"private": {"lost": 0.3}}, inspect_s=0.5) as place:
            await trade_on(place)
            assert place.hostile("event_lost")
            await place.even()

    asyncio.run(run())


@BINANCE_AND_LONG
def test_a_gateway_lives_through_maintenance(protocol: str) -> None:
    async def run() -> None:
        maintenance = {"at": SECOND_STEP, "ms": 700}
        async with trading(protocol, {"maintenance": maintenance}, recv_window_ms=500) as place:
            before = place.rest()
            await place.all_decided()
            await place.market.steps(1)
            during = place.order()
            await place.all_decided()
            refused = [each for each in place.desk.of(VenueReject) if each.iid == during.iid]
            assert [each.code for each in refused] == ["not_accepted"]
            assert during.iid in {each.iid for each in place.desk.of(Unknown)}
            assert {each.stream for each in place.desk.of(Gap)} == {"user"}
            assert len(place.hostile("maintenance")) == 1

            await asyncio.sleep(1.5 * SOON_S)  # the stream is opened again after a second
            assert before.cid in place.believed()
            after = place.rest()
            await place.all_decided()
            place.desk.send(make_cancel(after))
            await place.until(lambda: place.believed()[after.cid][0] == "canceled")
            await place.even()

    asyncio.run(run())


@BINANCE_AND_LONG
def test_a_market_that_ends_takes_its_orders_with_it_and_refuses_new_ones(protocol: str) -> None:
    async def run() -> None:
        async with trading(protocol, {"delistings": {LTC: SECOND_STEP}}) as place:
            px = await last_price(place.venue, LTC, protocol)
            low = (px * Decimal("0.8")).quantize(Decimal("0.01"))
            resting = [place.rest(symbol=LTC, px=low, ref_px=px), place.rest()]
            await place.all_decided()
            await place.market.steps(1)
            ended = {"binance": "expired", "bybit": "canceled"}[protocol]  # there are no other words for it
            await place.until(lambda: place.believed()[resting[0].cid][0] == ended)
            assert place.believed()[resting[1].cid][0] == "open"
            assert [place.truth()[each.cid][0] for each in resting] == ["expired", "open"]
            late = place.order(symbol=LTC, ref_px=px)
            await place.all_decided()
            (no,) = [each for each in place.desk.of(VenueReject) if each.iid == late.iid]
            assert (no.definitive, no.code) == (True, CLOSED[protocol])
            assert late.cid not in place.truth()

    asyncio.run(run())


@pytest.mark.long
@BOTH
@pytest.mark.parametrize("skew_ms", [-700, 400])
def test_an_order_has_one_fate_also_where_the_clock_is_wrong(protocol: str, skew_ms: int) -> None:
    """A venue behind takes a late order longer, one ahead less long; both are within its window."""

    async def run() -> None:
        switches = {"late": 1.0, "late_ms": 1900, "clock_skew_ms": skew_ms}
        async with trading(protocol, switches) as place:
            for _ in range(12):
                place.rest()
            await place.all_decided()
            await asyncio.sleep(SOON_S)
            await place.even()
            fates = {each.code for each in place.desk.of(VenueReject)}
            assert fates == {"not_accepted"}
            assert place.truth()
            assert place.desk.of(Gap) == []
            offset_ms = place.desk.of(Heartbeat)[-1].offset_ms
            assert abs(abs(skew_ms) - offset_ms) < abs(skew_ms) / 2

    asyncio.run(run())


@BINANCE_AND_LONG
def test_a_gateway_does_not_start_where_no_request_is_in_its_window(protocol: str) -> None:
    async def run() -> None:
        with pytest.raises(UserError, match="InvalidNonce"):
            async with trading(protocol, {"clock_skew_ms": -2500}):
                pass

    asyncio.run(run())


@BOTH
def test_an_order_is_found_whole_on_short_pages(protocol: str) -> None:
    async def run() -> None:
        async with trading(protocol, {"lost": 1.0, "page_limit": 2}) as place:
            place.order(qty=Decimal("20"))
            for _ in range(5):
                place.rest()
            await place.all_decided(PATIENCE_S / 4)
            assert len(place.venue.truth("trade")) > 2
            await place.even()

    asyncio.run(run())


@pytest.mark.long
@BOTH
def test_all_of_it_at_once_ends_with_even_books(protocol: str) -> None:
    """But for what is marked above: lost and swapped events, and short pages on Binance."""
    switches = {
        "lost": 0.15, "failed": 0.15, "late": 0.1, "dropped": 0.1, "throttled": 0.1, "late_ms": 700,
        "lookup_lag_ms": 80, "clock_skew_ms": -300, "private": {"duplicated": 0.3},
        "cancels": {"lost": 0.2, "failed": 0.2, "dropped": 0.2, "throttled": 0.1},
        "public": {"duplicated": 0.2}, "page_limit": {"binance": 0, "bybit": 3}[protocol],
        "delistings": {LTC: "2024-01-01T00:06"},
    }  # fmt: skip

    async def run() -> None:
        async with trading(protocol, switches) as place:
            px = await last_price(place.venue, LTC, protocol)
            for _ in range(8):
                for share in ("0.999", "0.997", "0.98"):
                    place.order()
                    place.rest(share, qty=Decimal("1"))
                place.order(symbol=LTC, ref_px=px)
                await place.market.steps(1)
                await asyncio.sleep(SOON_S / 4)
            await place.all_decided(6 * PATIENCE_S)
            there = [each for each in place.sent if place.truth().get(each.cid, ("", 0))[0] == "open"]
            await asyncio.gather(*(until_cancelled(place.desk, each) for each in there))
            await asyncio.sleep(SOON_S)
            await place.even()
            assert len({line["what"] for line in place.venue.truth("hostile")}) >= 11
            assert place.desk.of(Gap) == []

    asyncio.run(run())


@BOTH
def test_an_unmodified_client_meets_bans_ids_pages_and_a_market_that_ended(protocol: str) -> None:
    async def run() -> None:
        switches = {
            "ban": {"after": 3, "ms": 1200}, "client_ids": "idempotent", "page_limit": 3,
            "delistings": {LTC: SECOND_STEP},
        }  # fmt: skip
        async with sandbox(protocol=protocol, hostility=switches, weight_limit=WEIGHT[protocol]) as venue:
            market = await venue.control()
            await market.go()
            await market.steps(2)
            async with client_of(venue, protocol) as client:
                await client.load_markets()
                assert client.markets[LTC]["active"] is False
                assert client.markets[BTC]["active"] is True
                px = float(await last_price(venue, BTC, protocol)) // 2
                twice = [
                    await client.create_order(BTC, "limit", "buy", 0.01, px, {"clientOrderId": "once"})
                    for _ in range(2)
                ]
                assert twice[0]["id"] == twice[1]["id"]
                assert len({line["order_id"] for line in venue.truth("order")}) == 1
                for n in range(4):
                    await client.create_order(BTC, "market", "sell", 0.01, None, {"clientOrderId": f"m{n}"})
                assert len(await client.fetch_my_trades(BTC, limit=50)) == 3

                told = [""]
                while BANNED[protocol] not in told[-1]:
                    told.append(await answer_to(client))
                assert [bool(each) for each in told[-5:]] == [False, True, True, True, True]
                assert len([line for line in venue.truth("hostile") if line["what"] == "banned"]) == 1
                await asyncio.sleep(1.3)
                assert BANNED[protocol] not in await answer_to(client)

    asyncio.run(run())


async def answer_to(client: Any) -> str:
    """Ask for something, and say what was wrong with that."""
    try:
        await client.fetch_ticker(BTC)
    except TOO_MUCH as error:
        return str(error)
    return ""
