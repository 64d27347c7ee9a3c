"""KuCoin's limits for spot: what they are, what our requests cost, and how it says "too much".

Figures: https://www.kucoin.com/docs-new/rate-limit: pools of weight in 30 s, those of orders and of the
account's management by account, that of public requests by address; the weight of each request stands at the
request. Larger accounts have larger pools: every signed answer says how large its pool is and what is left.

Not here: counting. Invariant: as `limits`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_SPOT, _MANAGEMENT, _PUBLIC = "spot", "management", "public"
_WINDOW_NS: Final = 30 * SECOND_NS
_DOCUMENTED: Final = (
    Limit(_SPOT, 4000, _WINDOW_NS),
    Limit(_MANAGEMENT, 2000, _WINDOW_NS),
    Limit(_PUBLIC, 2000, _WINDOW_NS),
)
# A look-up asks by id, for the open orders, for the newest closed ones, and for two pages of executions, each
# 2; the executions of two orders, which is what `kucoin_trades` asks for at once, cost no more.
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_SPOT: 1},
    Request.CANCEL: {_SPOT: 1},
    Request.LOOK_UP: {_SPOT: 10},
    Request.TIME: {_PUBLIC: 3},
    Request.BALANCES: {_MANAGEMENT: 5},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}
# Of which pool an answer to the last request of these speaks.
_SPEAKS_OF: Final = {Request.SEND: _SPOT, Request.CANCEL: _SPOT, Request.BALANCES: _MANAGEMENT}
_CODE: Final = re.compile(r'"code":\s*"?(\d+)')
_TOO_MUCH: Final = "429000"
_BLOCKED_NS: Final = 30 * SECOND_NS  # what stands before the venue blocks an address for so long
_LONGEST_RESET_NS: Final = 60 * SECOND_NS


class KucoinLimits:
    """One account; ``granted`` instead of every documented amount, 0: what everybody has."""

    def __init__(self, granted: int = 0) -> None:
        self.limits = tuple(Limit(each.name, granted or each.most, each.window) for each in _DOCUMENTED)

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        return _COSTS[request]

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        return ()

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        most, left = headers.get("gw-ratelimit-limit"), headers.get("gw-ratelimit-remaining")
        pool = _SPEAKS_OF.get(request)
        if pool is None or not _is_count(most) or not _is_count(left):
            return ()
        return (Heard(pool, int(most or 0), max(0, int(most or 0) - int(left or 0))),)

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        said = str(error)
        found = _CODE.search(said)
        if found is None and isinstance(error, ccxt.BaseError) and turned_away(said):
            return Shut((), retry_after_ns(headers), _BLOCKED_NS)
        if found is None or found[1] != _TOO_MUCH:
            return None
        # the venue names a time only when the account's pool is empty, and none when it is overloaded itself
        reset, left = headers.get("gw-ratelimit-reset"), headers.get("gw-ratelimit-remaining")
        wait = int(reset or 0) * 1_000_000 if _is_count(reset) and left == "0" else 0
        return Shut(tuple(_COSTS[request]), min(wait, _LONGEST_RESET_NS) or None)


def _is_count(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit()
