"""Brackets of notional value: how much leverage they allow and how much maintenance margin they ask for.

Problem: with one rate for all sizes a large position would be liquidated at a price at which nobody takes it.

Each bracket has a higher rate on its whole notional and gives back a constant, so that the margin is
continuous where one ends and the next begins. Not here: who has which position. Invariant: brackets begin at
0, lie end to end, and with each the rate rises and the leverage falls.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from venues.sandbox.units import ONE, money_from_text, units_from_text

# (notional up to, most leverage, maintenance rate), in the shape of Binance's for its two largest contracts
# and for the others; the figures of the day are on its site and change.
LARGE: Final = (
    ("50000", 125, "0.004"), ("600000", 100, "0.005"), ("3000000", 75, "0.0065"), ("12000000", 50, "0.01"),
    ("70000000", 25, "0.02"), ("100000000", 20, "0.025"), ("230000000", 10, "0.05"), ("480000000", 5, "0.1"),
    ("600000000", 4, "0.125"), ("800000000", 3, "0.15"), ("1200000000", 2, "0.25"), ("1800000000", 1, "0.5"),
)  # fmt: skip
OTHERS: Final = (
    ("10000", 75, "0.01"), ("50000", 50, "0.015"), ("400000", 25, "0.02"), ("1000000", 20, "0.025"),
    ("5000000", 10, "0.05"), ("10000000", 5, "0.1"), ("20000000", 4, "0.125"), ("30000000", 2, "0.25"),
    ("50000000", 1, "0.5"),
)  # fmt: skip
LARGE_ASSETS: Final = frozenset({"BTC", "ETH"})


@dataclass(frozen=True, slots=True)
class Bracket:
    """Notional from ``floor`` up to ``cap``; amounts count 1e-16, ``rate`` 1e-8."""

    floor: int
    cap: int
    leverage: int
    rate: int
    cum: int

    def maintenance(self, notional: int) -> int:
        """Margin that a position of this notional must keep, by this bracket's figures."""
        return notional * self.rate // ONE - self.cum


class Brackets:
    """All brackets of one contract, smallest first."""

    def __init__(self, rows: Iterable[tuple[str, int, str]]) -> None:
        found: list[Bracket] = []
        floor = cum = rate = 0
        for cap_text, leverage, rate_text in rows:
            cap, next_rate = money_from_text(cap_text), units_from_text(rate_text)
            if cap <= floor or not rate < next_rate < ONE or leverage < 1:
                raise ValueError(f"expected rising caps and rates below 1, got {cap_text} at {rate_text}")
            if found and leverage >= found[-1].leverage:
                raise ValueError(f"expected a leverage below {found[-1].leverage}, got {leverage}")
            cum += floor * (next_rate - rate) // ONE
            found.append(Bracket(floor, cap, leverage, next_rate, cum))
            floor, rate = cap, next_rate
        if not found:
            raise ValueError("expected at least one bracket, got none")
        self.rows = tuple(found)

    def of(self, notional: int) -> Bracket:
        """The bracket of a notional; the last one also beyond its cap, where prices may carry a position."""
        return next((each for each in self.rows if notional <= each.cap), self.rows[-1])

    def maintenance(self, notional: int) -> int:
        """Margin that a position of this notional must keep."""
        return self.of(notional).maintenance(notional)

    @property
    def most_leverage(self) -> int:
        """Of the smallest positions."""
        return self.rows[0].leverage

    def cap(self, leverage: int) -> int:
        """The largest notional that may be opened with a leverage."""
        return max((each.cap for each in self.rows if each.leverage >= leverage), default=0)
