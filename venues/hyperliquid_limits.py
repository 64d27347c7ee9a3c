"""Hyperliquid's limits: what they are, what our requests cost, and how it says "too much".

Figures: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/rate-limits-and-user-limits: by
address of the internet a weight of 1,200 a minute, in which an action costs 1 and a question 2 or 20 and
one more for each 20 rows; by account 10,000 actions and one more for each USDC it traded, then one in ten
seconds. The second is no window: it is learnt by being refused, and stops orders; cancels have a budget
twice as large.

Not here: counting. Invariant: as `limits`, but for the rows of executions beyond 160 in a look-up: the venue
counts one for each 20 more. A look-up may use three fifths of the limit only, so there is room for them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_WEIGHT, _ORDERS = "weight", "orders by account"
_MINUTE_NS: Final = 60 * SECOND_NS
_ORDER_WAIT_NS: Final = 10 * SECOND_NS
_DOCUMENTED: Final = (Limit(_WEIGHT, 1200, _MINUTE_NS), Limit(_ORDERS, 1200, _MINUTE_NS))
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_WEIGHT: 1, _ORDERS: 1},
    Request.CANCEL: {_WEIGHT: 1},
    # by cloid, and executions with 160 rows
    Request.LOOK_UP: {_WEIGHT: 2 + 20 + 8},
    Request.TIME: {_WEIGHT: 2},
    Request.BALANCES: {_WEIGHT: 2},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}
_TOO_MANY_ACTIONS: Final = re.compile("too many cumulative requests", re.IGNORECASE)


class HyperliquidLimits:
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
        if _TOO_MANY_ACTIONS.search(said):
            return Shut((_ORDERS,), None, _ORDER_WAIT_NS)
        if isinstance(error, ccxt.BaseError) and turned_away(said):
            return Shut((), retry_after_ns(headers), _MINUTE_NS)
        return None
