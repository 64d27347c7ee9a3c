"""Stops of contracts at Binance USD-M through our adapter: an algo order, and the plain one that it becomes.

The certificate of `stops` in the row: every word comes from an unmodified ccxt client and a real exchange
process. Not here: who wants them (tests/kill/test_contract_stop_at_the_venue.py), the gateway's part
(tests/contract/test_gateway_contract_stops.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.execution.protective import REACHED
from parley.messages import Fill, Gap, Intent, OrderEvent
from tests.contract.test_usdm_margin import POOR, crash
from tests.contract.test_usdm_venue import ASSET, BTC, adapter, heard, order, priced
from tests.kit.sandbox import Control, SandboxProcess
from tests.kit.stops import guarding, moved_until, truth_of
from tests.kit.units import make_cancel
from venues.adapters import ADAPTERS
from venues.binance_usdm_stops import AlgoStops
from venues.capabilities import CAPABILITIES
from venues.ccxt_venue import CcxtVenue
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, VenueError
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
D = Decimal
QTY = D("0.2")
LARGE = D(8)  # more than this market buys within a step
TICK = D("0.1")
MARKET = {"kind": "synthetic", "candles": 60, "history": 60, "assets": ["BTC", "ETH"]}
FALLING, RISING = 14, 27  # steps after which this market falls, and rises, by 60 bps


class Stage:
    """A connected account whose stream is followed, at a market that is moved step by step."""

    def __init__(self, process: SandboxProcess, venue: CcxtVenue, client: Any, market: Control) -> None:
        self.process, self.venue, self.client, self.market = process, venue, client, market
        self.facts: list[Any] = []

    async def enter(self, side: str, qty: Decimal = QTY) -> Decimal:
        """Open a position; return the market's price."""
        price = await priced(self.client)
        assert isinstance(await self.venue.send(order(side=side, qty=qty, ref_px=price)), Acked)
        return price

    async def place(self, stop: Intent) -> Acked:
        taken = await self.venue.send(stop)
        assert isinstance(taken, Acked), taken
        return taken

    async def end(self, stop: Intent, status: str) -> None:
        """Let the market move until the exchange says that a stop ended so."""
        await moved_until(self.process, self.market, stop, status)

    def truth(self, stop: Intent) -> list[dict[str, Any]]:
        return truth_of(self.process, stop)

    def told(self, kind: type, stop: Intent) -> list[Any]:
        return [each for each in self.facts if isinstance(each, kind) and each.iid == stop.iid]

    async def position(self) -> Decimal:
        return dict(await self.venue.balances()).get(ASSET, D(0))


@contextlib.asynccontextmanager
async def stage(steps: int = 1, **config: Any) -> AsyncIterator[Stage]:
    async with adapter(**({"feed": MARKET} | config)) as (process, venue, client):
        await venue.connect()
        await venue.prepare()
        market = await process.control()
        await market.go()
        await market.steps(steps)
        s = Stage(process, venue, client, market)
        ready = asyncio.Event()
        following = asyncio.create_task(venue.follow(s.facts.append, ready.set))
        await ready.wait()
        try:
            yield s
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def stop_of(side: str, price: Decimal, bps: int, beyond: int = 100, **over: Any) -> Intent:
    """A stop so far from a price as guards what was opened on the other side, its limit ``beyond`` it."""
    return order(**{"qty": QTY} | guarding(side, price, bps, TICK, beyond) | over)


@pytest.mark.parametrize("side", ["sell", "buy"])
def test_a_stop_rests_among_algo_orders_and_is_taken_back_by_its_id(side: str) -> None:
    async def run() -> None:
        async with stage() as s:
            price = await s.enter("buy" if side == "sell" else "sell")
            stop = stop_of(side, price, 900)
            placed = await s.place(stop)
            assert placed.event is not None
            assert (placed.event.status, placed.fills) == ("open", ())
            (told,) = s.truth(stop)
            assert (told["type"], told["side"], told["status"]) == ("STOP_LOSS_LIMIT", side.upper(), "NEW")
            assert (told["reduce_only"], D(told["stop_price"]), D(told["price"])) == (
                True, stop.trigger, stop.px,
            )  # fmt: skip
            assert await s.client.fetch_open_orders(BTC) == []
            (rests,) = await s.venue.resting(stop.cid[:4])
            assert (rests.cid, rests.venue_id) == (stop.cid, placed.venue_id)
            assert str(stop.trigger) in rests.terms

            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.venue_id, found.event.status) == (placed.venue_id, "open")
            taken = await s.venue.cancel(make_cancel(stop))
            assert isinstance(taken, Acked), taken
            assert taken.event is not None
            assert (taken.event.status, taken.event.cum_qty) == ("canceled", 0)
            assert s.truth(stop)[-1]["status"] == "CANCELED"
            ended = await s.venue.look_up(stop)
            assert isinstance(ended, Acked)
            assert ended.event is not None
            assert ended.event.status == "canceled"
            again = await s.venue.cancel(make_cancel(stop))
            assert isinstance(again, Rejected)
            assert again.code == NOT_FOUND
            await heard(lambda: any(each.status == "canceled" for each in s.told(OrderEvent, stop)))
            assert await s.venue.resting(stop.cid[:4]) == []
            assert s.venue.foreign == 0

    asyncio.run(run())


@pytest.mark.parametrize(("side", "steps"), [("sell", FALLING), ("buy", RISING)])
def test_a_stop_that_is_set_off_closes_its_position_and_is_told_and_found_with_its_trades(
    side: str, steps: int
) -> None:
    async def run() -> None:
        async with stage(steps) as s:
            stop = stop_of(side, await s.enter("buy" if side == "sell" else "sell"), 20)
            placed = await s.place(stop)
            await s.end(stop, "FILLED")
            assert await s.position() == 0
            await heard(lambda: sum(each.qty for each in s.told(Fill, stop)) == QTY)
            await heard(lambda: any(each.status == "closed" for each in s.told(OrderEvent, stop)))
            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("closed", QTY)
            told = {each.trade_id: each for each in s.told(Fill, stop)}
            assert told == {each.trade_id: each for each in found.fills}
            assert {each.side for each in found.fills} == {side}
            assert {each.venue_id for each in found.fills} == {found.event.venue_id} != {placed.venue_id}
            gone = await s.venue.cancel(make_cancel(stop))
            assert isinstance(gone, Rejected)
            assert gone.code == NOT_FOUND
            assert s.venue.foreign == 0
            assert [each for each in s.facts if isinstance(each, Gap)] == []

    asyncio.run(run())


def test_a_stop_of_which_a_part_rests_is_taken_back_as_the_order_that_it_became() -> None:
    async def run() -> None:
        async with stage(FALLING) as s:
            stop = stop_of("sell", await s.enter("buy", LARGE), 20, beyond=0, qty=LARGE)
            placed = await s.place(stop)
            for _ in range(25):
                if await s.client.fetch_open_orders(BTC):
                    break
                await s.market.steps(1)
            (rests,) = await s.client.fetch_open_orders(BTC)
            assert rests["id"] != placed.venue_id
            assert [each.cid for each in await s.venue.resting(stop.cid[:4])] == [stop.cid]
            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert found.event.status == "open"
            taken = await s.venue.cancel(make_cancel(stop))
            assert isinstance(taken, Acked), taken
            assert taken.event is not None
            assert (taken.venue_id, taken.event.status) == (rests["id"], "canceled")
            assert s.truth(stop)[-1]["status"] == "CANCELED"

    asyncio.run(run())


def test_what_an_earlier_life_placed_is_taken_back_without_being_told_that_it_is_a_stop() -> None:
    async def run() -> None:
        async with stage() as s:
            stop = stop_of("sell", await s.enter("buy"), 900)
            await s.place(stop)
            words = ADAPTERS["binanceusdm"].orders(
                s.client, Account(name="main", venue="binanceusdm", symbols=(BTC,), leverage=5)
            )
            taken = await words.cancel(make_cancel(stop))
            assert taken.event is not None
            assert taken.event.status == "canceled"
            assert s.truth(stop)[-1]["status"] == "CANCELED"

    asyncio.run(run())


def test_a_stop_that_finds_nothing_to_reduce_is_rejected_and_opens_nothing() -> None:
    async def run() -> None:
        async with stage(FALLING) as s:
            price = await s.enter("buy")
            stop = stop_of("sell", price, 20)
            await s.place(stop)
            assert isinstance(await s.venue.send(order(side="sell", reduce_only=True)), Acked)
            await s.end(stop, "EXPIRED")
            await heard(lambda: any(each.status == "rejected" for each in s.told(OrderEvent, stop)))
            assert await s.position() == 0
            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.fills) == ("rejected", ())

    asyncio.run(run())


def test_a_liquidation_ends_the_stop_too_and_says_so(market_data: Path) -> None:
    async def run() -> None:
        feed = crash(market_data, "12:40:00", "13:20:00")
        async with stage(1, feed=feed, leverage=10, accounts=[POOR]) as s:
            held = D(2)
            stop = stop_of("sell", await s.enter("buy", held), 6000, qty=held)
            await s.place(stop)
            while not s.process.truth("liquidation"):
                await s.market.steps(1)
            assert s.truth(stop)[-1]["status"] == "EXPIRED"
            await heard(lambda: any(each.status == "expired" for each in s.told(OrderEvent, stop)))
            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("expired", 0)
            gone = await s.venue.cancel(make_cancel(stop))
            assert isinstance(gone, Rejected)
            assert gone.code == NOT_FOUND
            assert await s.position() == 0

    asyncio.run(run())


def test_a_stop_the_market_is_beyond_is_refused_in_a_word_of_its_own() -> None:
    async def run() -> None:
        async with stage() as s:
            for side in ("sell", "buy"):
                price = await s.enter("buy" if side == "sell" else "sell")
                no = await s.venue.send(stop_of(side, price, -50))
                assert isinstance(no, Rejected), no
                assert no.code == REACHED

    asyncio.run(run())


def test_an_id_that_a_stop_has_is_in_doubt_and_not_refused() -> None:
    async def run() -> None:
        async with stage() as s:
            stop = stop_of("sell", await s.enter("buy"), 900)
            await s.place(stop)
            again = await s.venue.send(stop)
            assert isinstance(again, Ambiguous), again
            assert len(s.truth(stop)) == 2
            assert s.truth(stop)[-1]["status"] == "REJECTED"

    asyncio.run(run())


def test_a_stop_is_absent_only_after_its_lists_could_not_lag_any_more() -> None:
    async def run() -> None:
        async with stage() as s:
            price = await priced(s.client)
            never = stop_of("sell", price, 900)
            with pytest.raises(VenueError, match="in no list"):
                await s.venue.look_up(never)
            account = Account(name="main", venue="binanceusdm", symbols=(BTC,), leverage=5)
            assert await AlgoStops(s.client, account, lag_s=0.0).look_up(never) == Absent()

    asyncio.run(run())


def test_a_stop_that_lists_show_late_is_found() -> None:
    async def run() -> None:
        async with stage(hostility={"lookup_lag_ms": 600}) as s:
            stop = stop_of("sell", await s.enter("buy"), 900)
            await s.place(stop)
            with pytest.raises(VenueError, match="in no list"):
                await s.venue.look_up(stop)
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(VenueError):
                        assert isinstance(await s.venue.look_up(stop), Acked)
                        break

    asyncio.run(run())


def algo(cid: str, status: str, number: str = "") -> dict[str, Any]:
    """A message of the private stream as ccxt hands it on."""
    return {"aid": 4, "caid": cid, "s": "BTCUSDT", "X": status, "ai": number, "T": 1_700_000_000_000}


def test_the_plain_order_is_known_by_the_number_that_the_venue_names() -> None:
    """Whatever client id it bears: that it is the stop's is not documented."""
    stops = AlgoStops(None, Account(name="a", venue="v", symbols=()))
    assert stops.client_ids(algo("mine", "TRIGGERED", "77")) == ("mine",)
    assert stops.client_ids({"c": "theirs", "i": 77}) == ("theirs", "mine")
    assert stops.client_ids({"c": "theirs", "i": 78}) == ("theirs",)


def test_the_end_of_a_stop_whose_order_nobody_heard_of_is_a_gap() -> None:
    stops = AlgoStops(None, Account(name="a", venue="v", symbols=()))
    assert stops.event(b"i", BTC, algo("mine", "TRIGGERING")).status == "open"
    with pytest.raises(ValueError, match="was not heard of"):
        stops.event(b"i", BTC, algo("mine", "FINISHED", "77"))
    stops.client_ids({"c": "mine", "i": 77})
    # the plain order tells how it ended
    assert stops.event(b"i", BTC, algo("mine", "FINISHED", "77")).status == "open"


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "REJECTED"])
def test_a_stop_that_ends_unset_off_ended(status: str) -> None:
    stops = AlgoStops(None, Account(name="a", venue="v", symbols=()))
    assert stops.event(b"i", BTC, algo("mine", status)).status == status.lower()


def test_the_row_says_so() -> None:
    assert CAPABILITIES["binanceusdm"].stops
