"""Binance spot's limits: what they are, what our requests cost, and how it says "too much".

Figures: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits and the weights beside the
endpoints there; `exchangeInfo` announces the limits in force, and they count instead of these. Weight and raw
requests are by address, orders by account. A cancel costs no order.

Not here: counting. Invariant: as `limits`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import ccxt

from parley.budget import Limit
from venues.ccxt_client import asked
from venues.limits import SECOND_NS, Costs, Headers, Heard, Request, Shut
from venues.port import VenueError

_WEIGHT, _ORDERS, _RAW = "REQUEST_WEIGHT", "ORDERS", "RAW_REQUESTS"
_SECONDS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_DOCUMENTED: Final = (
    Limit(f"{_WEIGHT} 1M", 6000, 60 * SECOND_NS),
    Limit(f"{_ORDERS} 10S", 100, 10 * SECOND_NS),
    Limit(f"{_ORDERS} 1D", 200_000, 86_400 * SECOND_NS),
    Limit(f"{_RAW} 5M", 61_000, 300 * SECOND_NS),
)
# By kind of limit. A look-up asks for the order (4), the open ones (6), all (20) and the trades (20).
_COSTS: Final = {
    Request.SEND: {_WEIGHT: 1, _ORDERS: 1, _RAW: 1},
    Request.CANCEL: {_WEIGHT: 1, _RAW: 1},
    Request.LOOK_UP: {_WEIGHT: 50, _RAW: 4},
    Request.TIME: {_WEIGHT: 1, _RAW: 1},
    Request.BALANCES: {_WEIGHT: 20, _RAW: 1},
    Request.DEAD_MAN: {},
    Request.OTHER: {},
}
_USED: Final = {"x-mbx-used-weight-": _WEIGHT, "x-mbx-order-count-": _ORDERS}
_TOO_MANY_ORDERS: Final = re.compile(r'"code":\s*-1015\b')
_UNTIL: Final = re.compile(r"banned until (\d{13})")
_FIREWALL: Final = re.compile(r" 403 ")
_FIREWALL_NS: Final = 300 * SECOND_NS
_LONGEST_NS: Final = 3 * 86_400 * SECOND_NS


class BinanceLimits:
    """One account; ``granted`` instead of every documented amount, 0: what everybody has."""

    documented: tuple[Limit, ...] = _DOCUMENTED
    prices: Mapping[Request, Costs] = _COSTS

    def __init__(self, granted: int = 0) -> None:
        self.limits = tuple(Limit(each.name, granted or each.most, each.window) for each in self.documented)
        self._orders = _of_orders(self.limits)

    async def _listed(self, client: Any, symbols: Sequence[str]) -> Any:
        query = {"symbol": client.market_id(symbols[0])} if symbols else {}
        return await asked("limits", client.publicGetExchangeInfo(query))

    def costs(self, request: Request, limits: Sequence[Limit]) -> Costs:
        costs = self.prices[request]
        kinds = [(each.name, each.name.split()[0]) for each in limits]
        return {name: costs[kind] for name, kind in kinds if kind in costs}

    async def announced(self, client: Any, symbols: Sequence[str]) -> Sequence[Limit]:
        answer = await self._listed(client, symbols)
        try:
            found = tuple(
                Limit(
                    f"{each['rateLimitType']} {each['intervalNum']}{each['interval'][0]}",
                    int(each["limit"]),
                    int(each["intervalNum"]) * _SECONDS[each["interval"]] * SECOND_NS,
                )
                for each in answer["rateLimits"]
                if each["rateLimitType"] in (_WEIGHT, _ORDERS, _RAW)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise VenueError(f"limits: an answer nobody can read: {error!r}") from error
        self._orders = _of_orders(found)
        return found

    def heard(self, request: Request, headers: Headers) -> Iterable[Heard]:
        return _heard(headers)

    def shut(self, request: Request, error: BaseException, headers: Headers, now_ms: int) -> Shut | None:
        said = str(error)
        if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
            # with too many orders everything else is still allowed, above all taking some back
            which = self._orders if _TOO_MANY_ORDERS.search(said) else ()
            return Shut(which, _told_ns(said, headers, now_ms))
        if isinstance(error, ccxt.ExchangeNotAvailable) and _FIREWALL.search(said):
            return Shut((), None, _FIREWALL_NS)
        return None


def _of_orders(limits: Sequence[Limit]) -> tuple[str, ...]:
    return tuple(each.name for each in limits if each.name.startswith(_ORDERS))


def _told_ns(said: str, headers: Headers, now_ms: int) -> int | None:
    """Return how long the venue says to stay away, ns: what its header and its text say, the longer."""
    after = headers.get("retry-after", "")
    waits = [int(after) * SECOND_NS] if after.isascii() and after.isdigit() else []
    if found := _UNTIL.search(said):
        waits.append((int(found[1]) - now_ms) * 1_000_000)
    longest = max(waits, default=0)
    return min(longest, _LONGEST_NS) if longest > 0 else None


def _heard(headers: Headers) -> Iterator[Heard]:
    for name, value in headers.items():
        for start, kind in _USED.items():
            if name.startswith(start) and value.isascii() and value.isdigit():
                yield Heard(f"{kind} {name[len(start) :].upper()}", 0, int(value))
