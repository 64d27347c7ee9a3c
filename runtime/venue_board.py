"""Several venues asked for one symbol at the same moment: what each said, or why it is left out.

Problem: a comparison is only fair between books of one moment, and the slowest venue must not make the
others' books old. So listings and fees are waited for first, then every book is asked for at once, and who
does not answer in time is named and left out. On later looks a venue that was silent is asked on beside.

Not here: what a venue's answers mean (`venues.quotes`), what the order costs (`parley.execution`).

Invariant: what is told was asked for in this look and is usable; every venue is told or left out.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from parley.errors import UserError
from parley.execution.routing import Market
from parley.instruments import Instrument
from parley.messages import Book
from runtime.redaction import redacted
from venues.port import VenueError
from venues.quotes import FeeOf, unusable

_MOST_CHARS: Final = 300  # some name every pair that a venue has


class Quotes(Protocol):
    """One venue, as `venues.quotes.VenueQuotes`."""

    fee_of: FeeOf

    @property
    def instrument(self) -> Instrument | None:
        """What it trades; None before it is connected."""

    async def connect(self) -> None:
        """Ask for listing and fee; raises `VenueError`, `UserError`."""

    async def book(self, depth: int) -> Book:
        """Ask for the best levels; raises `VenueError`."""

    async def close(self) -> None:
        """Let go of all connections."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's market, whose fee it has, and how old its book is, s."""

    market: Market
    fee_of: FeeOf
    age_s: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found by venue, and why others are left out, in the order in which they were named."""

    seen: dict[str, Seen]
    left_out: dict[str, str]


class VenueBoard:
    """Asks ``venues``, by name; waits ``wait_s`` for listings, and half of ``max_age_s`` for books."""

    def __init__(self, venues: Mapping[str, Quotes], *, depth: int, wait_s: float, max_age_s: float) -> None:
        self._venues = venues
        self._depth = depth
        self._wait_s = wait_s
        self._max_age_s = max_age_s
        self._patience_s = wait_s
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._reasons: dict[str, str] = {}

    async def look(self) -> Look:
        """Ask everybody."""
        left_out = await self._connect()
        asking = {
            name: asyncio.ensure_future(venue.book(self._depth))
            for name, venue in self._venues.items()
            if name not in left_out
        }
        book_wait_s = self._max_age_s / 2
        await _wait(asking, book_wait_s)
        now_ns = time.time_ns()
        seen: dict[str, Seen] = {}
        for name, task in asking.items():
            if not task.done():
                task.cancel()
                left_out[name] = f"no book within {book_wait_s:g} s"
            elif reason := _reason(task) or unusable(task.result(), now_ns, self._max_age_s):
                left_out[name] = reason
            else:
                seen[name] = self._seen(name, task.result(), now_ns)
        await asyncio.gather(*asking.values(), return_exceptions=True)
        return Look(
            seen={name: seen[name] for name in self._venues if name in seen},
            left_out={name: redacted(left_out[name]) for name in self._venues if name in left_out},
        )

    async def _connect(self) -> dict[str, str]:
        """Wait for who is not connected yet, after the first time only as long as it takes to look."""
        for name, venue in self._venues.items():
            task = self._connecting.get(name)
            if task is None or (task.done() and _reason(task)):
                self._connecting[name] = asyncio.ensure_future(venue.connect())
        await _wait(self._connecting, self._patience_s)
        self._patience_s = 0.0
        for name, task in self._connecting.items():
            if task.done():
                self._reasons[name] = _reason(task)
            else:  # of one that is asked again, what it was left out for counts on
                self._reasons.setdefault(name, f"no answer within {self._wait_s:g} s")
        return {name: reason for name, reason in self._reasons.items() if reason}

    def _seen(self, name: str, book: Book, now_ns: int) -> Seen:
        venue = self._venues[name]
        assert venue.instrument is not None  # who is not connected was not asked
        market = Market(venue.instrument, book)
        return Seen(market=market, fee_of=venue.fee_of, age_s=max(0.0, (now_ns - book.t) / 1e9))

    async def close(self) -> None:
        """Stop asking, and let go of all connections."""
        for task in self._connecting.values():
            task.cancel()
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        await asyncio.gather(*(venue.close() for venue in self._venues.values()), return_exceptions=True)


async def _wait(tasks: Mapping[str, asyncio.Task[None] | asyncio.Task[Book]], most_s: float) -> None:
    if tasks:
        await asyncio.wait(tasks.values(), timeout=most_s)


def _reason(task: asyncio.Task[None] | asyncio.Task[Book]) -> str:
    """Say why a venue that answered cannot be used; raises what is a defect of ours."""
    error = task.exception()
    if error is None:
        return ""
    if isinstance(error, VenueError | UserError):
        return str(error)[:_MOST_CHARS]
    raise error
