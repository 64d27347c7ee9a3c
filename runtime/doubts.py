"""The orders of one gateway that nobody knows about: asks the venue until each has its fate.

Problem: after a timeout, a 5xx, a cut connection or a restart an order may exist, may come to exist, or may
not. It keeps its reservation and closes its symbol until the venue was asked often and late enough. An order
that was found not accepted is still listened and looked for during a day: the venue's window is checked at
its edge, and what stands behind the edge is not ours to know. When the venue does not answer for long, a
person is called, again and again: nobody else can end it.

A stop that the venue must have forgotten is told as cancelled, with nothing traded, and looked for as long.

Not here: when absence counts (`resolution`), journal and desk (`gateway`).

Invariant: one look-up at a time, so that many doubts do not use up the venue's budget, and a venue that may
not be asked holds up no order at another; an order leaves through exactly one of `found` and `not_accepted`,
and through `appeared` only after the latter. An alarm waits for no look-up.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from parley.instruments import ZERO, exchange_of
from parley.messages import Intent, OrderEvent
from runtime.resolution import (
    Doubt,
    Fate,
    Sight,
    alarmed,
    is_alarming,
    is_forgotten,
    learn,
    measured,
    next_look,
)
from venues.limits import Request
from venues.port import Acked, Venue, VenueError

log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000_000
_ALARM_LOOK_S: Final = 1.0
_LONGEST_WORD: Final = 200  # of what a venue says goes into an alarm
_LATE_LOOKS_NS: Final = (30 * _SECOND, 300 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND)


class Endings(Protocol):
    """What a gateway does when it knows."""

    def found(self, intent: Intent, order: Acked, *, is_known: bool) -> None:
        """The order exists; ``is_known``: that was said before, and only what happened to it is news."""

    def not_accepted(self, intent: Intent) -> None:
        """The order does not exist and cannot come to exist."""

    def appeared(self, intent: Intent) -> None:
        """An order that was said not to exist does."""

    def alarm(self, intent: Intent, n: int, why: str) -> None:
        """Nobody can find out what became of the order; the ``n``-th time this is said of it."""


class InDoubt(msgspec.Struct, frozen=True):
    """An order in doubt as it is told: since ``age_s`` seconds, ``alarms`` were raised, ``why`` in words."""

    cid: str
    symbol: str
    side: str
    qty: Decimal
    age_s: float
    alarms: int
    why: str


class _Case(msgspec.Struct, kw_only=True):
    intent: Intent
    doubt: Doubt
    due: int
    is_known: bool = False
    said: str = ""  # by the venue, when the last look-up failed
    late_looks: int = -1  # -1: in doubt; from 0 on: it was not accepted, and so often was looked for since


class Doubts:
    """All orders in doubt, and those of the last day that were not accepted."""

    def __init__(self, venue: Venue, endings: Endings, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._venue = venue
        self._endings = endings
        self._clock = clock
        self._cases: dict[bytes, _Case] = {}
        self._clock_errors: dict[str, int] = {}  # by exchange, the last one
        self._changed = asyncio.Event()

    def open(
        self, intent: Intent, fence: int, *, is_known: bool = False, sure_until: int | None = None
    ) -> None:
        """Take up an order whose request may be accepted until ``fence``, monotonic ns.

        ``sure_until``: how long the venue remembers how it ended, None for ever.
        """
        now = self._clock()
        doubt = Doubt(
            fence=fence, lag=self._venue.lag_ns, is_seen=is_known, opened=now, sure_until=sure_until,
            traded_until=self._traded_until(intent, sure_until),
        )  # fmt: skip
        self._cases[intent.iid] = _Case(intent=intent, doubt=doubt, due=now, is_known=is_known)
        self._changed.set()

    def _traded_until(self, intent: Intent, sure_until: int | None) -> int | None:
        if intent.trigger is None or sure_until is None:
            return None
        row = self._venue.capabilities.of(intent.symbol)
        return sure_until - row.remembered_ns(intent) + row.traded_ns

    def bury(self, intent: Intent) -> None:
        """Watch for an order that was not accepted."""
        due = self._clock() + _LATE_LOOKS_NS[0]
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

    def measured(self, clock_error: int, exchange: str = "") -> None:
        """Note how far the clock of an exchange and ours may be apart, ns."""
        # the measurement before a send tells more of the moment of the send than the one after it
        worst = max(clock_error, self._clock_errors.get(exchange, 0))
        self._clock_errors[exchange] = clock_error
        for case in self._cases.values():
            if exchange_of(case.intent.symbol) != exchange:
                continue
            if case.doubt.clock_error is None:
                measured(case.doubt, worst)
                case.due = min(case.due, next_look(case.doubt, self._clock()))
                self._changed.set()
            else:
                measured(case.doubt, clock_error)

    def told(self) -> list[InDoubt]:
        """Say of every order of which nobody knows what became of it since when and why, the oldest first."""
        now = self._clock()
        return [
            InDoubt(
                each.intent.cid, each.intent.symbol, each.intent.side, each.intent.qty,
                round((now - each.doubt.opened) / _SECOND, 1), each.doubt.alarms, _why(each, now),
            )
            for each in self._cases.values()
            if each.late_looks < 0
        ]  # fmt: skip

    def unsettled(self, iids: Iterable[bytes]) -> frozenset[bytes]:
        """Say which of some orders may still find their fate; one the venue may have forgotten finds none."""
        now, cases = self._clock(), self._cases
        return frozenset(
            iid
            for iid in iids
            if iid in cases and cases[iid].late_looks < 0 and not is_forgotten(cases[iid].doubt, now)
        )

    async def run(self) -> None:
        """Look for the orders, and call a person where that is in vain, until cancelled."""
        await asyncio.gather(self._look_on(), self._watch())

    async def _watch(self) -> None:
        # beside the look-ups: one that never returns is what an alarm is for
        while True:
            await asyncio.sleep(_ALARM_LOOK_S)
            for case in list(self._cases.values()):
                self._alarm_if_due(case)

    def _alarm_if_due(self, case: _Case) -> None:
        now = self._clock()
        if case.late_looks < 0 and is_alarming(case.doubt, now):
            alarmed(case.doubt, now)
            age_s = (now - case.doubt.opened) / _SECOND
            self._endings.alarm(
                case.intent, case.doubt.alarms, f"in doubt for {age_s:.0f} s: {_why(case, now)}"
            )

    def _next(self) -> _Case | None:
        """Of those whose turn has come first what guards a holding, for else nobody does, then exits."""
        now = self._clock()
        return min(
            self._cases.values(), key=lambda each: (max(each.due, now), _rank(each), each.due), default=None
        )

    async def _look_on(self) -> None:
        while True:
            case = self._next()
            pause = None if case is None else (case.due - self._clock()) / _SECOND
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
        if (lack := self._venue.meter.of(case.intent.symbol).take(Request.LOOK_UP)) is not None:
            case.due = self._clock() + max(lack.wait, _SECOND // 1000)  # meanwhile those of other venues
            return
        began = self._clock()
        order: Acked | None = None
        try:
            answer = await self._venue.look_up(case.intent)
        except VenueError as error:
            log.warning("look_up_failed cid=%s cause=%s", case.intent.cid, error)
            sight, case.said = Sight.FAILED, str(error)
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
        elif fate is Fate.ENDED:
            del self._cases[case.intent.iid]
            self._endings.found(case.intent, _ended(case.intent), is_known=case.is_known)
            self.bury(case.intent)
        else:
            case.due = next_look(case.doubt, self._clock())
            self._alarm_if_due(case)

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
            case.due = self._clock() + _LATE_LOOKS_NS[0]

    def _appeared(self, case: _Case) -> None:
        self.open(case.intent, self._clock(), is_known=True)
        self._endings.appeared(case.intent)


def _ended(intent: Intent) -> Acked:
    """What a look-up would have said before the venue forgot it."""
    t = time.time_ns()
    event = OrderEvent(
        iid=intent.iid, venue_id="", symbol=intent.symbol, status="canceled", cum_qty=ZERO, avg_px=ZERO, t=t
    )
    return Acked(venue_id="", t_venue=t, event=event)


def _rank(case: _Case) -> int:
    return 0 if case.intent.trigger is not None else 1 if case.intent.reduce_only else 2


def _why(case: _Case, now: int) -> str:
    doubt = case.doubt
    if doubt.failures:
        times = "once" if doubt.failures == 1 else f"{doubt.failures} times in a row"
        return f"the venue did not answer {times}, last: {case.said[:_LONGEST_WORD]}"
    if not doubt.looks:
        return "no look-up has come back yet"
    if doubt.is_seen:
        return "the venue spoke of it, and no list shows it"
    if is_forgotten(doubt, now):
        return "no list shows it, and the venue may have forgotten it: only its own history can tell"
    if doubt.counts_after is None:
        return "no list shows it, and the venue's clock is not known"
    return "no list shows it, and it may still come to be"
