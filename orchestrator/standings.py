"""How each owner of the account's money stands: its own result, and the trades of its orders.

Problem: what one bot loses another may gain, and the account shows neither. The ledger keeps what is whose;
here are the marks that a limit of one bot is measured from: its result at the start of the UTC day, and its
best so far. Both begin at zero, for before its first trade a bot has won and lost nothing.

Not here: the account's own equity, peak and day (`account`), the limits (`parley.risk.tree`), orders a second
(`gatekeeper`).

Invariant: a fold over the account's marks and fills, each state of it immutable; the results of all owners
together are what equity is above the opening one, exactly.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from parley.messages import StateView
from parley.money import exact_difference
from parley.view import FirmView

from .together import Together

ZERO = Decimal(0)


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """By owner: the ``results`` now, at the start of the day and at their best, in quote; trades today."""

    results: Mapping[str, Decimal] = {}
    day_open: Mapping[str, Decimal] = {}
    best: Mapping[str, Decimal] = {}
    trades: Mapping[str, int] = {}

    def marked(self, results: Mapping[str, Decimal]) -> "Standings":
        """Take the results at new marks; the same object when nothing moved."""
        if results == self.results:
            return self
        higher = {who: each for who, each in results.items() if each > self.best.get(who, ZERO)}
        best = {**self.best, **higher} if higher else self.best
        return msgspec.structs.replace(self, results=results, best=best)

    def next_day(self) -> "Standings":
        """Measure the day from here."""
        return msgspec.structs.replace(self, day_open=self.results, trades={})

    def traded(self, owner: str) -> "Standings":
        """Count an execution of an owner's order."""
        trades = {**self.trades, owner: self.trades.get(owner, 0) + 1}
        return msgspec.structs.replace(self, trades=trades)

    def lost(self, owner: str) -> Decimal:
        """What an owner lost since the start of the UTC day; below zero where it won."""
        return exact_difference(self.day_open.get(owner, ZERO), self.results.get(owner, ZERO))

    def fallen(self, owner: str) -> Decimal:
        """How far an owner's result is below its best, which is at least nothing."""
        return exact_difference(self.best.get(owner, ZERO), self.results.get(owner, ZERO))


class DeskView(FirmView):
    """The account as the desk itself sees it: with what agents are not told, of the same version.

    ``whole`` is the account by exchanges, where it lies at several; else this very view.
    """

    __slots__ = ("standings", "together", "whole")

    def __init__(
        self, state: StateView, standings: Standings, together: Together, whole: FirmView | None = None
    ) -> None:
        super().__init__(state)
        self.whole: FirmView = whole if whole is not None else self
        self.standings = standings
        self.together = together  # goes on with the market


def whole_of(view: FirmView) -> FirmView:
    """Return the account by exchanges: what the gate judges, and what an order is paid from."""
    return view.whole if isinstance(view, DeskView) else view
