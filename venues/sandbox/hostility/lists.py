"""What lists of orders and trades show: not yet what is new, and not all that was asked for at once.

Not here: what is listed. Invariant: an order that was shown once is shown from then on.
"""

from __future__ import annotations

import time

from venues.sandbox.orders import Order


class Lists:
    """Lists that lag by `lag_ms` and answer at most `page_limit` rows, 0 for as many as the venue would."""

    def __init__(self, lag_ms: int, page_limit: int) -> None:
        self._lag_ms = lag_ms
        self._page_limit = page_limit
        self._accepted: dict[int, float] = {}

    def accepted(self, order: Order) -> None:
        """Note when an order came to exist."""
        if self._lag_ms:
            self._accepted.setdefault(order.id, time.monotonic())

    def shows(self, order: Order) -> bool:
        """Whether queries see an order by now."""
        since = self._accepted.get(order.id)
        return since is None or time.monotonic() - since >= self._lag_ms / 1000

    def rows(self, wanted: int) -> int:
        """How many rows a page has at most."""
        return min(wanted, self._page_limit) if self._page_limit else wanted
