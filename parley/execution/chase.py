"""Quoting a resting order anew as the market moves, within bounds, and what comes after.

A chase has so many moves and goes so far from where it began, never beyond the limit it was
given; then it crosses with what is left, or gives up, as its policy says. A quote that steps
towards the other side does so evenly over its moves.

Not here: when a quote counts as left behind, and sending (the agent).

Invariant: no quote is worse than the limit, nor further from the first one than the policy
allows; after its moves a chase never quotes again.
"""

from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from parley.instruments import Instrument

from .pricing import tighter

BPS = Decimal(10_000)
Then = Literal["cross", "give_up"]


class ChasePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how far to follow; ``distance_bps`` None: as far as the limit allows."""

    moves: int
    distance_bps: float | None
    then: Then


class Quote(NamedTuple):
    """What the market offers an order now: the price to join its own side, and the best opposite one."""

    side: str
    touch: Decimal
    opposite: Decimal


def furthest(policy: ChasePolicy, side: str, first: Decimal | None, limit: Decimal | None,
             instrument: Instrument) -> Decimal | None:  # fmt: skip
    """Give the worst price a chase may quote: its limit, or its distance from the first quote."""
    if policy.distance_bps is None or first is None:
        return limit
    sign = 1 if side == "buy" else -1
    bound = instrument.price(first * (1 + sign * Decimal(repr(policy.distance_bps)) / BPS), side)
    return tighter(side, bound, limit)


def follow(
    policy: ChasePolicy, moves: int, quote: Quote, worst: Decimal | None, instrument: Instrument, *,
    stepping: bool,
) -> Decimal | None:  # fmt: skip
    """Give the next quote of a chase that has moved ``moves`` times, None when it has no move left.

    ``stepping`` goes from the own side to the opposite one over the moves; otherwise the quote
    joins the own side.
    """
    if moves >= policy.moves:
        return None
    px = quote.touch
    if stepping:
        px += (quote.opposite - quote.touch) * (moves + 1) / policy.moves
    return tighter(quote.side, instrument.price(px, quote.side), worst)


def is_behind(px: Decimal | None, quote: Quote, worst: Decimal | None) -> bool:
    """Whether an order at a price could be quoted nearer to the market within its bounds."""
    now = tighter(quote.side, quote.touch, worst)
    if px is None or now is None:
        return False
    return now > px if quote.side == "buy" else now < px
