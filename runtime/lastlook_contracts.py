"""What contracts may take of a desk's capital: margin of the worst that may be held, and its losses.

Problem: a contract is not paid for when it is bought, and may be sold without being owned. What it takes is a
share of its value as margin, and whatever it loses; with cross margin both come out of the account's one
wallet, also of the part that is not the desk's. So what the desk may owe is counted against its capital.

Each contract counts at the worse of two positions: every open buy filled and no sell, or the other way round,
at the highest price that any order of it names or the venue's mark says. It needs, in its quote:

- initial margin: the share of its value that the account's leverage or the venue's tier wants, whichever is
  more, and never less than the maintenance margin;
- what a position with that much behind it loses until a venue liquidates it: the initial margin less the
  maintenance margin. Together that is no more than its value for a long, which loses no more than that;
- the fee of a taker.

All contracts of one quote together need no more than the capital, the results that were taken, fees and
payments, less the losses that were not taken; a profit that was not taken counts for nothing.

Not here: other limits of the last look (`lastlook`), how far an order may be off the venue's marks
(`lastlook_marks`), what the venue itself does (`parley.risk.margin`).

Invariant: `too_much` changes nothing and is total; what it cannot work out is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from parley.instruments import ZERO, Instrument
from parley.risk.margin import maintenance
from runtime.lastlook_marks import Marks

_UNKNOWN: Final = Decimal("NaN")
Refused = tuple[str, str]


class Held(msgspec.Struct, kw_only=True):
    """Of one contract: signed quantity, and what it cost with its sign."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO


class Resting(NamedTuple):
    """An order, or what is left of it; ``price`` is what a unit counts at."""

    asset: str
    side: str
    qty: Decimal
    price: Decimal


class Contracts:
    """Positions of an account by asset, with what they cost on average: a fold over its fills.

    ``marks`` are the venue's, and no fold: a new life asks anew.
    """

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.marks = Marks()

    def filled(self, asset: str, signed: Decimal, px: Decimal) -> None:
        """Count a trade; a part that closes takes its share of the cost along."""
        held = self.held.setdefault(asset, Held())
        if not (signed.is_finite() and px.is_finite() and held.qty.is_finite()):
            held.qty = held.cost = _UNKNOWN
            return
        closed = min(abs(signed), abs(held.qty)) if signed * held.qty < ZERO else ZERO
        if closed:
            held.cost = ZERO if closed == abs(held.qty) else held.cost - held.cost * closed / abs(held.qty)
        held.qty += signed
        held.cost += (abs(signed) - closed).copy_sign(signed) * px

    def value(self) -> Decimal:
        """Return what is held, longs and shorts, at what it cost."""
        return sum((abs(each.cost) for each in self.held.values()), ZERO)


def only_reduces(order: Resting, contracts: Contracts, resting: Iterable[Resting]) -> bool:
    """Whether the position keeps its side whatever fills on this one, and so can only become smaller."""
    held = contracts.held.get(order.asset, Held()).qty
    same = [each.qty for each in (*resting, order) if (each.asset, each.side) == (order.asset, order.side)]
    moved = sum(same, ZERO)
    if not (held.is_finite() and moved.is_finite()):
        return False
    return held - moved >= ZERO if order.side == "sell" else held + moved <= ZERO


def too_much(
    order: Resting, now: Sequence[Decimal], contracts: Contracts, resting: Iterable[Resting],
    instruments: Mapping[str, Instrument], *, money: Decimal, max_position: Decimal, now_mono: int,
) -> Refused | None:  # fmt: skip
    """Return (code, detail) when the capital would not do for an order with all that works beside it.

    ``now`` are prices of the order's contract, of which each counts where it is the worst; other contracts
    have their marks. ``money`` is the capital in the quote and all that was paid and received in it so far;
    ``max_position`` is what one contract may come to. An order that can only bring its position nearer to
    zero passes.
    """
    quote, working = _settled(order.asset), [*resting]
    if only_reduces(order, contracts, working):
        return None
    listed = {each.base: each for each in instruments.values() if each.is_contract}
    assets = {name for name, held in contracts.held.items() if not (held.qty.is_finite() and not held.qty)}
    assets |= {each.asset for each in working} | {order.asset}
    needed = ZERO
    for asset in sorted(assets):
        if _settled(asset) != quote:
            continue
        held = contracts.held.get(asset, Held())
        known = now if asset == order.asset else _marked(contracts, asset, held, now_mono)
        works = [each for each in (*working, order) if each.asset == asset]
        worst = _worst(held, known, works)
        if worst is None:
            return "capital", f"what {asset} may come to is not known"
        up, down, price = worst
        if (
            asset == order.asset
            and (value := abs(up if order.side == "buy" else down) * price) > max_position
        ):
            return "max_position", f"{asset} for {value} {quote} > {max_position}"
        needs = [_needs(qty, price, listed.get(asset)) for qty in (up, down)]
        money += min(held.cost, *(held.qty * each for each in known)) if held.qty else ZERO
        for need in needs:
            if need is None:
                return "capital", f"the margin of {asset} for {max(abs(up), abs(down)) * price} is not known"
        needed += max(need for need in needs if need is not None)
    if not (money.is_finite() and needed.is_finite() and needed <= money):
        return "capital", f"contracts may need {needed} {quote} of this desk's {money}"
    return None


def _settled(asset: str) -> str:
    return asset.partition(":")[2]


def _marked(contracts: Contracts, asset: str, held: Held, now_mono: int) -> Sequence[Decimal]:
    """Return a contract's mark; what is held has to have one, what only works named its own prices."""
    mark = contracts.marks.of(asset, now_mono)
    if mark is None:
        return [_UNKNOWN] if held.qty else []
    return [mark]


def _worst(
    held: Held, known: Sequence[Decimal], works: list[Resting]
) -> tuple[Decimal, Decimal, Decimal] | None:
    """Return the largest and the least that may be held, and the highest price; None: not known."""
    prices = [*known, *(each.price for each in works)]
    amounts = [held.qty, held.cost, *(each.qty for each in works)]
    if not all(each.is_finite() for each in amounts) or not all(it.is_finite() and it > 0 for it in prices):
        return None
    up = held.qty + sum((each.qty for each in works if each.side == "buy"), ZERO)
    down = held.qty - sum((each.qty for each in works if each.side != "buy"), ZERO)
    return up, down, max(prices, default=ZERO)


def _needs(qty: Decimal, price: Decimal, instrument: Instrument | None) -> Decimal | None:
    """Return what a position needs of the capital; None when no tier says its margin."""
    value = abs(qty) * price
    if not value:
        return ZERO
    if instrument is None or not _is_known(instrument):
        return None
    if (least := maintenance(value, instrument.tiers)) is None:
        return None
    tier = next(each for each in instrument.tiers if value <= each.up_to)
    margin = max(value * max(instrument.margin, tier.margin), least)
    needed = margin + (margin - least)
    return (min(needed, value) if qty > 0 else needed) + value * instrument.taker_fee


def _is_known(instrument: Instrument) -> bool:
    figures = [
        each for tier in instrument.tiers for each in (tier.up_to, tier.rate, tier.amount, tier.margin)
    ]
    return all(each.is_finite() for each in (instrument.margin, instrument.taker_fee, *figures))


__all__ = ["Contracts", "Held", "Resting", "only_reduces", "too_much"]
