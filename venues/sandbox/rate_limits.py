"""Counts of requests and new orders, against the limits that were configured.

Limits are generous by default; a test that wants to be throttled sets them low. Counts run on wall
time in fixed windows. Not here: how a protocol reports counts and says that it was too much. Invariant:
a request over a limit is counted, and nothing else is done with it.
"""

from __future__ import annotations

from enum import Enum, auto

_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000


class Excess(Enum):
    """Of what there was too much."""

    WEIGHT = auto()
    ORDERS = auto()


class RateLimits:
    """Counters of one venue (all clients share one address here)."""

    def __init__(self, weight_limit: int, order_limit: int) -> None:
        self.weight_limit = weight_limit
        self.order_limit = order_limit
        self._minute = self._ten_seconds = -1
        self.weight = 0
        self.orders = 0

    def spend(self, weight: int, is_order: bool, now_ms: int) -> Excess | None:
        """Count a request; says so when it is one too many."""
        minute, ten_seconds = now_ms // _MINUTE_MS, now_ms // _TEN_SECONDS_MS
        if minute != self._minute:
            self._minute, self.weight = minute, 0
        if ten_seconds != self._ten_seconds:
            self._ten_seconds, self.orders = ten_seconds, 0
        self.weight += weight
        if self.weight > self.weight_limit:
            return Excess.WEIGHT
        if is_order:
            self.orders += 1
            if self.orders > self.order_limit:
                return Excess.ORDERS
        return None
