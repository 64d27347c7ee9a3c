"""Whose the assets are: lots per asset and owner, and from which of them a disposal is taken.

What an agent gives out comes from its own lot, then from the opening balance; the
rest is posted to `UNASSIGNED`, so that no agent's holding becomes negative by its
own sale. A contract may be owed: an agent's own lot of it goes below zero. Sums over
owners are what the account holds.

Not here: cash, PnL, marks.

Invariant: a lot that exists holds something; one below the venue's lot size counts
as closed, so that the next purchase opens it anew.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from parley.instruments import symbol_of
from parley.messages import Holding
from parley.money import ZERO, share, tidy

from .image import LotImage
from .lots import Lot
from .postings import EXTERNAL, OPENING, UNASSIGNED


class By(NamedTuple):
    """Who moves something, for which decision, at which market time (ns)."""

    agent: str
    t: int
    pid: bytes = b""
    round: bytes = b""


class Part(NamedTuple):
    """One sub-ledger's part of a movement, with what it did to the cost and which gain it realised."""

    owner: str
    amount: Decimal
    worth: Decimal
    cost: Decimal
    gain: Decimal


class SubLedgers:
    """Lots by asset and owner. ``dust`` is per asset the quantity below which nothing can be sold.

    ``owed`` are the contracts, of which an agent may hold less than nothing.
    """

    def __init__(self, quote: str, dust: Mapping[str, Decimal], owed: frozenset[str] = frozenset()) -> None:
        self._quote = quote
        self._owed = owed
        self._dust = dict(dust)
        self._lots: dict[str, dict[str, Lot]] = {}

    def move(self, asset: str, amount: Decimal, worth: Decimal, by: By, *, valued: bool = True) -> list[Part]:
        """Book an amount (signed) of total worth >= 0; what has no mark yet is all the opening balance's."""
        if not valued:
            sources = [(OPENING, amount, worth)]
        elif by.agent == EXTERNAL and asset in self._owed:
            sources = self._from_holders(asset, amount, worth)
        elif amount > 0 or asset in self._owed:
            sources = [(by.agent, amount, worth)]
        else:
            sources = self._sources(asset, -amount, worth, by.agent)
        return [self._book(asset, owner, part, value, by) for owner, part, value in sources]

    def rebase(self, asset: str, mark: Decimal) -> list[tuple[str, Decimal]]:
        """Set the cost of all lots of an asset to their value; give the change by owner, sorted."""
        lots = self._lots.get(asset, {})
        return [(owner, lots[owner].rebase(lots[owner].qty * mark)) for owner in sorted(lots)]

    def quantities(self, asset: str) -> list[tuple[str, Decimal]]:
        """Who holds how much of an asset, sorted."""
        lots = self._lots.get(asset, {})
        return [(owner, lots[owner].qty) for owner in sorted(lots)]

    def sums(self, asset: str) -> tuple[Decimal, Decimal]:
        """Quantity and cost of an asset over all owners."""
        qty = cost = ZERO
        for lot in self._lots.get(asset, {}).values():
            qty += lot.qty
            cost += lot.cost
        return qty, cost

    def unrealised(self, owner: str, marks: Mapping[str, Decimal]) -> Decimal:
        """Value over cost of all that an owner holds, in quote."""
        total = ZERO
        for asset, lots in self._lots.items():
            lot, mark = lots.get(owner), marks.get(asset)
            if lot and mark is not None:
                total += lot.qty * mark - lot.cost
        return total

    def gains(self, marks: Mapping[str, Decimal]) -> Iterator[tuple[str, Decimal]]:
        """Yield the value over cost of each lot that has a mark, with its owner."""
        for asset, lots in self._lots.items():
            mark = marks.get(asset)
            if mark is not None:
                for owner, lot in lots.items():
                    yield owner, lot.qty * mark - lot.cost

    def held(self) -> list[str]:
        """Assets of which somebody holds something, sorted."""
        return sorted(asset for asset, lots in self._lots.items() if lots)

    def holding(self, owner: str, asset: str) -> Holding | None:
        """Show one lot, or None when the owner holds nothing of the asset."""
        lot = self._lots.get(asset, {}).get(owner)
        return lot.holding(owner, symbol_of(asset, self._quote)) if lot else None

    def holdings(self) -> tuple[Holding, ...]:
        """Show all lots, sorted by asset and owner."""
        return tuple(
            lot.holding(owner, symbol_of(asset, self._quote))
            for asset, lots in sorted(self._lots.items())
            for owner, lot in sorted(lots.items())
        )

    def images(self) -> Iterator[LotImage]:
        """Yield all lots for a snapshot, sorted."""
        for asset, lots in sorted(self._lots.items()):
            for owner, lot in sorted(lots.items()):
                yield (asset, owner, lot.qty, lot.cost, lot.opened, lot.round, lot.pid)

    def load(self, images: tuple[LotImage, ...]) -> None:
        """Take up the lots of a snapshot in place of the present ones."""
        self._lots = {}
        for asset, owner, qty, cost, opened, round_, pid in images:
            lot = Lot(qty=qty, cost=cost, opened=opened, round=round_, pid=pid)
            self._lots.setdefault(asset, {})[owner] = lot

    def _sources(
        self, asset: str, need: Decimal, worth: Decimal, agent: str
    ) -> list[tuple[str, Decimal, Decimal]]:
        lots, sources = self._lots.get(asset, {}), []
        for owner in dict.fromkeys((agent, OPENING)):
            lot = lots.get(owner)
            take = min(lot.qty, need) if lot else ZERO
            if take > 0:
                value = share(worth, take, need)
                sources.append((owner, -take, value))
                need, worth = need - take, worth - value
            if not need:
                return sources
        return [*sources, (UNASSIGNED, -need, worth)]

    def _from_holders(
        self, asset: str, amount: Decimal, worth: Decimal
    ) -> list[tuple[str, Decimal, Decimal]]:
        """Divide what nobody here decided, such as a liquidation, among those whose contracts it closes.

        The venue knows one net position and closes of that: who holds against it is brought nearer to nothing
        as well. What goes beyond the position is `EXTERNAL`'s.
        """
        held = self.quantities(asset)
        net = sum((qty for _, qty in held), ZERO)
        if net * amount >= 0:
            return [(EXTERNAL, amount, worth)]
        closed = amount if abs(amount) < abs(net) else -net
        sources = []
        left, value_left = amount, worth.copy_sign(amount)
        for owner, qty in held:
            part = -qty if closed == -net else -share(qty, closed, -net)
            value = share(worth.copy_sign(amount), part, amount)
            left, value_left = left - part, value_left - value
            sources.append((owner, part, abs(value)))
        if closed != amount:
            return [*sources, (EXTERNAL, left, abs(value_left))]
        owner, part, value = sources.pop()  # and what rounding left
        return [*sources, (owner, part + left, abs(value.copy_sign(part) + value_left))]

    def _opens_anew(self, asset: str, held: Decimal, amount: Decimal) -> bool:
        if asset in self._owed and held * (held + amount) < 0:
            return True  # turned over
        return (amount > 0 or asset in self._owed) and abs(held) < self._dust.get(asset, ZERO)

    def _book(self, asset: str, owner: str, amount: Decimal, worth: Decimal, by: By) -> Part:
        lots = self._lots.setdefault(asset, {})
        lot = lots.get(owner)
        if lot is None:
            lot = lots[owner] = Lot(opened=by.t, round=by.round, pid=by.pid)
        elif self._opens_anew(asset, lot.qty, amount):
            lot.reopen(opened=by.t, round=by.round, pid=by.pid)
        cost = lot.cost
        gain = lot.move(amount, worth)
        change = lot.cost - cost
        if not lot.qty:
            del lots[owner]
        return Part(owner, tidy(amount), worth, change, gain)
