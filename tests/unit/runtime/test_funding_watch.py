"""What a venue paid or took by itself, counted before balances are held against fills.

Not here: payments of a real exchange over two lives (tests/contract/test_usdm_funding.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from typing import cast

from parley.messages import FundingPaid
from runtime.funding_watch import FundingWatch, counted
from runtime.lastlook import Counters
from tests.kit.contracts import fill, order, paid
from venues.port import Unasked, Venue, VenueError


class Paying:
    """A venue that lists payments."""

    def __init__(self, *done: Unasked) -> None:
        self.done = list(done)
        self.asked = 0
        self.is_down = False

    async def unasked(self) -> list[Unasked]:
        self.asked += 1
        if self.is_down:
            raise VenueError("down")
        return list(self.done)


def test_who_refreshes_often_asks_once_a_moment() -> None:
    venue, now = Paying(paid("1", -1)), [10.0]
    told: list[Unasked] = []
    watch = FundingWatch(cast(Venue, venue), ("0",), told.append, clock=lambda: now[0])

    async def run() -> None:
        await watch.refresh()
        await watch.refresh()
        assert (venue.asked, [cast(FundingPaid, each).ref for each in told]) == (1, ["1"])
        now[0] += 1.0
        venue.done.append(paid("2", 3))
        venue.is_down = True
        await watch.refresh()
        venue.is_down = False
        now[0] += 1.0
        await watch.refresh()
        assert (venue.asked, [cast(FundingPaid, each).ref for each in told]) == (3, ["1", "2"])

    asyncio.run(run())


def test_what_was_not_told_yet_is_counted_beside_and_not_in_the_counters() -> None:
    counters = Counters()
    sold = order(1, "sell", 2)
    counters.filled(fill(sold, fee=D(0)))
    counters.paid(paid("1", -5))
    closed = fill(order(2, "buy", 2), px=90, fee=D(0))

    after = counted(counters, [paid("1", -5), paid("2", -7), paid("3", 100, prior=True), closed], ("1",))

    assert after.positions == {"BTC:USDT": D(0), "USDT": D(8)}
    assert counters.positions == {"BTC:USDT": D(-2), "USDT": D(195)}
    assert counters.contracts.held["BTC:USDT"].qty == -2
    # the stream had told the forced trade already
    assert counted(after, [closed], ()).positions == after.positions
