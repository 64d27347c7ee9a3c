"""Orders at work are looked up by the clock and soon after the stream was lost; what is in doubt is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

import ccxt
import pytest

from parley.messages import Gap, Intent
from runtime import inspection
from runtime.doubts import Doubts
from runtime.inspection import Inspection
from tests.kit.units import make_intent
from venues.bybit_limits import BybitLimits
from venues.limits import NoLimits, Request
from venues.meter import Meter
from venues.port import Absent, Acked, Fact, Venue, VenueError

A, B, C = make_intent(1), make_intent(2), make_intent(3)
GAP = Gap(stream="user", from_seq=0, to_seq=-1)


class World:
    """A gateway's orders and their venue; ``answers`` by client id, else the order is found."""

    def __init__(self, *answers: tuple[Intent, Absent | VenueError]) -> None:
        self.known = {A.iid, B.iid}
        self.answers = {intent.cid: answer for intent, answer in answers}
        self.looked: list[str] = []
        self.told: list[Fact] = []
        self.came: list[str] = []
        self.lag_ns = 0
        self.meter = Meter(NoLimits())
        self.doubts = Doubts(cast(Venue, self), cast(Any, self))

    def working(self) -> list[Intent]:
        return [A, B, C]

    def is_known(self, iid: bytes) -> bool:
        return iid in self.known

    def tell(self, fact: Fact) -> None:
        self.told.append(fact)

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        assert is_known
        self.came.append(intent.cid)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        self.looked.append(intent.cid)
        answer = self.answers.get(intent.cid)
        if isinstance(answer, VenueError):
            raise answer
        return answer or Acked(venue_id="7", t_venue=0)


async def inspected(world: World, every_s: float, until: Callable[[], bool], gap: bool = False) -> bool:
    """Run an inspection until something holds; whether it did."""
    running = Inspection(world, cast(Venue, world), world.doubts, every_s)
    task = asyncio.ensure_future(running.run())
    if gap:
        running.tell(GAP)
    try:
        async with asyncio.timeout(2.0):
            while not until():
                await asyncio.sleep(0.001)
    except TimeoutError:
        return False
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_AFTER_LOSS_S", 0.001)
    monkeypatch.setattr(inspection, "_BETWEEN_S", 0.0)


def test_known_orders_at_work_are_looked_up_again_and_again() -> None:
    world = World()
    assert asyncio.run(inspected(world, 0.001, lambda: len(world.came) >= 6))
    assert world.came[:6] == [A.cid, B.cid] * 3
    assert C.cid not in world.looked  # nobody knows yet whether it exists: that is for the doubts


def test_a_lost_stream_is_passed_on_and_a_reason_to_look_soon() -> None:
    world = World()
    assert asyncio.run(inspected(world, 3600.0, lambda: len(world.came) >= 2, gap=True))
    assert world.told == [GAP]


def test_without_a_clock_nothing_is_looked_up_not_even_after_a_loss() -> None:
    world = World()
    assert not asyncio.run(inspected(world, 0.0, lambda: bool(world.looked), gap=True))


def test_a_venue_that_does_not_answer_for_one_is_asked_for_the_others() -> None:
    world = World((A, VenueError("not now")))
    assert asyncio.run(inspected(world, 0.001, lambda: len(world.came) >= 2))
    assert set(world.came) == {B.cid}
    assert world.doubts.told() == []


def test_an_order_that_no_list_shows_is_in_doubt_and_not_inspected_any_more() -> None:
    world = World((A, Absent()))
    assert asyncio.run(inspected(world, 0.001, lambda: len(world.came) >= 3))
    assert [each.cid for each in world.doubts.told()] == [A.cid]
    assert world.looked.count(A.cid) == 1


def test_a_venue_that_is_asked_too_much_is_left_alone_until_it_may_be_asked() -> None:
    world = World()
    world.meter = Meter(BybitLimits(ban_ns=3600 * 1_000_000_000))
    world.meter.failed(Request.TIME, ccxt.AuthenticationError('bybit {"retCode":10009}'), {})
    assert not asyncio.run(inspected(world, 0.001, lambda: bool(world.looked)))
