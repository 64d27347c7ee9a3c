"""How much may still be asked of somebody who counts: several limits at once, all or nothing. Pure.

Problem: a venue counts requests in several windows at the same time (a weight by the minute, orders by ten
seconds and by the day), and bans whoever goes over one. Who learns of it by being refused learns it too
late, and who spends everything on openings and questions has nothing left to take an order back with.

So every request is paid for in all limits that it is linked to before it is made, or in none and not made.
What ranks lower stops earlier (`Rank`), so that the last part of every limit is there for cancels only.

Not here: what a venue's limits are and what a request costs (`venues.limits`), waiting.

Invariant: in no stretch of time as long as a limit's window and ``slack`` together more than its ``most`` is
taken, whatever comes in which order; so whoever receives requests up to ``slack`` later than they were sent
never counts more in any window of his, wherever it begins. Times are monotonic ns and never go back.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

SLACK_NS: Final = 500_000_000
_PARTS: Final = 64  # of a window: what is counted is forgotten in steps of that, never too early


class Rank(IntEnum):
    """Who goes first; the value is how many percent of a limit may be used with the request."""

    LOOK = 60
    OPEN = 80
    REDUCE = 90
    CANCEL = 100


class Limit(msgspec.Struct, frozen=True):
    """``most`` in any ``window``, ns."""

    name: str
    most: int
    window: int


class Lack(NamedTuple):
    """Why a request may not be made: the limit, and in how many ns it may if nobody else asks.

    ``is_closed``: its owner said to stay away, whatever was counted.
    """

    limit: str
    wait: int
    is_closed: bool


class _Window:
    """One limit with what was taken of it lately, oldest part first, as [number of the part, amount]."""

    __slots__ = ("closed_until", "most", "name", "parts", "span", "used", "width")

    def __init__(self, limit: Limit, slack: int) -> None:
        self.name = limit.name
        self.most = limit.most
        self.span = limit.window + slack
        self.width = max(1, limit.window // _PARTS)
        self.parts: deque[list[int]] = deque()
        self.used = 0
        self.closed_until = 0

    def forget(self, now: int) -> None:
        gone, parts, width = now - self.span, self.parts, self.width
        while parts and (parts[0][0] + 1) * width <= gone:
            self.used -= parts.popleft()[1]

    def add(self, amount: int, now: int) -> None:
        part = now // self.width
        if self.parts and self.parts[-1][0] >= part:
            self.parts[-1][1] += amount
        else:
            self.parts.append([part, amount])
        self.used += amount

    def lack(self, amount: int, rank: int, now: int) -> Lack | None:
        if now < self.closed_until:
            return Lack(self.name, self.closed_until - now, True)
        self.forget(now)
        over = self.used + amount - self.most * rank // 100
        if over <= 0:
            return None
        for part, taken in self.parts:
            over -= taken
            if over <= 0:
                return Lack(self.name, (part + 1) * self.width + self.span - now, False)
        return Lack(self.name, self.span, False)


Price = tuple[tuple[_Window, int], ...]


class Budget:
    """What is left of linked limits; ``slack`` (ns) is how much later than sent a request may be counted."""

    def __init__(self, limits: Iterable[Limit], slack: int = SLACK_NS) -> None:
        self._windows = {limit.name: _Window(limit, slack) for limit in limits}

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of the limits."""
        return tuple(self._windows)

    def price(self, costs: Mapping[str, int], rank: Rank) -> Price:
        """Return what a kind of request is paid with; ``costs`` by limit, those of no limit here are free.

        Raises
        ------
        ValueError
            When a limit is so low that the request could never be made by ``rank``.
        """
        for name, cost in costs.items():
            window = self._windows.get(name)
            if window is not None and cost > window.most * rank // 100:
                raise ValueError(
                    f"{name}: expected room for {cost} in {rank} % of the limit, which is {window.most}"
                )
        return tuple((self._windows[name], cost) for name, cost in costs.items() if name in self._windows)

    @staticmethod
    def lack(price: Price, rank: Rank, now: int) -> Lack | None:
        """Say what a request lacks now, the longest wait of all its limits; None when it may be made."""
        worst: Lack | None = None
        for window, cost in price:
            lack = window.lack(cost, rank, now)
            if lack is not None and (worst is None or lack.wait > worst.wait):
                worst = lack
        return worst

    @staticmethod
    def take(price: Price, rank: Rank, now: int) -> Lack | None:
        """Pay for a request in all its limits, or in none and say what it lacks."""
        lack = Budget.lack(price, rank, now)
        if lack is None:
            for window, cost in price:
                window.add(cost, now)
        return lack

    def observed(self, limit: str, used: int, now: int) -> None:
        """Note how much of a limit its owner counted; only more than was counted here changes anything."""
        window = self._windows.get(limit)
        if window is None:
            return
        window.forget(now)
        if used > window.used:
            window.add(used - window.used, now)

    def resized(self, limit: str, most: int) -> None:
        """Note that a limit is another from now on."""
        if limit in self._windows and most > 0:
            self._windows[limit].most = most

    def closed(self, limits: Iterable[str], now: int) -> bool:
        """Whether all of these limits are closed."""
        return all(self._windows[name].closed_until > now for name in limits if name in self._windows)

    def close(self, limits: Iterable[str], until: int) -> None:
        """Make no request that costs something of one of these limits before a time."""
        for name in limits:
            if name in self._windows:
                window = self._windows[name]
                window.closed_until = max(window.closed_until, until)
