"""Stops at spot exchanges through a real gateway: they rest, trigger, are found again, and outlive kills.

The certificate of `stops` in the rows of capabilities: every word about a stop comes from an unmodified ccxt
client and a real exchange process. Not here: who wants them (tests/kill/test_stop_at_the_venue.py), what an
adapter says of one (test_spot_stops.py, test_usdm_stops.py), contracts' (test_gateway_contract_stops.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from parley.execution.protective import REACHED
from parley.messages import VenueReject
from runtime import kill_file
from tests.kit.stop_stage import QTY, staged_stops
from tests.kit.stops import FALLING
from tests.kit.units import make_cancel
from venues.capabilities import CAPABILITIES

pytestmark = pytest.mark.timeout(120)
D = Decimal
EXCHANGES = ("binance", "bybit", "okx")


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_stop_rests_and_is_taken_back_by_this_gateway_and_by_the_next_one(exchange: str) -> None:
    async def run() -> None:
        async with staged_stops(exchange) as s:
            price = await s.enter()
            first, second = s.stop(price, bps=900), s.stop(price, bps=900, qty=QTY / 5)
            await s.place(first)
            (placed,) = s.truth(first)
            assert (placed["type"], placed["side"], placed["status"]) == ("STOP_LOSS_LIMIT", "SELL", "NEW")
            assert (D(placed["stop_price"]), D(placed["price"])) == (first.trigger, first.px)
            s.desk.send(make_cancel(first))
            await s.desk.until(lambda: s.canceled() == {first.iid})
            assert s.truth(first)[-1]["status"] == "CANCELED"

            await s.place(second)
            await s.die()
            await s.follow(second)
            s.desk.send(make_cancel(second, epoch=s.epoch))
            await s.desk.until(lambda: second.iid in s.canceled())
            assert s.truth(second)[-1]["status"] == "CANCELED"

    asyncio.run(run())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_stop_triggers_while_its_gateway_is_dead_and_the_next_one_tells_its_fills(exchange: str) -> None:
    async def run() -> None:
        async with staged_stops(exchange, FALLING) as s:
            stop = s.stop(await s.enter())
            await s.set_off_while_dead(stop)
            assert s.truth(stop)[-1]["status"] == "FILLED"

    asyncio.run(run())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_stop_the_market_is_beyond_is_refused_in_one_word(exchange: str) -> None:
    async def run() -> None:
        async with staged_stops(exchange) as s:
            price = await s.enter()
            s.desk.send(s.stop(price, bps=-50, ref_px=price * D("1.02")))
            no = await s.desk.hear(VenueReject)
            assert (no.code, no.definitive) == (REACHED, True)

    asyncio.run(run())


def test_the_last_look_lets_no_stop_pass_that_does_not_protect() -> None:
    async def run() -> None:
        async with staged_stops() as s:
            price = await s.enter()
            wrong = {
                "stop_opens": s.stop(price, reduce_only=False),
                "stop_side": s.stop(price, bps=-50),
                "price_and_style": s.stop(price, trigger=None),
                "off_grid": s.stop(price, trigger=price * D("0.99") + D("0.001")),
                "collar": s.stop(price, px=(price * D("0.9")).quantize(s.tick)),
                "not_positive": s.stop(price, trigger=D("NaN")),
            }
            large = s.stop(price, qty=D(30))  # the account brought 20
            for n, order in enumerate((*wrong.values(), large), 1):
                s.desk.send(order)
                await s.desk.hear(VenueReject, n)
            codes = [no.code.removeprefix("last_look:") for no in s.desk.of(VenueReject)]
            assert codes == [*wrong, "stop_opens"]
            assert [line for line in s.venue.truth("order") if line["type"] == "STOP_LOSS_LIMIT"] == []

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["cancel", "flatten"])
def test_a_kill_leaves_the_stop_and_lets_no_other_stand(mode: str) -> None:
    async def run() -> None:
        async with staged_stops() as s:
            price = await s.enter()
            stop = s.stop(price, bps=900)
            other = s.order(style="limit", tif="GTC", px=(price * D("0.9")).quantize(s.tick), ref_px=price)
            await s.place(stop, other)
            kill_file.write(s.folder / "HALT", "kill", ["platform"], mode=mode, by="test", reason="test")
            await s.desk.until(s.canceled)
            s.desk.send(s.stop(price, bps=800))
            no = await s.desk.hear(VenueReject)
            assert no.code == "last_look:halted"
            assert s.truth(other)[-1]["status"] == "CANCELED"
            assert s.truth(stop)[-1]["status"] == "NEW"

    asyncio.run(run())


def test_only_a_venue_whose_stops_were_tried_says_that_it_holds_them() -> None:
    holding = [name for name, row in CAPABILITIES.items() if row.stops]
    assert holding == ["binance", "binanceusdm", "bybit", "okx"]
    assert kill_file.MODES == ("block", "cancel", "flatten")
