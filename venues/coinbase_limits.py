"""Coinbase Advanced Trade's limits: what they are, what our requests cost, and how it says "too much".

Figures: https://docs.cdp.coinbase.com/advanced-trade/docs/rest-api-rate-limits: 30 private requests a second
of a user and 10 public ones of an address. Newer pages name none for Advanced Trade, and no answer says what
is left. Executions are asked for when the private stream tells of one, which nobody counts here: a sixth of
the private requests is left to that.

Not here: counting. Invariant: as `limits`, but for lists of more than a thousand orders of one product.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_PRIVATE, _PUBLIC = "private", "public"
_LEFT_TO_THE_STREAM: Final = 6
_DOCUMENTED: Final = (Limit(_PRIVATE, 30, SECOND_NS), Limit(_PUBLIC, 10, SECOND_NS))
# After a send or a cancel comes a question for the order and one for its executions. A cancel of an order
# whose number is not known begins with a look-up, in two lists; a look-up of one reads its executions too.
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_PRIVATE: 3},
    Request.CANCEL: {_PRIVATE: 5},
    Request.LOOK_UP: {_PRIVATE: 3},
    Request.TIME: {_PUBLIC: 1},
    Request.BALANCES: {_PRIVATE: 1},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}


class CoinbaseLimits:
    """One account; ``granted`` instead of every documented amount, 0: what everybody has."""

    def __init__(self, granted: int = 0) -> None:
        kept = {_PRIVATE: _LEFT_TO_THE_STREAM, _PUBLIC: 0}
        self.limits = tuple(
            Limit(each.name, granted or each.most - kept[each.name], each.window) for each in _DOCUMENTED
        )

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        return _COSTS[request]

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        return ()

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        return ()

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        said = str(error)
        if isinstance(error, ccxt.BaseError) and ("rate_limit_exceeded" in said or turned_away(said)):
            return Shut((), retry_after_ns(headers), SECOND_NS)
        return None
