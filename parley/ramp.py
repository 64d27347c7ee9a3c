"""How a desk grows from a part of its stakes to all of them (F271: from paper to live, 10 to 20 % first).

Not here: what the share is applied to (`agents.capital`). Invariant: the share never falls, and grows only
with market time in which the account held at least what it began with.
"""

from decimal import Decimal

import msgspec

from parley.money import decimal

DAY_NS = 86_400_000_000_000
ZERO = Decimal(0)
ONE = Decimal(1)


class Climb(msgspec.Struct, kw_only=True):
    """How far a desk came: ``climbed_ns`` of market time counted, ``began_with`` quote money."""

    began_with: Decimal = ZERO
    seen_ns: int = 0
    climbed_ns: int = 0

    def see(self, now: int, equity: Decimal, most_ns: int) -> None:
        """Count the time since the last look, at most ``most_ns``: a desk that was away has shown nothing."""
        if not (equity.is_finite() and equity > 0):
            return
        if not self.seen_ns:
            self.began_with = equity
        elif equity >= self.began_with:
            self.climbed_ns += min(max(0, now - self.seen_ns), most_ns)
        self.seen_ns = max(now, self.seen_ns)

    def share(self, start: Decimal, days: float) -> Decimal:
        """Return the part of its stakes a desk uses: from ``start`` to 1 in a straight line over ``days``."""
        whole = days * DAY_NS
        if self.climbed_ns >= whole:
            return ONE
        return start + (ONE - start) * Decimal(self.climbed_ns) / decimal(whole)
