"""Asks the budget of one account before each request, and lets the venue's answers correct it.

Problem: who goes on asking after "too much" is banned, and each ban is longer than the last. So what the
venue says of its limits is believed at once: a count that is higher than ours, a limit of another size, a
time to stay away. Where it names no time the wait doubles with every refusal that comes after it. Nobody
comes back exactly then: all who wait add a little chance, so that they do not come together.

Not here: counting (`parley.budget`), what a venue says and how (`venues.limits`), what else fails (`faults`).

Invariant: `take` suspends nowhere; a time that the venue named is never shortened.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from parley.budget import Budget, Lack, Limit, Price, Rank
from venues.faults import Failing, Faults
from venues.limits import RANKS, Request, VenueLimits

log = logging.getLogger(__name__)

_JITTER: Final = 0.1  # of the wait
_JITTER_MOST_NS: Final = 2_000_000_000
_BACKOFF_MOST_NS: Final = 3_600_000_000_000
_MS: Final = 1_000_000
_NS: Final = 1_000_000_000


class Asked(Protocol):
    """What may still be asked of a venue, or of several at once (`several_meter`), and what failed there."""

    @property
    def faults(self) -> Failing:
        """What failed."""

    def take(self, request: Request, rank: Rank | None = None) -> Lack | None:
        """As `Meter.take`."""

    def lack(self, request: Request, rank: Rank | None = None) -> Lack | None:
        """As `Meter.lack`."""

    async def turn(self, request: Request, until: int | None = None) -> Lack | None:
        """As `Meter.turn`."""

    async def opens(self, request: Request, until: int | None = None) -> Lack | None:
        """As `Meter.opens`."""

    def of(self, symbol: str) -> "Asked":
        """Give what may be asked where a symbol is traded."""


class Meter:
    """The budget of one account at one venue, and what failed there; ``chance`` is a number from 0 to 1."""

    def __init__(
        self,
        limits: VenueLimits,
        clock: Callable[[], int] = time.monotonic_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._chance = chance
        self._strikes: dict[tuple[str, ...], int] = {}
        self.faults = Faults()
        self.adopt(limits.limits)

    def of(self, symbol: str) -> "Meter":
        """Give itself: of one venue it counts for every symbol."""
        return self

    def adopt(self, limits: Sequence[Limit]) -> None:
        """Take these limits instead of the ones before; what was counted is forgotten, headers will say it.

        Raises
        ------
        ValueError
            When one is so low that some kind of request could never be made.
        """
        budget = Budget(limits)
        self._prices: dict[Request, Price] = {
            request: budget.price(self._limits.costs(request, limits), rank)
            for request, rank in RANKS.items()
        }
        self._budget = budget

    def take(self, request: Request, rank: Rank | None = None) -> Lack | None:
        """Pay for a request that is made now; what it lacks when it may not be made."""
        return Budget.take(self._prices[request], rank or RANKS[request], self._clock())

    def lack(self, request: Request, rank: Rank | None = None) -> Lack | None:
        """Say what a request lacks now, and pay nothing."""
        return Budget.lack(self._prices[request], rank or RANKS[request], self._clock())

    def apart_ns(self, request: Request, percent: int) -> int:
        """Say how far apart requests of a kind take no more than so many percent of what others pay of.

        Of a limit that is theirs alone they may take all.
        """
        shared = self._shared(request)
        paid = (
            cost * window.span * 100 // (window.most * (percent if window.name in shared else 100))
            for window, cost in self._prices[request]
        )
        return max(paid, default=0)

    def pays_alone(self, request: Request) -> bool:
        """Whether nothing else pays of the limits that requests of a kind pay of."""
        return self._shared(request).isdisjoint(window.name for window, _ in self._prices[request])

    def _shared(self, request: Request) -> set[str]:
        return {w.name for other, price in self._prices.items() if other is not request for w, _ in price}

    async def turn(self, request: Request, until: int | None = None) -> Lack | None:
        """Wait until a request may be made and pay for it; what it lacks if that is not before ``until``."""
        return await self._wait(self.take, request, until)

    async def opens(self, request: Request, until: int | None = None) -> Lack | None:
        """Wait until a request may be made and pay nothing; as `turn`."""
        return await self._wait(self.lack, request, until)

    async def _wait(
        self, ask: Callable[[Request], Lack | None], request: Request, until: int | None
    ) -> Lack | None:
        while (lack := ask(request)) is not None:
            if until is not None and self._clock() + lack.wait >= until:
                return lack
            await asyncio.sleep((lack.wait + self._more(lack.wait)) / _NS)
        return None

    def _more(self, wait: int) -> int:
        return int(min(wait * _JITTER, _JITTER_MOST_NS) * self._chance())

    def heard(self, request: Request, headers: Mapping[str, str] | None) -> None:
        """Read what an answer says of the limits."""
        self._read(request, _lower(headers))
        # only who costs of a limit that was shut can tell that it is open again: the time always passes
        if paid := {window.name for window, _ in self._prices.get(request, ())}:
            self._strikes = {names: n for names, n in self._strikes.items() if paid.isdisjoint(names)}

    def failed(self, request: Request, error: BaseException, headers: Mapping[str, str] | None) -> None:
        """Read what a refusal says; ``headers`` are those of the newest answer, which may be an older one."""
        told = _lower(headers)
        shut = self._limits.shut(request, error, told, time.time_ns() // _MS)
        if shut is None:
            return
        self._read(request, told)
        now = self._clock()
        names = shut.limits or self._budget.limits
        wait = shut.for_ns
        if wait is None:
            wait = min(shut.at_least_ns << min(self._strikes.get(names, 0), 32), _BACKOFF_MOST_NS)
        wait += self._more(wait)
        if self._budget.closed(names, now):
            # others were under way when it was said: what they heard is no second refusal
            wait = wait if shut.for_ns is not None else 0
        else:
            self._strikes[names] = self._strikes.get(names, 0) + 1
            log.warning(
                "venue_shut limits=%s for_s=%.1f cause=%.200s", ",".join(names), wait / _NS, str(error)
            )
        self._budget.close(names, now + wait)

    def _read(self, request: Request, headers: Mapping[str, str]) -> None:
        for limit, most, used in self._limits.heard(request, headers):
            self._budget.resized(limit, most)
            self._budget.observed(limit, used, self._clock())


def words(lack: Lack) -> tuple[str, str]:
    """Say why a request is not made, as (code, detail)."""
    wait_s = lack.wait / _NS
    if lack.is_closed:
        return "venue_rests", f"the venue is asked too much ({lack.limit}): nothing for {wait_s:.1f} s"
    return "budget", f"no room in the venue's limit {lack.limit} for {wait_s:.2f} s"


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()} if headers else {}
