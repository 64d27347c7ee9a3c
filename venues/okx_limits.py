"""OKX v5's limits for spot: what they are, what our requests cost, and how it says "too much".

Figures: https://www.okx.com/docs-v5/en/: by account and endpoint so many in 2 s, for orders and cancels even
by pair, and the time by address. It announces them nowhere and says in no answer what is left, so they are
counted here as if all pairs shared one. Stops are asked for by other addresses, 20 in 2 s each, and not
counted: there are few of them, one that is refused for that is placed or looked up again, and no order that
is known for no stop is asked for there.

Not here: counting. Invariant: as `limits`, but for executions of more than three days ago: hardly any look-up
asks for them, each may 5 times in a second, and one that is refused for that is made again.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_PLACE, _CANCEL, _ORDER = "trade/order", "trade/cancel-order", "trade/order (look-up)"
_PENDING, _HISTORY = "trade/orders-pending", "trade/orders-history"
_FILLS, _BALANCE, _TIME = "trade/fills", "account/balance", "public/time"
_DEAD_MAN = "trade/cancel-all-after"
_WINDOW_NS: Final = 2 * SECOND_NS
_DOCUMENTED: Final = (
    Limit(_PLACE, 60, _WINDOW_NS),
    Limit(_CANCEL, 60, _WINDOW_NS),
    Limit(_ORDER, 60, _WINDOW_NS),
    Limit(_PENDING, 60, _WINDOW_NS),
    Limit(_HISTORY, 40, _WINDOW_NS),
    Limit(_FILLS, 60, _WINDOW_NS),
    Limit(_BALANCE, 10, _WINDOW_NS),
    Limit(_TIME, 10, _WINDOW_NS),
    Limit(_DEAD_MAN, 1, SECOND_NS),
)
# A look-up asks by id and for the newest closed ones; open ones and executions come in pages, the last empty.
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_PLACE: 1},
    Request.CANCEL: {_CANCEL: 1},
    Request.LOOK_UP: {_ORDER: 1, _PENDING: 2, _HISTORY: 1, _FILLS: 2},
    Request.TIME: {_TIME: 1},
    Request.BALANCES: {_BALANCE: 1},
    Request.DEAD_MAN: {_DEAD_MAN: 1},
    Request.OTHER: {},
}
_CODE: Final = re.compile(r'"s?[cC]ode":\s*"?(\d+)')
_TOO_MUCH: Final = frozenset({"50011", "50040", "50061"})


class OkxLimits:
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
        codes = _CODE.findall(said)
        if not codes and isinstance(error, ccxt.BaseError) and turned_away(said):
            return Shut((), retry_after_ns(headers), _WINDOW_NS)  # what stands before the venue has no codes
        if not _TOO_MUCH.intersection(codes):
            return None
        return Shut(tuple(_COSTS[request]), None, _WINDOW_NS)
