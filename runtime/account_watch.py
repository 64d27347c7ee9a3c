"""Holds a live account's balances against all fills while it is traded, and says when they agree again.

Problem: what the private stream lost nobody has heard of, and an exchange cuts that stream every day. A desk
that opens nothing until a person has looked is stopped every day; one that goes on as if nothing had been
lost trades on books that may be wrong. The balances decide: when the account holds what the fills say, no
fill is missing.

Not here: orders at work (`inspection`, which has looked at all of them before this is asked), what an audit
at the end says (`real_money`), what a desk does in doubt (`orchestrator.account`).

Invariant: `Compared` is only said after balances that lacked nothing were read with no order in doubt, while
the stream stands (`Venue.hears`), and no gap was told since the reading began or shortly before.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Final

from parley.instruments import ZERO
from parley.messages import Compared, Gap
from runtime.doubts import Doubts
from runtime.real_money import Books
from venues.limits import Request
from venues.port import Fact, Venue, VenueError

log = logging.getLogger(__name__)

STREAMS: Final = ("account", "user")
_STANDS_AFTER_S: Final = 45.0  # longer than a lost stream takes from one try to the next
_SETTLES_S: Final = 5.0  # between a trade and the venue's word of it
_LOOKS_S: Final = 0.5


class AccountWatch:
    """Compares when asked to; ``positions`` are what all fills brought and go on growing.

    What moves in other assets than these and the ``quote`` is their owner's affair. ``say`` tells the desk,
    ``refresh`` counts what the venue paid or took by itself before balances are read.
    """

    def __init__(
        self,
        books: Books,
        venue: Venue,
        positions: Mapping[str, Decimal],
        quote: str,
        doubts: Doubts,
        say: Callable[[Gap | Compared], None],
        refresh: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._books = books
        self._venue = venue
        self._positions = positions
        self._quote = quote
        self._doubts = doubts
        self._say = say
        self._refresh = refresh
        self._clock = clock
        self._last_gap = -_STANDS_AFTER_S
        self._is_open = True  # an earlier life may have left a doubt
        self._less: dict[str, Decimal] = {}
        # what others brought of the desk's own assets: it must not hide what the desk lacks
        self._more: dict[str, Decimal] = {}
        self._seen_more: dict[str, Decimal] = {}
        self._now_more: dict[str, Decimal] = {}

    def heard(self, fact: Fact) -> None:
        """Note a gap of the private stream."""
        if isinstance(fact, Gap):
            self._last_gap, self._is_open = self._clock(), True

    async def look(self) -> None:
        """Compare once; what is less than the fills say closes the account for opening."""
        began = self._clock()
        if self._doubts.told():
            return
        try:
            less = await self._lacks()
        except VenueError as error:
            log.warning("account_not_compared cause=%s", error)
            return
        if less:
            if less != self._less:
                log.error("account_lacks %s", {asset: f"{amount:f}" for asset, amount in less.items()})
                self._less, self._is_open = less, True
                self._say(Gap(stream=STREAMS[0], from_seq=0, to_seq=-1))
            return
        self._less = {}
        before, now = self._seen_more, self._now_more
        self._seen_more = now
        if before != now:
            return  # it moves, and so may hide a fill; the next look compares with it
        self._more = now
        if not self._is_open or self._last_gap > began - _STANDS_AFTER_S:
            return
        # a connection may be accepted and then say nothing for minutes, and no gap tells of it
        hears = await self._venue.hears()
        if hears and self._last_gap <= began - _STANDS_AFTER_S and not self._doubts.told():
            self._is_open = False
            self._say(Compared(streams=STREAMS, t=time.time_ns()))

    async def _lacks(self) -> dict[str, Decimal]:
        """Return by asset how much less there always is than the fills say: a fill on its way is no lack."""
        until = self._clock() + _SETTLES_S
        always: dict[str, Decimal] | None = None
        while True:
            await self._refresh()
            await self._venue.meter.turn(Request.BALANCES)
            moved = self._books.other(dict(await self._venue.balances()), self._positions)
            own = {self._quote, *self._positions}
            less = {
                each: lack
                for each in own
                if (lack := self._more.get(each, ZERO) - moved.get(each, ZERO)) > ZERO
            }
            self._now_more = {each: moved[each] for each in own if moved.get(each, ZERO) > ZERO}
            always = less if always is None else {e: min(always[e], less[e]) for e in always if e in less}
            if not always or self._clock() >= until:
                return always
            await asyncio.sleep(_LOOKS_S)


__all__ = ["STREAMS", "AccountWatch"]
