"""Orders in doubt are looked for one at a time, and each leaves through one door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt
import pytest
from msgspec.structs import replace

from parley.instruments import ZERO, at
from parley.messages import Intent
from runtime import doubts
from runtime.doubts import Doubts
from tests.kit.units import make_intent
from venues.bybit_limits import BybitLimits
from venues.capabilities import CAPABILITIES, weakest
from venues.limits import NoLimits, Request
from venues.meter import Asked, Meter
from venues.port import Absent, Acked, VenueError
from venues.several_meter import SeveralMeters

MS = 1_000_000
ORDER = Acked(venue_id="7", t_venue=0)
A, B = make_intent(1), make_intent(2)


class Venue:
    """Answers look-ups as it is told, the last answer for ever."""

    lag_ns = 5 * MS
    capabilities = CAPABILITIES["binanceusdm"]

    def __init__(self, *answers: Acked | Absent | VenueError) -> None:
        self._answers = list(answers)
        self.meter: Asked = Meter(NoLimits())
        self.looks: list[tuple[str, int]] = []
        self.at_once = self.most_at_once = 0

    async def look_up(self, intent: Intent) -> Acked | Absent:
        self.looks.append((intent.cid, time.monotonic_ns()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, VenueError):
            raise answer
        return answer


class Ends:
    """Keeps through which door orders left."""

    def __init__(self) -> None:
        self.doors: list[tuple[str, str]] = []
        self.orders: list[Acked] = []

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        self.doors.append(("known" if is_known else "found", intent.cid))
        self.orders.append(order)

    def not_accepted(self, intent: Intent) -> None:
        self.doors.append(("not accepted", intent.cid))

    def appeared(self, intent: Intent) -> None:
        self.doors.append(("appeared", intent.cid))

    def alarm(self, intent: Intent, n: int, why: str) -> None:
        raise AssertionError("nothing here lasts as long as that")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let seconds be milliseconds."""
    monkeypatch.setattr("runtime.resolution.CLOCK_SLACK_NS", MS)
    monkeypatch.setattr("runtime.resolution._EARLY_NS", (0, MS, 2 * MS))
    monkeypatch.setattr("runtime.resolution._FIRST_PAUSE_NS", MS)
    monkeypatch.setattr(doubts, "_LATE_LOOKS_NS", (20 * MS, 30 * MS))


def run(
    venue: Venue, play: Callable[[Doubts, Ends], Awaitable[None]], *, doors: int, stays_ms: int = 0
) -> list[tuple[str, str]]:
    """Play until so many doors were used, and a while longer."""
    ends = Ends()

    async def whole() -> None:
        held: Any = venue
        asked = Doubts(held, ends)
        running = asyncio.ensure_future(asked.run())
        await play(asked, ends)
        async with asyncio.timeout(10):
            while len(ends.doors) < doors:
                await asyncio.sleep(0.001)
        await asyncio.sleep(stays_ms / 1000)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())
    return ends.doors


def test_order_that_is_found_leaves_at_once() -> None:
    async def play(asked: Doubts, _: Ends) -> None:
        asked.open(A, time.monotonic_ns() + 10**12)

    assert run(Venue(ORDER), play, doors=1, stays_ms=20) == [("found", A.cid)]


def test_venue_that_is_asked_too_much_is_not_asked_for_an_order_before_it_may_be() -> None:
    venue = Venue(ORDER)
    venue.meter = banned = Meter(BybitLimits(ban_ns=50 * MS))
    opened = 0

    async def play(asked: Doubts, _: Ends) -> None:
        nonlocal opened
        opened = time.monotonic_ns()
        banned.failed(Request.TIME, ccxt.AuthenticationError('bybit {"retCode":10009}'), {})
        asked.open(A, opened + 10**12)

    assert run(venue, play, doors=1) == [("found", A.cid)]
    assert [at - opened >= 50 * MS for _, at in venue.looks] == [True]


def test_venue_that_may_not_be_asked_holds_up_no_order_at_another() -> None:
    venue = Venue(ORDER)
    away = make_intent(5, symbol="BTC/USDT@bybit")
    resting = Meter(BybitLimits(ban_ns=200 * MS))
    venue.meter = SeveralMeters({"binance": venue.meter, "bybit": resting})
    resting.failed(Request.TIME, ccxt.AuthenticationError('bybit {"retCode":10009}'), {})
    began = time.monotonic_ns()

    async def play(asked: Doubts, _: Ends) -> None:
        asked.open(away, time.monotonic_ns() + 10**12)
        await asyncio.sleep(0.02)
        asked.open(A, time.monotonic_ns() + 10**12)

    assert run(venue, play, doors=2) == [("found", A.cid), ("found", away.cid)]
    assert [at - began >= 200 * MS for _, at in venue.looks] == [False, True]


def test_what_guards_a_holding_is_looked_for_first_and_exits_before_purchases() -> None:
    venue = Venue(ORDER)
    exit_ = make_intent(3, side="sell", reduce_only=True)
    stop = make_intent(4, side="sell", reduce_only=True, style="stop_limit", trigger=Decimal(1))

    async def play(asked: Doubts, _: Ends) -> None:
        for order in (A, exit_, B, stop):
            asked.open(order, time.monotonic_ns() + 10**12)

    run(venue, play, doors=4)
    assert [cid for cid, _ in venue.looks] == [stop.cid, exit_.cid, A.cid, B.cid]


def test_order_that_is_nowhere_leaves_after_its_fence_and_stays_watched() -> None:
    venue = Venue(Absent())
    opened = 0

    async def play(asked: Doubts, _: Ends) -> None:
        nonlocal opened
        opened = time.monotonic_ns()
        asked.open(A, opened + 30 * MS)
        asked.measured(10 * MS)

    assert run(venue, play, doors=1, stays_ms=80) == [("not accepted", A.cid)]
    after = [at for _, at in venue.looks if at > opened + (30 + 10 + 1 + 5) * MS]
    assert len(after) >= 2 + 2, "twice to be sure, and twice to see whether it comes late"


def test_nothing_is_given_up_before_the_clocks_were_compared() -> None:
    venue = Venue(Absent())

    async def play(asked: Doubts, ends: Ends) -> None:
        asked.open(A, time.monotonic_ns())
        await asyncio.sleep(0.1)
        assert ends.doors == []
        assert len(venue.looks) > 3
        asked.measured(MS)

    assert run(venue, play, doors=1) == [("not accepted", A.cid)]


def test_only_the_clock_of_its_own_exchange_decides_about_an_order() -> None:
    venue, away = Venue(Absent()), make_intent(5, symbol="BTC/USDT@bybit")

    async def play(asked: Doubts, ends: Ends) -> None:
        asked.open(A, time.monotonic_ns())
        asked.open(away, time.monotonic_ns())
        asked.measured(10**12, "okx")
        asked.measured(MS, "bybit")
        async with asyncio.timeout(5):
            while not ends.doors:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert ends.doors == [("not accepted", away.cid)]
        asked.measured(MS)

    assert run(venue, play, doors=2) == [("not accepted", away.cid), ("not accepted", A.cid)]


def test_exchange_that_does_not_answer_is_asked_again_one_order_at_a_time() -> None:
    venue = Venue(VenueError("down"), VenueError("down"), VenueError("down"), ORDER)

    async def play(asked: Doubts, _: Ends) -> None:
        asked.open(A, time.monotonic_ns())
        asked.open(B, time.monotonic_ns())
        asked.measured(MS)

    assert sorted(run(venue, play, doors=2)) == sorted([("found", A.cid), ("found", B.cid)])
    assert venue.most_at_once == 1


def test_order_the_stream_spoke_of_is_not_given_up() -> None:
    venue = Venue(Absent(), Absent(), Absent(), Absent(), Absent(), Absent(), ORDER)

    async def play(asked: Doubts, _: Ends) -> None:
        asked.open(A, time.monotonic_ns())
        asked.measured(0)
        asked.heard(A.iid)
        asked.heard(B.iid)  # nobody doubts it

    assert run(venue, play, doors=1, stays_ms=20) == [("found", A.cid)]


def test_a_stop_that_the_venue_forgot_unfilled_is_told_as_cancelled_and_stays_watched() -> None:
    stop = make_intent(4, side="sell", reduce_only=True, style="stop_limit", trigger=Decimal(1))
    day = 86_400_000 * MS
    venue, told = Venue(Absent()), []

    async def play(asked: Doubts, ends: Ends) -> None:
        now = time.monotonic_ns()
        # placed four days ago, as a gateway that was started anew says it
        asked.open(stop, now, is_known=True, sure_until=now - day)
        asked.measured(MS)
        async with asyncio.timeout(5):
            while not ends.orders:
                await asyncio.sleep(0.001)
        told.extend(asked.told())
        (event,) = [each.event for each in ends.orders]
        assert event is not None
        assert (event.iid, event.status, event.cum_qty) == (stop.iid, "canceled", ZERO)
        venue._answers[:] = [ORDER]

    assert run(venue, play, doors=3) == [("known", stop.cid), ("appeared", stop.cid), ("known", stop.cid)]
    assert told == []


@pytest.mark.parametrize("age_days", [2, 91])
def test_a_stop_that_may_be_listed_or_have_traded_stays_in_doubt(age_days: int) -> None:
    stop = make_intent(4, side="sell", reduce_only=True, style="stop_limit", trigger=Decimal(1))

    async def play(asked: Doubts, ends: Ends) -> None:
        now = time.monotonic_ns()
        asked.open(stop, now, is_known=True, sure_until=now + (3 - age_days) * 86_400_000 * MS)
        asked.measured(MS)
        await asyncio.sleep(0.1)
        assert [each.cid for each in asked.told()] == [stop.cid]

    assert run(Venue(Absent()), play, doors=0) == []


@pytest.mark.parametrize(
    ("exchange", "age_h", "has_ended"),
    [
        ("", 80, True), ("", 88 * 24, True), ("", 90 * 24, False), ("bybit", 23, False), ("bybit", 25, True),
        ("bybit", 6 * 24 - 1, True), ("bybit", 6 * 24 + 1, False), ("okx", 1, False), ("okx", 3, False),
        ("okx", 88 * 24, False), ("okx", 90 * 24, False),
    ],
)  # fmt: skip
def test_a_stop_has_ended_by_what_its_own_exchange_forgets(
    exchange: str, age_h: int, has_ended: bool
) -> None:
    rows = {"": CAPABILITIES["binanceusdm"], **{each: CAPABILITIES[each] for each in ("bybit", "okx")}}
    stop = make_intent(
        4, symbol=at("BTC/USDT", exchange), side="sell", reduce_only=True, style="stop_limit",
        trigger=Decimal(1),
    )  # fmt: skip
    venue = Venue(Absent())
    venue.capabilities = replace(weakest([*rows.values()]), places=tuple(rows.items()))

    async def play(asked: Doubts, ends: Ends) -> None:
        sent = time.monotonic_ns() - age_h * 3_600_000 * MS
        until = sent + venue.capabilities.of(stop.symbol).remembered_ns(stop)
        asked.open(stop, sent, is_known=True, sure_until=until)
        asked.measured(MS, exchange)
        await asyncio.sleep(0.1)
        assert [each.cid for each in asked.told()] == ([] if has_ended else [stop.cid])

    assert run(venue, play, doors=int(has_ended)) == ([("known", stop.cid)] if has_ended else [])


@pytest.mark.parametrize("by_stream", [True, False])
def test_late_appearance_is_told_once_and_then_looked_up(by_stream: bool) -> None:
    async def play(asked: Doubts, _: Ends) -> None:
        asked.bury(A)
        if by_stream:
            asked.heard(A.iid)

    assert run(Venue(ORDER), play, doors=2, stays_ms=30) == [("appeared", A.cid), ("known", A.cid)]
