"""An order whose fate nobody can find out calls a person, once and then less and less often; virtual time."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.messages import Ack, Alarm, Intent, Unknown
from runtime.alarms import MOST, WITHIN_NS, Refusals, in_doubt
from runtime.books import OrderBook
from runtime.doubts import Doubts
from runtime.resolution import (
    ALARM_AFTER_NS,
    ALARM_AT_LEAST_NS,
    ALARM_FAILURES,
    Doubt,
    alarmed,
    is_alarming,
    next_alarm,
)
from tests.kit.units import make_intent
from tests.kit.virtual_time import VirtualLoop, run
from venues.limits import NoLimits
from venues.meter import Meter
from venues.port import Absent, Acked, VenueError

S = 1_000_000_000
A, B = make_intent(1), make_intent(2, symbol="ETH/USDT")
ORDER = Acked(venue_id="7", t_venue=0)


class Venue:
    """Down until ``up_s``, then it has every order; ``hangs``: it does not even say that it is down."""

    lag_ns = S

    def __init__(self, loop: VirtualLoop, up_s: float, *, hangs: bool = False) -> None:
        self._loop = loop
        self._up_s = up_s
        self._hangs = hangs
        self.looks = 0
        self.meter = Meter(NoLimits())

    async def look_up(self, intent: Intent) -> Acked | Absent:
        self.looks += 1
        if self._hangs:
            await asyncio.sleep(max(0.0, self._up_s - self._loop.time()))
        if self._loop.time() < self._up_s:
            raise VenueError("503 down for maintenance")
        return ORDER


class Ends:
    """Keeps through which door orders left, and who was called when."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.found_at: dict[str, float] = {}
        self.alarms: list[tuple[float, str, int, str]] = []

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        self.found_at[intent.cid] = self._loop.time()

    def not_accepted(self, intent: Intent) -> None:
        raise AssertionError("a venue that did not answer has accepted nothing less")

    def appeared(self, intent: Intent) -> None:
        raise AssertionError

    def alarm(self, intent: Intent, n: int, why: str) -> None:
        self.alarms.append((self._loop.time(), intent.cid, n, why))


def outage(hours: float, *intents: Intent, hangs: bool = False) -> tuple[Ends, Venue, list[Any]]:
    """Let a venue be down for hours, and return what was done meanwhile and what was told at half time."""
    loop = VirtualLoop()
    ends, venue = Ends(loop), Venue(loop, hours * 3600, hangs=hangs)
    half: list[Any] = []

    async def play() -> None:
        held: Any = venue
        doubts = Doubts(held, ends, loop.clock_ns)
        running = asyncio.ensure_future(doubts.run())
        for each in intents:
            doubts.open(each, loop.clock_ns() + 2 * S)
        doubts.measured(S // 10)
        await asyncio.sleep(hours * 1800)
        half.extend(doubts.told())
        await asyncio.sleep(hours * 1800 + 7200)
        assert doubts.told() == []
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(play(), loop)
    return ends, venue, half


def test_outage_of_hours_calls_early_and_then_less_and_less_often() -> None:
    ends, venue, half = outage(12, A, B)

    for intent in (A, B):
        mine = [(at, n) for at, cid, n, _ in ends.alarms if cid == intent.cid]
        assert [n for _, n in mine] == list(range(1, len(mine) + 1))
        assert mine[0][0] < 60
        pauses = [b[0] - a[0] for a, b in itertools.pairwise(mine)]
        assert pauses == sorted(pauses)
        assert pauses[0] == pytest.approx(60, abs=2)
        assert pauses[-1] == pytest.approx(3600, abs=2)
        assert len(mine) == 1 + 6 + 10  # early; after 1, 2, 4 .. 32 min; then every hour
        assert 12 * 3600 <= ends.found_at[intent.cid] <= 12 * 3600 + 60
    assert "6 times in a row, last: 503 down for maintenance" in ends.alarms[0][3]
    assert [(each.cid, each.symbol, each.age_s) for each in half] == [
        (A.cid, "BTC/USDT", 6 * 3600), (B.cid, "ETH/USDT", 6 * 3600),
    ]  # fmt: skip
    assert half[0].alarms > 5
    assert venue.looks < 2 * 12 * 3600 / 25, "who is down is not hammered"


def test_venue_that_hangs_over_a_look_up_does_not_hold_up_the_alarm() -> None:
    ends, venue, half = outage(2, A, hangs=True)

    assert venue.looks == 1
    assert ends.alarms[0][0] == pytest.approx(60, abs=2)
    assert half[0].why == "no look-up has come back yet"


def test_order_that_is_found_soon_calls_nobody() -> None:
    ends, _, _ = outage(10 / 3600, A)

    assert ends.alarms == []
    assert A.cid in ends.found_at


@given(st.lists(st.tuples(st.integers(0, 3600 * S), st.integers(0, 12)), min_size=1, max_size=200))
def test_no_doubt_grows_older_than_its_bound_without_an_alarm(steps: list[tuple[int, int]]) -> None:
    """I11: whatever look-ups say and whenever somebody looks, the next alarm is an hour away at most."""
    doubt, now, last = Doubt(fence=0, lag=0, opened=0), 0, 0
    for passed, failures in steps:
        now += passed
        doubt.failures = failures
        due = is_alarming(doubt, now)
        bound = ALARM_AFTER_NS if not doubt.alarms else ALARM_AT_LEAST_NS
        assert due or now - last < bound
        assert next_alarm(doubt) <= last + bound
        if not doubt.alarms and failures >= ALARM_FAILURES:
            assert due
        if due:
            alarmed(doubt, now)
            last = now
            assert not is_alarming(doubt, now)
            assert next_alarm(doubt) >= now + ALARM_AFTER_NS


def test_alarm_names_its_order() -> None:
    said = in_doubt(A, 3, "why")

    assert (said.about, said.subject, said.iid, said.symbol, said.n) == ("doubt", A.cid, A.iid, "BTC/USDT", 3)


def test_flood_of_refusals_is_told_in_part_and_counted_in_full() -> None:
    said: list[Alarm] = []
    now = 5
    refusals = Refusals(said.append, lambda: now)
    for n in range(1000):
        refusals.refused(f"pid {n}", "forged")
    assert [each.subject for each in said] == [f"pid {n}" for n in range(MOST)]

    refusals.look()
    now += WITHIN_NS
    refusals.look()
    refusals.look()
    refusals.refused("pid 1", "again")
    assert [(each.detail, each.n) for each in said[MOST:]] == [
        (f"{1000 - MOST} more were refused", 1000), ("again", 1001),
    ]  # fmt: skip


def test_orders_show_the_alarm_while_the_doubt_lasts() -> None:
    book = OrderBook()
    book.take(A)
    book.take(Unknown(iid=A.iid, cause="timeout"))
    assert book.alarms() == []
    for n in (1, 2):
        book.take(msgspec.structs.replace(in_doubt(A, n, f"told {n}"), t=n))
    assert [each.detail for each in book.alarms()] == ["told 2"]
    assert book.alarm(book.all()[0]) == book.alarms()[0]

    book.take(Ack(iid=A.iid, venue_id="7", t_venue=0))
    assert book.alarms() == []
    assert book.alarm(book.all()[0]) is None
