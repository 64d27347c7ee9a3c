"""What a venue's limits look like to who spends them: kinds of requests, and how it says "too much".

Problem: every venue counts something else and says it elsewhere: in its listing, in headers of its answers,
in codes. Here is the closed list of what has to be known of one.

Not here: any venue (`binance_limits`, `bybit_limits`), counting (`parley.budget`), asking (`meter`).

Invariant: a cost is no less than what the venue counts for the request; one that is made of several is paid
whole before its first.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

from parley.budget import Limit, Rank

SECOND_NS: Final = 1_000_000_000
Headers = Mapping[str, str]
Costs = Mapping[str, int]


class Request(Enum):
    """What is asked of a venue; several requests of it may belong to one of these."""

    SEND = auto()
    CANCEL = auto()
    LOOK_UP = auto()
    TIME = auto()
    BALANCES = auto()
    DEAD_MAN = auto()  # telling the venue to cancel by itself, where it can
    OTHER = auto()  # at the start, before anything is traded; not asked for, but its answers are read


# The least that may be left for each; an order that only reduces is sent under `Rank.REDUCE` if need be.
RANKS: Final = {
    Request.SEND: Rank.OPEN,
    Request.CANCEL: Rank.CANCEL,
    Request.LOOK_UP: Rank.LOOK,
    Request.TIME: Rank.OPEN,  # without it nothing is opened
    Request.BALANCES: Rank.LOOK,
    Request.DEAD_MAN: Rank.CANCEL,  # at the last; before that as what opens
}


class Shut(NamedTuple):
    """The venue said to stay away: from which limits, all if empty, and for how many ns, None: not said.

    ``at_least_ns`` is where the waiting begins when it did not say.
    """

    limits: tuple[str, ...]
    for_ns: int | None
    at_least_ns: int = SECOND_NS


class Heard(NamedTuple):
    """What an answer says of a limit: its size, 0 when it does not, and how much of it is used."""

    limit: str
    most: int
    used: int


_TURNED_AWAY: Final = re.compile(r" (403|429) ")


def turned_away(said: str) -> bool:
    """Whether ccxt's words tell of an answer with status 403 or 429, whoever before the venue gave it."""
    return _TURNED_AWAY.search(said) is not None


def retry_after_ns(headers: Headers) -> int | None:
    """Return what the header of that name says in seconds, at most three days, ns; None when it does not."""
    after = headers.get("retry-after", "")
    seconds = int(after) if after.isascii() and after.isdigit() else 0
    return min(seconds, 3 * 86_400) * SECOND_NS or None


class VenueLimits(Protocol):
    """One venue's limits for one account on one address."""

    @property
    def limits(self) -> Sequence[Limit]:
        """What the venue's documentation promises everybody."""

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        """Return what a request costs at most, by limit."""

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        """Ask the venue for its limits; empty when it has no answer to that. Raises `VenueError`."""

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        """Read an answer's headers; their names are lower case."""

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        """Read a refusal: None unless it says that too much was asked. ``now_ms`` is wall time."""


class NoLimits:
    """Of a venue that counts nothing."""

    limits: Sequence[Limit] = ()

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        return {}

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        return ()

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        return ()

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        return None
