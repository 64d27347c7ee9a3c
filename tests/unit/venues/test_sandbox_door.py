"""A venue that is shut, a market that ends, a clock that is wrong, and what an id used twice means.

Not here: what clients make of it (tests/contract/test_hostile_streams.py).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from venues.sandbox.accounts import Account
from venues.sandbox.binance.assembly import BINANCE_SPOT
from venues.sandbox.binance.shut import REFUSING
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.door import Bans, Door
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.plans import Plans
from venues.sandbox.hostility.settings import BanConfig, MaintenanceConfig, Uniqueness
from venues.sandbox.instrument import Instrument
from venues.sandbox.orders import Order, OrderRequest
from venues.sandbox.refusals import Denied
from venues.sandbox.settlement import Settlement
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import MONEY_ONE, ONE
from venues.sandbox.wall import VenueClock

MINUTE = 60_000
AAA = Instrument("AAA", "USDT", ONE // 100, ONE // 1000, 0)
BBB = Instrument("BBB", "USDT", ONE // 100, ONE // 1000, 0)


def test_a_ban_begins_with_so_many_warnings_in_a_minute_and_the_next_is_twice_as_long() -> None:
    bans = Bans(BanConfig(after=3, ms=1000))
    assert [bans.too_much(at) for at in (0, MINUTE, MINUTE + 1)] == [False] * 3  # the first is forgotten
    assert bans.too_much(MINUTE + 2)
    assert bans.until_ms == MINUTE + 1002
    assert [bans.too_much(at) for at in (2 * MINUTE, 2 * MINUTE, 2 * MINUTE)] == [False, False, True]
    assert bans.until_ms == 2 * MINUTE + 2000


def test_nobody_is_banned_unless_asked_for() -> None:
    bans = Bans(BanConfig())
    assert not any(bans.too_much(at) for at in range(100))
    assert bans.until_ms == 0


class Hall:
    """A door with a venue behind it that answers with `status`; `now` is the venue's clock."""

    def __init__(self, folder: Path, bans: Bans) -> None:
        self.now = 1000
        self.status = 200
        self.came_in = 0
        self.closed = 0
        notes = Notes(TruthLog(folder / "truth.jsonl"), lambda: 0)
        self.door = Door(self._handle, self._close, REFUSING, bans, lambda: self.now, notes)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.came_in += 1
        return web.Response(status=self.status)

    async def _close(self) -> None:
        self.closed += 1

    async def ask(self, path: str = "/api/v3/time") -> Any:
        return await self.door.handle(make_mocked_request("GET", path))


def test_who_is_banned_does_not_come_in_until_it_is_over(tmp_path: Path) -> None:
    async def run() -> None:
        hall = Hall(tmp_path, Bans(BanConfig(after=2, ms=1500)))
        hall.status = 429
        await hall.ask()
        await hall.ask()
        answer = await hall.ask()
        assert (answer.status, answer.headers["Retry-After"], hall.came_in) == (418, "2", 2)
        assert b'"code":-1003' in answer.body
        assert b"IP banned until 2500" in answer.body
        hall.now, hall.status = 2500, 200
        assert (await hall.ask()).status == 200

    asyncio.run(run())


def test_maintenance_closes_connections_and_turns_everybody_away_for_its_time(tmp_path: Path) -> None:
    async def run() -> None:
        hall = Hall(tmp_path, Bans(BanConfig()))
        hall.door.shut_for(300)
        answer = await hall.ask()
        await asyncio.sleep(0)
        assert (answer.status, hall.closed, hall.came_in) == (503, 1, 0)
        assert answer.body == b'{"code":1,"msg":"System is under maintenance."}'
        status = await hall.ask("/sapi/v1/system/status")
        assert (status.status, status.body) == (200, b'{"status":1,"msg":"system_maintenance"}')
        hall.now += 300
        assert (await hall.ask()).status == 200
        assert '"what":"maintenance"' in (tmp_path / "truth.jsonl").read_text()

    asyncio.run(run())


def test_maintenance_by_the_clock_comes_once_or_again_and_again(tmp_path: Path) -> None:
    async def run(every_ms: int) -> int:
        hall = Hall(tmp_path, Bans(BanConfig()))
        hall.door.plan(MaintenanceConfig(ms=5, after_ms=10, every_ms=every_ms))
        assert hall.closed == 0
        for _ in range(200):
            if hall.closed >= (3 if every_ms else 1):
                break
            await asyncio.sleep(0.01)
        hall.door.stop()
        closed = hall.closed
        await asyncio.sleep(0.05)
        assert hall.closed == closed
        return closed

    assert asyncio.run(run(0)) == 1
    assert asyncio.run(run(20)) >= 3


def test_plans_happen_once_when_their_moment_is_reached() -> None:
    plans, done = Plans(), []
    plans.add(20, lambda: done.append("later"))
    plans.add(10, lambda: done.append("first"))
    for moment in (5, 10, 15, 60, 70):
        plans.reached(moment)
        done.append(str(moment))
    assert done == ["5", "first", "10", "15", "later", "60", "70"]


def test_the_venues_clock_is_ahead_or_behind_by_a_constant() -> None:
    for skew in (-2500, 0, 2500):
        before, told, after = time.time_ns(), VenueClock(skew).ms(), time.time_ns()
        assert before // 10**6 + skew <= told <= after // 10**6 + skew
    assert abs(VenueClock(1000).ns() - time.time_ns() - 10**9) < 10**9


class Venue:
    """An exchange with one account and two symbols that stand around 100."""

    def __init__(self, folder: Path, unique: Uniqueness) -> None:
        truth = TruthLog(folder / "exchange.jsonl")
        self.account = Account("first", "first", "s", {"USDT": 10**6 * MONEY_ONE, "AAA": 10**4 * MONEY_ONE})
        self.exchange = Exchange(
            [AAA, BBB],
            [self.account],
            Settlement(truth, ONE // 1000, ONE // 1000),
            truth,
            1,
            10,
            replace(BINANCE_SPOT.rules, unique=unique),
            BINANCE_SPOT.spelled,
        )
        for market in self.exchange.markets.values():
            market.last_price = 100 * ONE
            market.book.refresh(100 * ONE, 1000 * ONE, 0)
            market.book.changes()

    def place(self, client_id: str, price: int, instrument: Instrument = AAA) -> Order:
        request = OrderRequest(instrument, "BUY", "LIMIT", "GTC", client_id, ONE, price=price)
        order = self.exchange.submit(self.account, request)
        assert order is not None
        return order


@pytest.mark.parametrize(
    ("unique", "while_open", "after"),
    [
        ("none", "another", "another"),
        ("open", "Duplicate order sent.", "another"),
        ("forever", "Duplicate order sent.", "Duplicate order sent."),
        ("idempotent", "the same", "the same"),
    ],
)
def test_what_a_second_order_of_an_id_is(
    tmp_path: Path, unique: Uniqueness, while_open: str, after: str
) -> None:
    venue = Venue(tmp_path, unique)
    first = venue.place("c", 90 * ONE)

    def again() -> str:
        try:
            return "the same" if venue.place("c", 91 * ONE) is first else "another"
        except Denied as error:
            return error.msg

    assert again() == while_open
    there = venue.exchange.open_orders(venue.account, None)
    assert len(there) == (2 if unique == "none" else 1)
    for order in there:
        venue.exchange.cancel(order, "x")
    assert again() == after


def test_a_delisted_market_ends_its_orders_and_takes_no_new_ones(tmp_path: Path) -> None:
    venue = Venue(tmp_path, "open")
    ending, staying = venue.place("a", 90 * ONE), venue.place("b", 90 * ONE, BBB)
    locked = venue.account.locked["USDT"]
    venue.exchange.delist("AAAUSDT")
    assert (ending.status, staying.status) == ("EXPIRED", "NEW")
    assert venue.account.locked["USDT"] == locked // 2
    assert venue.exchange.open_orders(venue.account, None) == [staying]
    with pytest.raises(Denied, match="Market is closed"):
        venue.place("c", 90 * ONE)
    venue.place("d", 90 * ONE, BBB)
