"""Used request weight and order counts, as the venue reports them in headers.

Limits are generous by default; a test that wants to be throttled sets them low. Counts run on wall
time in fixed windows, like the real venue's. Invariant: a request over the limit changes nothing.
"""

from __future__ import annotations

from venues.sandbox.errors import VenueError

_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000


class RateLimits:
    """Counters of one venue (all clients share one address here)."""

    def __init__(self, weight_limit: int, order_limit: int) -> None:
        self._weight_limit = weight_limit
        self._order_limit = order_limit
        self._minute = self._ten_seconds = -1
        self.weight = 0
        self.orders = 0

    def spend(self, weight: int, is_order: bool, now_ms: int) -> None:
        """Count a request; VenueError 429 when it is one too many."""
        minute, ten_seconds = now_ms // _MINUTE_MS, now_ms // _TEN_SECONDS_MS
        if minute != self._minute:
            self._minute, self.weight = minute, 0
        if ten_seconds != self._ten_seconds:
            self._ten_seconds, self.orders = ten_seconds, 0
        self.weight += weight
        if self.weight > self._weight_limit:
            raise VenueError(
                -1003,
                f"Too much request weight used; current limit is {self._weight_limit} request weight per "
                "1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.",
                429,
            )
        if is_order:
            self.orders += 1
            if self.orders > self._order_limit:
                raise VenueError(
                    -1015,
                    f"Too many new orders; current limit is {self._order_limit} orders per 10 SECOND.",
                    429,
                )

    def headers(self, is_order: bool) -> dict[str, str]:
        """What Binance reports with each answer."""
        used = {"X-MBX-USED-WEIGHT": str(self.weight), "X-MBX-USED-WEIGHT-1M": str(self.weight)}
        if is_order:
            used["X-MBX-ORDER-COUNT-10S"] = str(self.orders)
        return used
