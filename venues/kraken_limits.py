"""Kraken's limits for spot: what they are, what our requests cost, and how it says "too much".

Figures: https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits and `.../spot-ratelimits`. By key a
counter that every private question raises by 1 (histories by 2) and that falls with time; by pair another one
for what the matching engine does, raised by 1 for an order and by up to 8 for a cancel soon after it. Both
are those of the lowest tier, which everybody has: 15 falling by one in three seconds, 60 falling by one a
second. Nothing of them is announced, so they are counted here, and as if all pairs shared the second.

Not here: counting. Invariant: as `limits`; a counter that falls evenly never passes its most while no stretch
as long as it takes to fall to nothing sees more than that.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_CALLS, _ENGINE, _PUBLIC = "calls", "matching engine", "public"
_DOCUMENTED: Final = (
    Limit(_CALLS, 15, 46 * SECOND_NS),
    Limit(_ENGINE, 60, 60 * SECOND_NS),
    # "about one in a second" is all that is said of public questions
    Limit(_PUBLIC, 10, 10 * SECOND_NS),
)
# A look-up asks for the open ones, the closed ones and the executions.
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_ENGINE: 1},
    Request.CANCEL: {_ENGINE: 8},
    Request.LOOK_UP: {_CALLS: 4},
    Request.TIME: {_PUBLIC: 1},
    Request.BALANCES: {_CALLS: 1},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}
_TOO_MUCH: Final = ("EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EAuth:Too many requests",
                    "EAuth:Rate limit exceeded", "EGeneral:Temporary lockout")  # fmt: skip
_ENGINE_FULL: Final = ("EOrder:Rate limit exceeded", "EOrder:Domain rate limit exceeded")
_THROTTLED: Final = re.compile(r"EService:\s*Throttled(?::\s*(\d+))?")
_LONGEST_MS: Final = 3 * 86_400_000


class KrakenLimits:
    """One account; ``granted`` instead of every documented amount, 0: what everybody has."""

    def __init__(self, granted: int = 0) -> None:
        self.limits = tuple(Limit(each.name, granted or each.most, each.window) for each in _DOCUMENTED)

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        return _COSTS[request]

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        return ()

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        return ()

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        said = str(error)
        if (found := _THROTTLED.search(said)) is not None:
            # it names the second from which on it may be tried again
            until_ms = int(found[1] or 0) * 1000
            wait_ms = min(max(until_ms - now_ms, 0), _LONGEST_MS)
            return Shut((), wait_ms * 1_000_000 or None)
        if any(each in said for each in _ENGINE_FULL):
            return Shut((_ENGINE,), None)
        if any(each in said for each in _TOO_MUCH):
            return Shut((), retry_after_ns(headers), 5 * SECOND_NS)
        if '"error":' not in said and isinstance(error, ccxt.BaseError) and turned_away(said):
            return Shut((), retry_after_ns(headers), 5 * SECOND_NS)
        return None
