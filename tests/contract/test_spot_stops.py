"""Stops that spot exchanges hold, through our adapters: placed, set off, taken back, and found in any doubt.

The certificate of `stops` in their rows: every word comes from an unmodified ccxt client and a real exchange
process. Not here: Binance's (test_gateway_stops) and contracts' (test_usdm_stops), what one exchange alone
has (test_bybit_stops, test_okx_stops), desks at these exchanges (tests/kill/test_stop_at_the_venue.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from parley.execution.protective import REACHED
from parley.messages import Fill, Gap, Intent
from tests.kit.adapters import Adapted, adapter, fills, following, heard, speaking, statuses
from tests.kit.sandbox import Control
from tests.kit.stops import FALLING, MOVING, RISING, guarding, moved_until, truth_of
from tests.kit.units import make_cancel
from venues.capabilities import CAPABILITIES
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, VenueError

pytestmark = pytest.mark.timeout(120)
D = Decimal
HOLDING = ("bybit", "okx")
QTY = D("0.05")


class Stage:
    """An adapter whose stream is followed, at a market that is moved step by step."""

    def __init__(self, adapted: Adapted, market: Control, facts: list[Any]) -> None:
        self.adapted, self.market, self.facts = adapted, market, facts
        self.venue, self.process = adapted.venue, adapted.process

    async def price(self) -> Decimal:
        return await self.adapted.at.last_price(self.process, self.adapted.at.btc)

    def stop(self, side: str, price: Decimal, bps: int, beyond: int = 100, **over: Any) -> Intent:
        """A stop so far from a price, its limit ``beyond`` it."""
        fields = guarding(side, price, bps, self.adapted.at.tick, beyond)
        return self.adapted.orders.market(**{"qty": QTY} | fields | over)

    async def guard(self, bps: int = 900, side: str = "sell", **over: Any) -> tuple[Intent, Acked]:
        """Place a stop so far from the market."""
        stop = self.stop(side, await self.price(), bps, **over)
        placed = await self.venue.send(stop)
        assert isinstance(placed, Acked), placed
        return stop, placed

    async def end(self, stop: Intent, status: str) -> None:
        """Let the market move until the exchange says that a stop is so."""
        await moved_until(self.process, self.market, stop, status)

    def truth(self, stop: Intent) -> list[dict[str, Any]]:
        return truth_of(self.process, stop)

    async def cancel(self, stop: Intent) -> None:
        """Take a stop back, and hear that it is gone: from the answer, or else from the stream."""
        taken = await self.venue.cancel(make_cancel(stop))
        assert isinstance(taken, Acked), taken
        if taken.event is None:
            await heard(lambda: statuses(self.facts, stop)[-1:] == ["canceled"])
        else:
            assert (taken.event.iid, taken.event.status) == (stop.iid, "canceled")

    async def state(self, stop: Intent) -> tuple[str, Decimal]:
        """What a look-up says of a stop."""
        found = await self.venue.look_up(stop)
        assert isinstance(found, Acked)
        assert found.event is not None
        assert sum((each.qty for each in found.fills), D(0)) == found.event.cum_qty
        return found.event.status, found.event.cum_qty


@contextlib.asynccontextmanager
async def stage(exchange: str, steps: int = 1, **config: Any) -> AsyncIterator[Stage]:
    async with adapter(exchange, **({"feed": MOVING} | config)) as adapted:
        market = await adapted.process.control()
        await market.go()
        await market.steps(steps)
        async with following(adapted.venue) as facts:
            yield Stage(adapted, market, facts)
            assert adapted.venue.foreign == 0


def test_these_rows_say_so() -> None:
    assert [name for name, row in CAPABILITIES.items() if row.stops and name in HOLDING] == list(HOLDING)


@pytest.mark.parametrize("side", ["sell", "buy"])
@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_rests_is_shown_and_is_taken_back_by_its_id(exchange: str, side: str) -> None:
    async def run() -> None:
        async with stage(exchange) as s:
            stop, placed = await s.guard(side=side)
            (told,) = s.truth(stop)
            assert (told["type"], told["side"], told["status"]) == ("STOP_LOSS_LIMIT", side.upper(), "NEW")
            assert (D(told["stop_price"]), D(told["price"])) == (stop.trigger, stop.px)
            (rests,) = await s.venue.resting(stop.cid[:4])
            assert (rests.cid, rests.venue_id) == (stop.cid, placed.venue_id)
            assert f"once {stop.trigger.normalize():f} is paid" in rests.terms
            assert await s.state(stop) == ("open", 0)

            await s.cancel(stop)
            assert s.truth(stop)[-1]["status"] == "CANCELED"
            assert await s.state(stop) == ("canceled", 0)
            again = await s.venue.cancel(make_cancel(stop))
            if exchange == "okx":  # no stream told how it ended
                assert isinstance(again, Acked)
                assert again.event is not None
                assert again.event.status == "canceled"
            else:
                assert isinstance(again, Rejected)
                assert again.code == NOT_FOUND
            assert await s.venue.resting(stop.cid[:4]) == []

    asyncio.run(run())


@pytest.mark.parametrize(("side", "steps"), [("sell", FALLING), ("buy", RISING)])
@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_that_is_set_off_trades_and_is_told_and_found_with_its_trades(
    exchange: str, side: str, steps: int
) -> None:
    async def run() -> None:
        async with stage(exchange, steps) as s:
            stop, _ = await s.guard(20, side)
            before = dict(await s.venue.balances())["BTC"]
            await s.end(stop, "FILLED")
            await heard(lambda: sum(each.qty for each in fills(s.facts, stop)) == QTY)
            await heard(lambda: statuses(s.facts, stop)[-1:] == ["closed"])
            found = await s.venue.look_up(stop)
            assert isinstance(found, Acked)
            assert await s.state(stop) == ("closed", QTY)
            assert fills(s.facts, stop) == list(found.fills)
            assert {each.side for each in found.fills} == {side}
            moved = dict(await s.venue.balances())["BTC"] - before
            assert abs(moved) == QTY - sum(each.fee for each in found.fills if each.fee_asset == "BTC")
            gone = await s.venue.cancel(make_cancel(stop))
            assert isinstance(gone, Rejected)
            assert gone.code == NOT_FOUND
            assert not [each for each in s.facts if isinstance(each, Gap)]

    asyncio.run(run())


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_of_which_a_part_rests_is_taken_back_as_what_it_became(exchange: str, known: bool) -> None:
    async def run() -> None:
        async with stage(exchange, FALLING) as s:
            stop, _ = await s.guard(20, beyond=0, qty=D(15))
            await s.end(stop, "PARTIALLY_FILLED")
            (rests,) = await s.venue.resting(stop.cid[:4])
            assert rests.cid == stop.cid
            status, traded = await s.state(stop)
            assert status == "open"
            assert 0 < traded < stop.qty
            if known:
                taken = await s.venue.cancel(make_cancel(stop))
            else:  # by a gateway that was started anew and has only the id
                async with speaking(s.adapted.at, s.process, s.process.ws) as next_life:
                    taken = await next_life.cancel(make_cancel(stop))
            assert isinstance(taken, Acked), taken
            await heard(lambda: statuses(s.facts, stop)[-1:] == ["canceled"])
            assert sum(each.qty for each in fills(s.facts, stop)) == traded
            assert await s.state(stop) == ("canceled", traded)

    asyncio.run(run())


@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_outlives_its_client_and_the_next_one_finds_what_it_traded(exchange: str) -> None:
    async def run() -> None:
        async with adapter(exchange, feed=MOVING) as adapted:
            market = await adapted.process.control()
            await market.go()
            await market.steps(FALLING)
            first = Stage(adapted, market, [])
            sold, _ = await first.guard(20)
            kept, _ = await first.guard(4000)
            await adapted.venue.close()
            await first.end(sold, "FILLED")
            async with speaking(adapted.at, adapted.process, adapted.process.ws) as venue:
                next_life = Adapted(adapted.at, adapted.process, venue, adapted.orders)
                for stop in (sold, kept):
                    venue.know(stop.cid, stop.iid)
                async with following(venue) as facts:
                    s = Stage(next_life, market, facts)
                    assert [each.cid for each in await venue.resting(kept.cid[:4])] == [kept.cid]
                    assert await s.state(sold) == ("closed", QTY)
                    await s.cancel(kept)
                    assert s.truth(kept)[-1]["status"] == "CANCELED"

    asyncio.run(run())


@pytest.mark.parametrize("fate", ["lost", "failed"])
@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_whose_answer_was_lost_is_found(exchange: str, fate: str) -> None:
    async def run() -> None:
        async with stage(exchange, hostility={"first": [fate]}) as s:
            stop = s.stop("sell", await s.price(), 900)
            assert isinstance(await s.venue.send(stop), Ambiguous)
            assert await s.state(stop) == ("open", 0)
            await s.cancel(stop)
            assert await s.state(stop) == ("canceled", 0)

    asyncio.run(run())


@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_that_never_arrived_is_found_nowhere(exchange: str) -> None:
    async def run() -> None:
        async with stage(exchange, hostility={"first": ["dropped"]}) as s:
            stop = s.stop("sell", await s.price(), 900)
            assert isinstance(await s.venue.send(stop), Ambiguous)
            assert s.truth(stop) == []
            if exchange == "okx":  # which may take it for half a minute
                with pytest.raises(VenueError, match="in no list"):
                    await s.venue.look_up(stop)
            else:
                assert await s.venue.look_up(stop) == Absent()
            none = await s.venue.cancel(make_cancel(stop))
            assert isinstance(none, Rejected)
            assert none.code == NOT_FOUND

    asyncio.run(run())


@pytest.mark.parametrize("exchange", HOLDING)
def test_an_id_that_a_stop_has_is_in_doubt_and_not_refused(exchange: str) -> None:
    async def run() -> None:
        async with stage(exchange) as s:
            stop, _ = await s.guard()
            assert isinstance(await s.venue.send(stop), Ambiguous)
            assert [line["status"] for line in s.truth(stop)] == ["NEW", "REJECTED"]

    asyncio.run(run())


@pytest.mark.parametrize("side", ["sell", "buy"])
@pytest.mark.parametrize("exchange", HOLDING)
def test_a_stop_the_market_is_beyond_is_refused_in_a_word_of_its_own(exchange: str, side: str) -> None:
    async def run() -> None:
        async with stage(exchange) as s:
            stop = s.stop(side, await s.price(), -50)
            no = await s.venue.send(stop)
            assert isinstance(no, Rejected), no
            assert no.code == REACHED
            assert not [line for line in s.truth(stop) if line["order_id"]]

    asyncio.run(run())


@pytest.mark.parametrize("exchange", HOLDING)
def test_what_a_stop_traded_is_nobody_elses(exchange: str) -> None:
    """Beside an order of the same pair that trades meanwhile."""

    async def run() -> None:
        async with stage(exchange, FALLING) as s:
            stop, _ = await s.guard(20)
            other = s.adapted.orders.market(side="sell", qty=D("0.3"), ref_px=await s.price())
            assert isinstance(await s.venue.send(other), Acked)
            await s.end(stop, "FILLED")
            await heard(lambda: sum(each.qty for each in fills(s.facts, stop)) == QTY)
            assert sum(each.qty for each in fills(s.facts, other)) == other.qty
            assert {each.iid for each in s.facts if isinstance(each, Fill)} == {stop.iid, other.iid}

    asyncio.run(run())
