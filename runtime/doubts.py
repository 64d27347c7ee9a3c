"""The orders of one gateway that nobody knows about: asks the venue until each has its fate.

Problem: after a timeout, a 5xx, a cut connection or a restart an order may exist, may come to exist, or may
not. It keeps its reservation and closes its symbol until the venue was asked often and late enough. An order
that was found not accepted is still listened and looked for during a day: the venue's window is checked at
its edge, and what stands behind the edge is not ours to know.

Not here: when absence counts (`resolution`), journal and desk (`gateway`).

Invariant: one look-up at a time, so that many doubts do not use up the venue's budget; an order leaves
through exactly one of `found` and `not_accepted`, and through `appeared` only after the latter.
"""

import asyncio
import logging
import time
from typing import Final, Protocol

import msgspec

from parley.messages import Intent
from runtime.resolution import Doubt, Fate, Sight, learn, measured, next_look
from venues.port import Acked, Venue, VenueError

log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000_000
_LATE_LOOKS_NS: Final = (30 * _SECOND, 300 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND)


class Endings(Protocol):
    """What a gateway does when it knows."""

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        """The order exists; ``is_known``: that was said before, and only what happened to it is news."""

    def not_accepted(self, intent: Intent) -> None:
        """The order does not exist and cannot come to exist."""

    def appeared(self, intent: Intent) -> None:
        """An order that was said not to exist does."""


class _Case(msgspec.Struct, kw_only=True):
    intent: Intent
    doubt: Doubt
    due: int
    is_known: bool = False
    late_looks: int = -1  # -1: in doubt; from 0 on: it was not accepted, and so often was looked for since


class Doubts:
    """All orders in doubt, and those of the last day that were not accepted."""

    def __init__(self, venue: Venue, endings: Endings) -> None:
        self._venue = venue
        self._endings = endings
        self._cases: dict[bytes, _Case] = {}
        self._clock_error: int | None = None
        self._changed = asyncio.Event()

    def open(self, intent: Intent, fence: int, *, is_known: bool = False) -> None:
        """Take up an order whose request may be accepted until ``fence``, monotonic ns."""
        doubt = Doubt(fence=fence, lag=self._venue.lag_ns, is_seen=is_known)
        self._cases[intent.iid] = _Case(
            intent=intent, doubt=doubt, due=time.monotonic_ns(), is_known=is_known
        )
        self._changed.set()

    def bury(self, intent: Intent) -> None:
        """Watch for an order that was not accepted."""
        due = time.monotonic_ns() + _LATE_LOOKS_NS[0]
        doubt = Doubt(fence=0, lag=0)
        self._cases[intent.iid] = _Case(intent=intent, doubt=doubt, due=due, late_looks=0)

    def heard(self, iid: bytes) -> None:
        """Note that the venue spoke of an order."""
        case = self._cases.get(iid)
        if case is None:
            return
        case.doubt.is_seen = True
        if case.late_looks >= 0:
            self._appeared(case)

    def measured(self, clock_error: int) -> None:
        """Note how far the venue's clock and ours may be apart, ns."""
        # the measurement before a send tells more of the moment of the send than the one after it
        worst = max(clock_error, self._clock_error or 0)
        self._clock_error = clock_error
        for case in self._cases.values():
            if case.doubt.clock_error is None:
                measured(case.doubt, worst)
                case.due = min(case.due, next_look(case.doubt, time.monotonic_ns()))
                self._changed.set()
            else:
                measured(case.doubt, clock_error)

    async def run(self) -> None:
        """Look for the orders until cancelled."""
        while True:
            case = min(self._cases.values(), key=lambda each: each.due, default=None)
            pause = None if case is None else (case.due - time.monotonic_ns()) / _SECOND
            if case is not None and pause is not None and pause <= 0:
                await self._look(case)
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _look(self, case: _Case) -> None:
        began = time.monotonic_ns()
        order: Acked | None = None
        try:
            answer = await self._venue.look_up(case.intent)
        except VenueError as error:
            log.warning("look_up_failed cid=%s cause=%s", case.intent.cid, error)
            sight = Sight.FAILED
        else:
            order = answer if isinstance(answer, Acked) else None
            sight = Sight.FOUND if order is not None else Sight.ABSENT
        if self._cases.get(case.intent.iid) is not case:
            return
        if case.late_looks >= 0:
            self._looked_late(case, sight)
        else:
            self._looked(case, sight, order, began)

    def _looked(self, case: _Case, sight: Sight, order: Acked | None, began: int) -> None:
        fate = learn(case.doubt, sight, began)
        if order is not None:
            del self._cases[case.intent.iid]
            self._endings.found(case.intent, order, is_known=case.is_known)
        elif fate is Fate.NOT_ACCEPTED:
            self.bury(case.intent)
            self._endings.not_accepted(case.intent)
        else:
            case.due = next_look(case.doubt, time.monotonic_ns())

    def _looked_late(self, case: _Case, sight: Sight) -> None:
        if sight is Sight.FOUND:
            self._appeared(case)
        elif sight is Sight.ABSENT:
            case.late_looks += 1
            if case.late_looks == len(_LATE_LOOKS_NS):
                del self._cases[case.intent.iid]
                return
            case.due += _LATE_LOOKS_NS[case.late_looks] - _LATE_LOOKS_NS[case.late_looks - 1]
        else:
            case.due = time.monotonic_ns() + _LATE_LOOKS_NS[0]

    def _appeared(self, case: _Case) -> None:
        self.open(case.intent, time.monotonic_ns(), is_known=True)
        self._endings.appeared(case.intent)
