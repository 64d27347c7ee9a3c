"""The tag that an order came with; the engine knows of none.

Not here: what it is for (brokers). Invariant: it is known when the order's first event is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from venues.sandbox.accounts import Account
from venues.sandbox.orders import Order


class Tags:
    """Tags by the order's id; of an order that is being placed, by its client id."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._coming: tuple[str, str, str] | None = None

    @contextlib.contextmanager
    def announced(self, account: Account, client_id: str, tag: str) -> Iterator[None]:
        """Note the tag of the order that is placed within."""
        self._coming = (account.name, client_id, tag) if tag else None
        try:
            yield
        finally:
            self._coming = None

    def of(self, order: Order) -> str:
        """The tag of an order, empty if it has none."""
        if self._coming is not None:
            name, client_id, tag = self._coming
            if order.account.name == name and order.request.client_order_id == client_id:
                self._known.setdefault(order.id, tag)
        return self._known.get(order.id, "")
