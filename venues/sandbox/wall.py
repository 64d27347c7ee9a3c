"""API time. It is wall time, whatever the market's clock says.

Not here: market time (`settlement`). Invariant: server time, request windows and event times come from here.
"""

from __future__ import annotations

import time


def wall_ms() -> int:
    """API time: milliseconds of the wall clock."""
    return time.time_ns() // 1_000_000
