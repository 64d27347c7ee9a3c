"""Which fate something meets: the seed and its name decide, nothing else.

Not here: what a fate does. Invariant: the same key meets the same fate, whatever else happened.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from venues.sandbox.keyed_random import KeyedRandom

_PARTS = 1_000_000


def drawn(shares: Any, names: tuple[str, ...], dice: KeyedRandom) -> str:
    """The name of a share that was met, empty if none was; `shares` has a field for each of `names`."""
    at = dice.below(_PARTS) / _PARTS
    for name in names:
        share: float = getattr(shares, name)
        if at < share:
            return name
        at -= share
    return ""


def names_of(shares: Any) -> tuple[str, ...]:
    """All shares of a group, in the order in which they are drawn."""
    return tuple(each.name for each in fields(shares))
