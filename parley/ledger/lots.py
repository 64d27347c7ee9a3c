"""A quantity and what it cost, in total.

Cost is kept as a sum, not as an average price: an average cannot be stored exactly,
and PnL computed from a rounded one does not add up. A disposal takes out the part
of the cost that goes with its part of the quantity, on the 12-decimal grid; the one
that empties the lot takes all that is left. Short quantities have negative cost.

Not here: who owns a lot.

Invariant: change of cost + worth received - worth given = gain, exactly.
"""

from decimal import Decimal

from parley.messages import Holding
from parley.money import ZERO, average, share, tidy


class Lot:
    """What one sub-ledger holds of one asset; ``opened``, ``round`` and ``pid`` tell what opened it."""

    __slots__ = ("_shown", "cost", "opened", "pid", "qty", "round")

    def __init__(
        self, *, opened: int, round: bytes, pid: bytes, qty: Decimal = ZERO, cost: Decimal = ZERO
    ) -> None:
        self.qty = qty
        self.cost = cost
        self.opened = opened
        self.round = round
        self.pid = pid
        self._shown: Holding | None = None

    def move(self, amount: Decimal, worth: Decimal) -> Decimal:
        """Take in (or, negative, give out) an amount worth ``worth`` quote >= 0; give the gain realised."""
        self._shown = None
        held = self.qty
        into = worth if amount > 0 else -worth
        if not held or (held > 0) == (amount > 0):
            self.qty = tidy(held + amount)
            self.cost = tidy(self.cost + into)
            return ZERO
        if abs(amount) <= abs(held):
            removed = share(self.cost, -amount, held)
            self.qty = tidy(held + amount)
            self.cost = tidy(self.cost - removed)
            return -into - removed
        closing = share(worth, abs(held), abs(amount))
        return self.move(-held, closing) + self.move(amount + held, worth - closing)

    def rebase(self, cost: Decimal) -> Decimal:
        """Set the cost anew; give the change."""
        change = tidy(cost - self.cost)
        self.cost = tidy(cost)
        self._shown = None
        return change

    def reopen(self, *, opened: int, round: bytes, pid: bytes) -> None:
        """Say what opened this lot: it held nothing, or only dust, before."""
        self.opened, self.round, self.pid = opened, round, pid
        self._shown = None

    def holding(self, agent: str, symbol: str) -> Holding:
        """Show the lot as others see it; the same object until it changes."""
        if self._shown is None:
            self._shown = Holding(
                agent=agent,
                symbol=symbol,
                qty=self.qty,
                avg_px=average(self.cost, self.qty),
                opened=self.opened,
                round=self.round,
                pid=self.pid,
            )
        return self._shown
