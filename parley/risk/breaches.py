"""How a rule names what it found: a limit, the value, and its cap, as text.

Not here: any rule. Invariant: a value that is not known is above every cap.
"""

from decimal import Decimal

from parley.messages import Breach


def breach(limit: str, value: object, cap: object) -> Breach:
    """Name a limit, the value found and its cap, as text."""
    return Breach(limit=limit, value=str(value), cap=str(cap))


def at_most(limit: str, value: Decimal | None, cap: Decimal) -> Breach | None:
    """Name a limit whose value is above its cap, or not known."""
    if value is None or not value.is_finite():
        return breach(limit, "unknown", cap)
    return breach(limit, value, cap) if value > cap else None
