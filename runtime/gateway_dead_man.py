"""Keeps a venue's timer set as long as a gateway lives, so that it cancels what rests when we fall silent.

Problem: gateway, machine or line are gone, nobody takes over, and what rests at the venue goes on trading.
The timer is the venue's, so it works then as well (enterprise.md 204, negotiation.md 313). It is set from the
start, whether or not anything rests, and anew after a third of its time, until an orderly end at which
nothing of ours rests there. Who ends otherwise leaves it running: that is what it is for.

While no promise of the venue stands nothing that opens and may rest is sent (`Passing`); what only reduces is
sent as ever, and so are cancels. Who wants to trade without a timer says so (0 seconds). A life without one
says so to the venue: an earlier life's timer would run out over the orders of this one.

Not here: what is known of a timer (`venues.dead_man`), which venues have one (`venues.capabilities`).

Invariant: requests for it take no more than a fifth of the limits that orders pay of, and go before openings
only when two thirds of a promise are over. No timer is set that may cancel a stop which waits there.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from parley.budget import Rank
from parley.errors import ConfigError
from parley.instruments import exchange_of, plain
from parley.messages import Intent
from venues.capabilities import Capabilities
from venues.dead_man import DeadManSwitch, may_rest, switches_of
from venues.limits import Request
from venues.meter import words
from venues.port import Venue, VenueError

log = logging.getLogger(__name__)

USUAL_S: Final = 60
_PERCENT: Final = 20
_LOOK_S: Final = 1.0  # after the machine slept nobody waits longer than that to ask
_LOOK_NS: Final = 1_000_000_000
_FIRST_NS: Final = 100_000_000  # between the first requests, at least
_FEW: Final = 20  # so many first requests are no burden
_RENEWALS: Final = 3
_PRESSING: Final = 2  # times as long between tries that go before openings: exits need that room
_NS: Final = 1_000_000_000
_END_S: Final = 3.0  # who ends does not wait longer for an answer or for room in a limit


class Orders(Protocol):
    """A gateway's orders."""

    def working(self) -> list[Intent]:
        """Orders that were sent and may still trade."""


def unfit(row: Capabilities, seconds: int | None) -> str:
    """Say what is wrong with a time-out for a venue's timer; empty where none is used or it has none."""
    if row.dead_man is None or not seconds or row.dead_man.least_s <= seconds <= row.dead_man.most_s:
        return ""
    least, most = row.dead_man.least_s, row.dead_man.most_s
    return f"expected {least} to {most} seconds, or 0 for no dead man's switch, was {seconds}"


class _Place:
    """One venue's timers, ``seconds`` each, and how far apart requests for the same one have to be."""

    def __init__(self, switch: DeadManSwitch, where: str, symbols: Sequence[str]) -> None:
        self.switch = switch
        self.where = where
        self.symbols = symbols
        self.seconds = 0
        apart_ns = switch.meter.apart_ns(Request.DEAD_MAN, _PERCENT)
        self.first_ns = max(_FIRST_NS, apart_ns if len(symbols) > _FEW else 0)
        self.pace_ns = len(symbols) * apart_ns
        self.renewal_ns = 0
        self._counted = 0

    @property
    def least_s(self) -> int:
        """The shortest time-out whose requests fit."""
        return -(-_RENEWALS * self.pace_ns // _NS)

    def begin(self, seconds: int | None, *, is_strict: bool) -> None:
        """Take a time-out; None: the usual one, or as much longer as it must be, if the venue allows that."""
        row, count = self.switch.row, len(self.symbols)
        self.seconds = max(USUAL_S, self.least_s) if seconds is None else seconds
        if not is_strict and self.seconds:
            self.seconds = max(self.seconds, self.least_s)
        if (seconds is None or not is_strict) and self.seconds > row.most_s:
            log.warning(
                "dead_man_off exchange=%s timers=%d least_s=%d most_s=%d cause=requests for it would take"
                " more than a fifth of the limits", self.where, count, self.least_s, row.most_s,
            )  # fmt: skip
            self.seconds = 0
        if seconds and seconds < self.least_s and is_strict:
            raise ConfigError(
                f"dead_man_s: {seconds} s for {count} timers take more than a fifth of the venue's limits:"
                f" expected at least {self.least_s} (it takes up to {row.most_s}), or 0 for none"
            )
        self.renewal_ns = max(self.seconds * _NS // _RENEWALS, self.pace_ns)

    def failed(self, why: object) -> None:
        """Count a failure as the venue's, once in the time of a renewal: one cause fails all timers."""
        if (now := self.switch.clock()) >= self._counted:
            self._counted = now + max(self.renewal_ns, _LOOK_NS)
            self.switch.meter.faults.failed(Request.DEAD_MAN.name.lower(), why)


class DeadMan:
    """The timers of a gateway's venues, of ``seconds`` each, 0: none; ``symbols`` are what is traded.

    ``alive`` are the orders that an earlier life left at work, None: there was none. ``is_strict``: a
    time-out that does not fit into the limits is refused, and not used as well as can be.
    """

    def __init__(
        self, seconds: int | None, venue: Venue, symbols: Iterable[str], orders: Orders,
        alive: Sequence[Intent] | None = None, *, is_strict: bool = True,
    ) -> None:  # fmt: skip
        self._orders = orders
        self._timers: list[_Timer] = []
        self._offs: list[_Off] = []
        wanted = sorted({*symbols, *(each.symbol for each in alive or ())})
        for where, switch in switches_of(venue).items():
            scopes: dict[str, str] = {}
            for symbol in wanted:
                if exchange_of(symbol) == where:
                    scopes.setdefault(switch.scope(plain(symbol)), plain(symbol))
            if scopes:
                place = _Place(switch, where, list(scopes.values()))
                place.begin(seconds, is_strict=is_strict)
                self._set_up(place, alive)

    def _set_up(self, place: _Place, alive: Sequence[Intent] | None) -> None:
        switch, stops = place.switch, [each for each in alive or () if each.trigger is not None]
        guarded = {
            switch.scope(plain(each.symbol)) for each in stops if exchange_of(each.symbol) == place.where
        }
        for symbol in place.symbols:
            endangers = not switch.row.spares_stops and switch.scope(symbol) in guarded
            if place.seconds and endangers:
                log.warning("dead_man_off exchange=%s symbol=%s cause=a stop waits", place.where, symbol)
            if place.seconds and not endangers:
                self._timers.append(_Timer(place, symbol, may_run=alive is not None))
            elif alive is not None:
                self._offs.append(_Off(place, symbol))

    async def run(self) -> None:
        """Set them, and set them anew, until cancelled; no timer waits for another."""
        count = max(len(self._timers), 1)
        work: list[_Timer | _Off] = [*self._timers, *self._offs]
        await asyncio.gather(*(each.keep(n, count) for n, each in enumerate(work)))
        await asyncio.Event().wait()

    async def end(self, *, leaves: bool) -> None:
        """Set them no more, and take them off where nothing rests; not if it ``leaves`` what should be gone.

        An order that is left resting is ended by the venue then.
        """
        for timer in self._timers:
            timer.is_over = True
        if leaves:
            return
        rest = {each.symbol for each in self._orders.working() if may_rest(each)}
        await asyncio.gather(*(each.take_off() for each in self._timers if not each.covers(rest)))


class _Timer:
    """One timer that is kept; ``symbol`` is one that it covers, plain."""

    def __init__(self, place: _Place, symbol: str, *, may_run: bool) -> None:
        self.is_over = False
        self._place = place
        self._symbol = symbol
        self._told = place.switch.want(symbol)
        switch = place.switch
        # one of an earlier life, or whose answer was lost, runs out over what rests and promises nothing
        self._runs_until = switch.clock() + switch.row.most_s * _NS if may_run else 0
        self._asking = asyncio.Lock()
        self._is_failing = False

    def covers(self, symbols: Iterable[str]) -> bool:
        """Whether it is about one of these."""
        where, switch = self._place.where, self._place.switch
        mine = switch.scope(self._symbol)
        return any(exchange_of(each) == where and switch.scope(plain(each)) == mine for each in symbols)

    async def keep(self, n: int, count: int) -> None:
        """Set it whenever that is due; the ``n``-th of so many has its own moment in each third."""
        place, clock = self._place, self._place.switch.clock
        origin, every = clock() + place.renewal_ns * n // count, place.renewal_ns
        due = clock() + n * place.first_ns
        while True:
            await _until(place.switch, due)
            if self.is_over:
                return
            if (lack := self._lack()) is not None:
                self._failed(self._told.failed or lack, is_asked=False)
                due = clock() + _LOOK_NS
                continue
            began, again_ns = clock(), place.pace_ns * (_PRESSING if self._presses() else 1)
            is_set = await self._set()
            due = began + (every - (began - origin) % every if is_set else again_ns)
            due = max(due, began + _LOOK_NS)

    async def take_off(self) -> None:
        """End it, after what is asked for it now."""
        place = self._place
        try:
            async with asyncio.timeout(_END_S), self._asking:
                await place.switch.meter.turn(Request.DEAD_MAN)
                await place.switch.disarm(self._symbol)
        except (VenueError, TimeoutError) as error:
            log.warning("dead_man_not_off symbol=%s cause=%r", self._symbol, error)

    def _lack(self) -> str | None:
        meter = self._place.switch.meter
        goes_first = self._presses() or meter.pays_alone(Request.DEAD_MAN)
        lack = meter.take(Request.DEAD_MAN, Rank.CANCEL if goes_first else Rank.OPEN)
        return None if lack is None else words(lack)[1]

    def _presses(self) -> bool:
        now = self._place.switch.clock()
        left = self._told.until - now
        if left <= 0:
            return now < self._runs_until
        return left < self._place.seconds * _NS // _RENEWALS

    async def _set(self) -> bool:
        async with self._asking:
            if self.is_over:
                return True
            now = self._place.switch.clock()
            asked_until = now + self._place.seconds * _NS
            if now < self._runs_until:  # else nothing of ours rests that an answer which is lost could end
                self._runs_until = max(self._runs_until, asked_until)
            try:
                await self._place.switch.arm(self._symbol, self._place.seconds)
            except VenueError as error:
                self._failed(str(error), is_asked=True)
                return False
            self._runs_until = max(self._runs_until, asked_until)
        if self._is_failing:
            log.info("dead_man_set symbol=%s seconds=%d", self._symbol, self._place.seconds)
        self._is_failing = False
        return True

    def _failed(self, why: str, *, is_asked: bool) -> None:
        self._told.failed = why
        if is_asked:
            self._place.failed(why)
        elif self._place.switch.clock() < self._told.until:
            return  # what opens took the room: it may do so until the promise is pressing
        if not self._is_failing:  # once, not each time it is tried again
            seconds = self._place.seconds
            log.warning("dead_man_not_set symbol=%s seconds=%d cause=%s", self._symbol, seconds, why)
        self._is_failing = True


class _Off:
    """One timer that an earlier life may have left running over what is not to be cancelled now."""

    def __init__(self, place: _Place, symbol: str) -> None:
        self._place = place
        self._symbol = symbol

    async def keep(self, n: int, count: int) -> None:
        """Take it off, as long as it may still run."""
        switch = self._place.switch
        due = switch.clock() + n * self._place.first_ns
        over = due + switch.row.most_s * _NS
        while due < over:
            await _until(switch, due)
            if switch.meter.take(Request.DEAD_MAN, self._rank) is None:
                try:
                    await switch.disarm(self._symbol)
                    return
                except VenueError as error:
                    self._place.failed(error)
                    log.warning("dead_man_not_off symbol=%s cause=%s", self._symbol, error)
                due = switch.clock() + max(self._place.pace_ns, _LOOK_NS)
            else:
                due = switch.clock() + _LOOK_NS

    @property
    def _rank(self) -> Rank:
        return Rank.CANCEL if self._place.switch.meter.pays_alone(Request.DEAD_MAN) else Rank.OPEN


async def _until(switch: DeadManSwitch, due: int) -> None:
    while (left := due - switch.clock()) > 0:
        await asyncio.sleep(min(left / _NS, _LOOK_S))
