"""Bybit v5's limits for spot: what they are, what our requests cost, and how it says "too much".

Figures: https://bybit-exchange.github.io/docs/v5/rate-limit: 600 requests in 5 s by address, and by account
and endpoint so many in a rolling second. It lists its limits nowhere, but every private answer says how large
that endpoint's is and what is left of it, and larger accounts have larger ones; so the answers count.

Not here: counting. Invariant: as `limits`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_ADDRESS: Final = "address"
_CREATE, _CANCEL = "order/create", "order/cancel"
_OPEN, _CLOSED = "order/realtime", "order/history"
_TRADES, _WALLET = "execution/list", "account/wallet-balance"
_DOCUMENTED: Final = (
    Limit(_ADDRESS, 600, 5 * SECOND_NS),
    Limit(_CREATE, 20, SECOND_NS),
    Limit(_CANCEL, 20, SECOND_NS),
    Limit(_OPEN, 50, SECOND_NS),
    Limit(_CLOSED, 50, SECOND_NS),
    Limit(_TRADES, 50, SECOND_NS),
    Limit(_WALLET, 50, SECOND_NS),
)
# A stop is preceded by a question for the price, and a cancel of what may be a stop, and was not found,
# is made once more: its answer says what is left.
# A look-up asks for the order among the open ones and the closed ones, for all open ones, and for executions.
# A stop that is in none of these is asked for twice more, out of what look-ups leave of a limit.
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_ADDRESS: 2, _CREATE: 1},
    Request.CANCEL: {_ADDRESS: 2, _CANCEL: 1},
    Request.LOOK_UP: {_ADDRESS: 4, _OPEN: 2, _CLOSED: 1, _TRADES: 1},
    Request.TIME: {_ADDRESS: 1},
    Request.BALANCES: {_ADDRESS: 1, _WALLET: 1},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}
# Of which endpoint an answer to the last request of these speaks.
_SPEAKS_OF: Final = {Request.SEND: _CREATE, Request.CANCEL: _CANCEL, Request.BALANCES: _WALLET}
_CODE: Final = re.compile(r'"ret_?[cC]ode":\s*"?(-?\d+)')
_ENDPOINT_CODES: Final = frozenset({10006, 10429})
_ADDRESS_CODES: Final = frozenset({10009, 10018})
_FORBIDDEN: Final = re.compile(r" 403 ")
_BAN_NS: Final = 600 * SECOND_NS  # the documentation's "at least 10 minutes"
_LONGEST_RESET_NS: Final = 60 * SECOND_NS


class BybitLimits:
    """One account; ``granted`` instead of every documented amount, 0: what everybody has.

    ``ban_ns`` is how long an address that was turned away stays away at first.
    """

    def __init__(self, granted: int = 0, ban_ns: int = _BAN_NS) -> None:
        self.limits = tuple(Limit(each.name, granted or each.most, each.window) for each in _DOCUMENTED)
        self._ban_ns = ban_ns

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        return _COSTS[request]

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        return ()

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        most, left = headers.get("x-bapi-limit"), headers.get("x-bapi-limit-status")
        limit = _SPEAKS_OF.get(request)
        if limit is None or not _is_count(most) or not _is_count(left):
            return ()
        return (Heard(limit, int(most or 0), max(0, int(most or 0) - int(left or 0))),)

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        said = str(error)
        found = _CODE.search(said)
        code = int(found[1]) if found else 0
        is_turned_away = code == 0 and isinstance(error, ccxt.BaseError) and turned_away(said)
        if is_turned_away and not _FORBIDDEN.search(said):
            return Shut((), retry_after_ns(headers))  # what stands before the venue, it knows no codes
        if code in _ADDRESS_CODES or is_turned_away:
            return Shut((), retry_after_ns(headers), self._ban_ns)
        if code not in _ENDPOINT_CODES:
            return None
        limit = _SPEAKS_OF.get(request)
        reset = headers.get("x-bapi-limit-reset-timestamp")
        wait = (int(reset or 0) - now_ms) * 1_000_000 if _is_count(reset) else 0
        which = tuple(each for each in _COSTS[request] if each != _ADDRESS) if limit is None else (limit,)
        return Shut(which, min(wait, _LONGEST_RESET_NS) if wait > 0 else None)


def _is_count(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit()
