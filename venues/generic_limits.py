"""The limits of a venue nobody certified: ccxt's own pause between two requests, and never less than 100 ms.

ccxt gives endpoints weights as well, which no unified method tells; so the pause is kept long, an order
counts as two requests and a look-up as eight. Not here: counting. Invariant: as `limits`, as far as ccxt's
pause is true.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut, retry_after_ns, turned_away

_NAME: Final = "rateLimit"
_MOST: Final = 20  # slots at once
_SHORTEST_MS: Final = 100.0
_MS: Final = 1_000_000
_COSTS: Final[dict[Request, Costs]] = {
    Request.SEND: {_NAME: 2},
    Request.CANCEL: {_NAME: 2},  # without the venue's id of an order, its open ones are asked for
    Request.LOOK_UP: {_NAME: 8},
    Request.TIME: {_NAME: 1},
    Request.BALANCES: {_NAME: 2},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}
_REST_NS: Final = 10 * SECOND_NS


class GenericLimits:
    """One account; ``rate_ms`` is ccxt's pause, ``granted`` so many requests in a second instead, 0: no."""

    def __init__(self, rate_ms: float, granted: int = 0) -> None:
        window = int(max(rate_ms, _SHORTEST_MS) * _MOST) * _MS
        self.limits = (Limit(_NAME, granted, SECOND_NS) if granted else Limit(_NAME, _MOST, window),)

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        return _COSTS[request]

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        return ()

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        return ()

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        if isinstance(error, ccxt.DDoSProtection | ccxt.OnMaintenance) or (
            isinstance(error, ccxt.BaseError) and turned_away(str(error))
        ):
            return Shut((), retry_after_ns(headers), _REST_NS)
        return None
