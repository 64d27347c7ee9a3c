"""Double entry: every amount leaves one purse for another, and each move is told.

Problem: a balance that is set instead of moved can be wrong without anything else being wrong.

Purses are those of an account (its cross wallet, and one for each isolated position), of fees, of the
insurance fund, of the public that all others trade with, and `CLEARING`, which pays what a closed position
earned and gets what it lost. Not here: why something is moved. Invariant: all purses with `DEPOSITS` sum to
zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

FEES: Final = "fees"
INSURANCE: Final = "insurance"
PUBLIC: Final = "public"
CLEARING: Final = "clearing"
DEPOSITS: Final = "deposits"


def cross(account: str) -> str:
    """The wallet that an account's cross positions share."""
    return f"cross:{account}"


def isolated(account: str, symbol: str) -> str:
    """The wallet of one isolated position."""
    return f"isolated:{account}:{symbol}"


class Purses:
    """Amounts count 1e-16; `told` gets (from, to, amount, why) of every move."""

    def __init__(self, told: Callable[[str, str, int, str], None]) -> None:
        self._told = told
        self.amounts: dict[str, int] = defaultdict(int)

    def move(self, source: str, target: str, amount: int, why: str) -> None:
        """Move an amount; a negative one goes the other way."""
        if amount < 0:
            source, target, amount = target, source, -amount
        if amount:
            self.amounts[source] -= amount
            self.amounts[target] += amount
            self._told(source, target, amount, why)
