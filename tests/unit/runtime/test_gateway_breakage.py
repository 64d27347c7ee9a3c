"""A gateway whose journal is dead, or says nothing, ends all the same and leaves the venue's timer running.

Time is virtual. Not here: when the timer is set (test_gateway_dead_man.py), real full disks (tests/chaos).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal as D
from typing import Any

import pytest

from parley.errors import Fatal
from parley.messages import CancelIntent, Intent
from runtime.gateway import Breakage, let_go
from tests.kit.units import make_intent
from tests.kit.virtual_time import VirtualLoop, run
from venues.port import Rejected, SendResult

RESTING = make_intent(1, style="limit", tif="GTC", px=D(40_000))


class Timer:
    """What keeps the timer, as far as an end asks it."""

    def __init__(self) -> None:
        self.ends: list[bool] = []

    async def end(self, *, leaves: bool) -> None:
        self.ends.append(leaves)


class Mute:
    """A gateway with an order at work, whose journal answers no more; ``asked`` is how often it was."""

    def __init__(self, orders: list[Intent]) -> None:
        self.orders = orders
        self.asked = 0
        self.doubts: Any = None

    def working(self) -> list[Intent]:
        return self.orders

    def is_known(self, iid: bytes) -> bool:
        return True

    async def written(self, intents: list[Intent]) -> list[CancelIntent]:
        self.asked += 1
        return await asyncio.get_running_loop().create_future()

    async def cancel_now(self, cancel: CancelIntent) -> SendResult:
        return Rejected(code="never", detail="asked")

    async def cancelable(self, orders: Sequence[Intent], patience_s: float) -> list[Intent]:
        return list(orders)


@pytest.mark.parametrize(
    ("breaks_after_s", "ends_after_s", "asked"), [(0.0, 0.0, 0), (3.0, 3.0, 1), (None, 20.0, 1)]
)
def test_an_end_over_a_dead_journal_neither_hangs_nor_takes_the_timer_off(
    breaks_after_s: float | None, ends_after_s: float, asked: int
) -> None:
    loop = VirtualLoop()

    async def story() -> None:
        gateway, timer, breakage = Mute([RESTING]), Timer(), Breakage(asyncio.Event())
        if breaks_after_s == 0.0:
            breakage.note(Fatal("no room"))
        elif breaks_after_s is not None:
            loop.call_later(breaks_after_s, breakage.note, Fatal("no room"))
        left = await let_go(gateway, timer, breakage.told, takes_back=True)  # type: ignore[arg-type]
        assert loop.time() == pytest.approx(ends_after_s, abs=0.1)
        assert left == (RESTING.cid,)
        assert timer.ends == [True]
        assert gateway.asked == asked

    run(story(), loop)


def test_a_dead_journal_leaves_the_timer_also_where_nothing_is_taken_back() -> None:
    async def story() -> None:
        timer, breakage = Timer(), Breakage(asyncio.Event())
        breakage.note(Fatal("no room"))
        await let_go(Mute([]), timer, breakage.told, takes_back=False)  # type: ignore[arg-type]
        assert timer.ends == [True]

    run(story(), VirtualLoop())


def test_a_journal_in_order_lets_the_timer_go() -> None:
    async def story() -> None:
        timer, breakage = Timer(), Breakage(asyncio.Event())
        await let_go(Mute([]), timer, breakage.told, takes_back=True)  # type: ignore[arg-type]
        assert timer.ends == [False]

    run(story(), VirtualLoop())
