"""Positions one way: one for each account and symbol, long above zero and short below.

A position knows what it cost instead of an average price, so that nothing is rounded while it grows. Not
here: money. Invariant: a position without quantity has cost nothing; over all who trade with one another,
costs and what was realised sum to zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from venues.sandbox.units import ONE

DEFAULT_LEVERAGE = 20


@dataclass(slots=True)
class Position:
    """Of one symbol; ``qty`` counts 1e-8, ``cost`` 1e-16 and has the sign of the quantity."""

    symbol: str
    qty: int = 0
    cost: int = 0
    leverage: int = DEFAULT_LEVERAGE
    is_isolated: bool = False
    realised: int = 0
    updated_ms: int = 0

    @property
    def entry(self) -> int:
        """What one unit cost on average, cut; 0 without a position."""
        return self.cost // self.qty if self.qty else 0

    def value(self, mark: int) -> int:
        """Signed notional at a price."""
        return self.qty * mark

    def unrealised(self, mark: int) -> int:
        """What closing at a price would earn."""
        return self.qty * mark - self.cost

    def closes(self, change: int) -> int:
        """How much of a change of quantity closes something, unsigned."""
        return min(abs(change), abs(self.qty)) if self.qty * change < 0 else 0

    def apply(self, change: int, price: int) -> int:
        """Trade a signed quantity; returns what its closing part earned.

        The cost of a part that is closed is cut to 1e-8, as all that is booked.
        """
        closed = self.closes(change)
        earned = 0
        if closed:
            share = self.cost if closed == abs(self.qty) else _cut(self.cost * closed, abs(self.qty))
            direction = 1 if self.qty > 0 else -1
            earned = direction * closed * price - share
            self.cost -= share
            self.qty -= direction * closed
        rest = change - closed if change > 0 else change + closed
        self.qty += rest
        self.cost += rest * price
        self.realised += earned
        return earned


def _cut(amount: int, by: int) -> int:
    """A quotient cut towards zero to 1e-8 of money."""
    share = abs(amount) // by // ONE * ONE
    return share if amount > 0 else -share


class Positions:
    """All positions of all accounts, and the public's."""

    def __init__(self, symbols: list[str]) -> None:
        self._symbols = symbols
        self._held: dict[str, dict[str, Position]] = {}
        self.public: dict[str, Position] = defaultdict(lambda: Position(""))

    def of(self, account: str) -> dict[str, Position]:
        """An account's positions by symbol, also empty ones."""
        held = self._held.get(account)
        if held is None:
            held = self._held[account] = {symbol: Position(symbol) for symbol in self._symbols}
        return held

    def holders(self) -> list[str]:
        """Accounts that have ever had to do with a position."""
        return list(self._held)
