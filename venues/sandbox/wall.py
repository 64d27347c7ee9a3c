"""API time. It is wall time, whatever the market's clock says, and may be wrong by a constant.

Not here: market time (`settlement`). Invariant: server time, request windows and event times come from here.
"""

from __future__ import annotations

import time

_MS = 1_000_000


class VenueClock:
    """The venue's own clock, `skew_ms` ahead of the machine's."""

    def __init__(self, skew_ms: int = 0) -> None:
        self._skew_ns = skew_ms * _MS

    def ns(self) -> int:
        """Nanoseconds."""
        return time.time_ns() + self._skew_ns

    def ms(self) -> int:
        """Milliseconds, cut."""
        return (time.time_ns() + self._skew_ns) // _MS
