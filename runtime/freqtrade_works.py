"""What was decided for a freqtrade strategy and is being worked: until it is certain that nothing more
comes.

Not here: what fills mean to the strategy (`freqtrade_bridge.paper`). Invariant: facts may come twice, late
and in any order; an order ends once, when the venue said so and everything it filled was heard, or when the
account no longer knows of it.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from parley.ids import intent_id
from parley.messages import Decision, Fill, OrderEvent, VenueReject
from parley.view import FirmView

ZERO: Final = Decimal(0)
CHILDREN: Final = 16  # orders of one decision that are looked out for
ENDED: Final = frozenset({"closed", "canceled", "expired", "rejected"})
LOST_AFTER: Final = 2  # batches an order may be missing from the account's view
KEPT: Final = 256


class Work(msgspec.Struct, kw_only=True):
    """An order that was decided; ``key`` is the strategy's name of it, the rest by child, in base."""

    key: str
    round: bytes
    pid: bytes
    symbol: str
    version: int
    children: int
    filled: dict[int, Decimal] = {}
    ended: dict[int, Decimal] = {}
    trades: list[str] = []
    missing: int = 0

    def child(self, iid: bytes) -> int | None:
        """Which of its orders an intent is."""
        return _orders_of(self.round, self.pid).get(iid)

    @property
    def is_over(self) -> bool:
        """Whether every order has ended and everything they filled was heard."""
        return len(self.ended) >= self.children and all(
            self.filled.get(n, ZERO) >= qty for n, qty in self.ended.items()
        )


@lru_cache(maxsize=2 * KEPT)
def _orders_of(round_: bytes, pid: bytes) -> dict[bytes, int]:
    return {intent_id(round_, pid, 0, n): n for n in range(CHILDREN)}


class Works(msgspec.Struct, kw_only=True):
    """All works: ``open``, and the last that ended, for facts that come late."""

    open: list[Work] = []
    over: list[Work] = []

    def begin(self, key: str, decision: Decision, version: int) -> None:
        """Take up an order that was decided."""
        children = max([1, *(len(plan.children) for plan in decision.plan)])
        work = Work(
            key=key, round=decision.round, pid=decision.pid, symbol=decision.symbol, version=version,
            children=children,
        )  # fmt: skip
        self.open.append(work)

    def find(self, iid: bytes) -> Work | None:
        """Find whose order an intent is."""
        return next((work for work in (*self.open, *self.over) if work.child(iid) is not None), None)

    def hear(self, work: Work, fact: Fill | OrderEvent | VenueReject) -> bool:
        """Take a fact; whether nothing more comes after it."""
        child = work.child(fact.iid) or 0
        match fact:
            case Fill():
                name = f"{fact.venue}/{fact.trade_id}"
                if name not in work.trades:
                    work.trades.append(name)
                    work.filled[child] = work.filled.get(child, ZERO) + fact.qty
                    if work in self.over:
                        return True  # counted again, with what came late
            case OrderEvent(status=status, cum_qty=cum) if status in ENDED and cum.is_finite():
                work.ended[child] = max(cum, work.ended.get(child, ZERO))
            case VenueReject(definitive=True, cancel=False):
                work.ended[child] = ZERO
        return work not in self.over and work.is_over

    def lost(self, view: FirmView) -> list[Work]:
        """Name the works of which the account knows no order and reserves nothing, batch after batch."""
        found = []
        for work in self.open:
            name = (work.round, work.pid)
            known = any((o.round, o.pid) == name for o in view.state.orders) or any(
                (r.round, r.pid) == name for r in view.state.reservations
            )
            work.missing = 0 if known or view.version <= work.version else work.missing + 1
            if work.missing >= LOST_AFTER:
                found.append(work)
        return found

    def end(self, work: Work) -> None:
        """Keep a work only for what comes late."""
        if work not in self.over:
            self.open = [each for each in self.open if each is not work]
            self.over = [*self.over, work][-KEPT:]
