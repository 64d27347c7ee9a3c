"""A venue's own timer that cancels our resting orders when it hears nothing from us: set, and known to be.

Problem: what rests at a venue goes on trading when everything of ours is dead or cut off. Some venues cancel
by themselves unless they are told again in time. Whether one will is a fact that nobody may guess: a request
without an answer leaves it unknown, and a timer that ran out is gone.

Not here: when it is set (`runtime.gateway_dead_man`), how a venue is told (its `DeadManWords`), which venues
have one (`capabilities`).

Invariant: a timer counts as set no longer than the venue promised, from before it was asked, also while the
machine sleeps; a venue that answers otherwise than it was asked has promised nothing.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, runtime_checkable

import msgspec

from parley.messages import Intent
from venues.capabilities import DeadMan
from venues.limits import Request
from venues.meter import Meter
from venues.port import Venue, VenueError
from venues.several import places_of
from venues.words import DeadManWords

_NS: Final = 1_000_000_000
Heard = Callable[[Request, Awaitable[None]], Awaitable[None]]


def boot_ns() -> int:
    """Return the time since the machine began, ns; unlike the monotonic clock it counts when that sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def may_rest(intent: Intent) -> bool:
    """Whether an order may wait at the venue for somebody to trade with it; stops wait otherwise."""
    return intent.trigger is None and intent.style != "market" and intent.tif not in ("IOC", "FOK")


class UnreadableError(VenueError):
    """The venue answered, and what it says of its timer is not known."""


class Told(msgspec.Struct):
    """What is known of one timer: until when it surely holds, ns of the clock, and why it was not set.

    ``failed`` is empty when the venue did what it was last asked.
    """

    until: int = 0
    failed: str = "it was not answered yet"


class DeadManSwitch:
    """The timers of one account at one venue; ``heard`` awaits a request for ``meter``, which pays for it."""

    def __init__(
        self, row: DeadMan, words: DeadManWords, meter: Meter, heard: Heard,
        clock: Callable[[], int] = boot_ns,
    ) -> None:  # fmt: skip
        self.row = row
        self.meter = meter
        self.clock = clock
        self._words = words
        self._heard = heard
        self._told: dict[str, Told] = {}

    def scope(self, symbol: str) -> str:
        """Name the timer that covers a symbol: its own, or the account's."""
        return symbol if self.row.per_symbol else ""

    def want(self, symbol: str) -> Told:
        """Count on the timer that covers a symbol from now on; returns what is known of it."""
        return self._told.setdefault(self.scope(symbol), Told())

    async def arm(self, symbol: str, seconds: int) -> None:
        """Have everything that rests there cancelled unless this is said again within some seconds.

        Raises
        ------
        VenueError
            When the venue does not do it, or does not say that it does. What it promised before still holds
            if it could not be asked, not if it said something else.
        """
        told, began = self.want(symbol), self.clock()
        try:
            await self._say(symbol, seconds)
        except VenueError as error:
            told.failed = str(error)
            if error.__cause__ is None or isinstance(error, UnreadableError):
                told.until = 0
            raise
        told.until, told.failed = began + seconds * _NS, ""

    async def disarm(self, symbol: str) -> None:
        """Have nothing cancelled; raises as `arm`."""
        if (told := self._told.get(self.scope(symbol))) is not None:
            told.until = 0
        await self._say(symbol, 0)

    def refusal(self, symbol: str) -> str:
        """Say why what may rest there cannot count on a timer that is wanted; empty when it can."""
        told = self._told.get(self.scope(symbol))
        if told is None or self.clock() < told.until:
            return ""
        return told.failed or "its last word has run out"

    async def _say(self, symbol: str, seconds: int) -> None:
        try:
            await self._heard(Request.DEAD_MAN, self._words.set_dead_man(symbol, seconds))
        except VenueError:
            raise
        except Exception as error:  # ccxt stumbles in more ways than it names, and exits have to be served
            raise UnreadableError(f"dead man's switch: an answer nobody can read: {error!r}") from error


@runtime_checkable
class HasDeadMan(Protocol):
    """A venue that may have such timers; None: it has not."""

    dead_man: DeadManSwitch | None


def switches_of(venue: Venue) -> Mapping[str, DeadManSwitch]:
    """Return the timers of a venue, or of each of several, by the exchange that symbols name."""
    found = {
        where: place.dead_man for where, place in places_of(venue).items() if isinstance(place, HasDeadMan)
    }
    return {where: switch for where, switch in found.items() if switch is not None}
