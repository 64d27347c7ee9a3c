"""Used request weight and order counts, as Binance reports them in headers and in errors.

Not here: counting. Invariant: a request over the limit changes nothing.
"""

from __future__ import annotations

from venues.sandbox.binance.errors import VenueError
from venues.sandbox.rate_limits import Excess, RateLimits


def spend(limits: RateLimits, weight: int, is_order: bool, now_ms: int) -> None:
    """Count a request; VenueError 429 when it is one too many."""
    match limits.spend(weight, is_order, now_ms):
        case Excess.WEIGHT:
            raise VenueError(
                -1003,
                f"Too much request weight used; current limit is {limits.weight_limit} request weight per "
                "1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.",
                429,
                _left_s(60, now_ms),
            )
        case Excess.ORDERS:
            raise VenueError(
                -1015,
                f"Too many new orders; current limit is {limits.order_limit} orders per 10 SECOND.",
                429,
                _left_s(10, now_ms),
            )


def _left_s(window_s: int, now_ms: int) -> int:
    """Seconds until the window ends that is full, rounded up."""
    return window_s - now_ms // 1000 % window_s


def headers(limits: RateLimits, is_order: bool) -> dict[str, str]:
    """What Binance reports with each answer."""
    used = {"X-MBX-USED-WEIGHT": str(limits.weight), "X-MBX-USED-WEIGHT-1M": str(limits.weight)}
    if is_order:
        used["X-MBX-ORDER-COUNT-10S"] = str(limits.orders)
    return used
