"""Asks the venue about orders that work, because its stream may have kept something to itself.

Problem: a private stream loses an event, tells two in the wrong order, or is cut while an order ends. What
was not told is not known, and an order that ended works on in the books: its money stays reserved and its
fills are missing. So orders at work are looked up by the clock, and soon after the stream was lost.

Not here: orders of which it is not known whether they exist (`doubts`), what a found order leads to (the
gateway, which tells only what is news).

Invariant: one look-up at a time; an order that no list shows any more is handed to the doubts.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from parley.messages import Gap, Intent
from runtime.doubts import Doubts
from venues.limits import Request
from venues.port import Acked, Fact, Venue, VenueError

log = logging.getLogger(__name__)

_AFTER_LOSS_S: Final = 2.0  # until the stream stands again, mostly
_BETWEEN_S: Final = 0.1


class Orders(Protocol):
    """A gateway's orders."""

    def working(self) -> list[Intent]:
        """Orders that were sent and may still trade."""

    def is_known(self, iid: bytes) -> bool:
        """Whether the venue has spoken of an order."""

    def tell(self, fact: Fact) -> None:
        """Pass on what the user stream said."""

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        """The order exists; only what happened to it is news."""


class Inspection:
    """Looks at all orders at work every ``every_s`` seconds, 0: never, and hears the stream before them.

    ``then`` is called after each look at all of them.
    """

    def __init__(
        self, orders: Orders, venue: Venue, doubts: Doubts, every_s: float,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self._orders = orders
        self._venue = venue
        self._doubts = doubts
        self._every_s = every_s
        self._then = then
        self._is_lost = asyncio.Event()

    def tell(self, fact: Fact) -> None:
        """Pass a fact on; a gap is a reason to look soon."""
        if isinstance(fact, Gap):
            self._is_lost.set()
        self._orders.tell(fact)

    async def run(self) -> None:
        """Look until cancelled."""
        if not self._every_s:
            await asyncio.Event().wait()
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._is_lost.wait()
                await asyncio.sleep(min(_AFTER_LOSS_S, self._every_s))
            except TimeoutError:
                pass
            self._is_lost.clear()
            await self._look_at_all()
            if self._then is not None:
                await self._then()

    async def _look_at_all(self) -> None:
        for intent in self._orders.working():
            doubtful = {each.cid for each in self._doubts.told()}
            if self._orders.is_known(intent.iid) and intent.cid not in doubtful:
                await self._look_at(intent)
                await asyncio.sleep(_BETWEEN_S)

    async def _look_at(self, intent: Intent) -> None:
        await self._venue.meter.of(intent.symbol).turn(Request.LOOK_UP)
        try:
            found = await self._venue.look_up(intent)
        except VenueError as error:
            log.warning("inspection_failed cid=%s cause=%s", intent.cid, error)
            return
        if isinstance(found, Acked):
            self._orders.found(intent, found, is_known=True)
        else:
            log.warning("order_not_shown cid=%s", intent.cid)
            self._doubts.open(intent, time.monotonic_ns(), is_known=True)
