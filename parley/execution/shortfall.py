"""What working an order cost against the price at which it was decided, and where the cost came from.

The measure is Perold's: a paper order that traded at once, whole, at the mid of the decision
and for nothing, less what really happened. It falls apart into the market's move until a
child was sent (delay), the way from that mid to the best price of the other side (spread),
what lay beyond that (impact), fees, and the move that was missed by what did not trade
(opportunity). An order that rested pays no impact: all it got against the mid at its sending is
spread, usually a gain.

Not here: reading it out of a journal (`runtime.shortfall`).

Invariant: nothing is rounded; the five parts sum exactly to the shortfall, which is computed
from the two outcomes and not from the parts.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from parley.money import exact

ZERO = Decimal(0)


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A fill of a child; ``mid`` and ``touch`` (best opposite price) when it was sent, ``fee`` in quote."""

    qty: Decimal
    px: Decimal
    fee: Decimal
    mid: Decimal
    touch: Decimal
    took: bool


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of one parent order in its quote, positive is worse."""

    delay: Decimal = ZERO
    spread: Decimal = ZERO
    impact: Decimal = ZERO
    fees: Decimal = ZERO
    opportunity: Decimal = ZERO
    total: Decimal = ZERO


def shortfall(
    side: str, qty: Decimal, decided: Decimal, ended: Decimal, trades: Iterable[Trade]
) -> Shortfall:
    """Split the shortfall of an order for ``qty`` base.

    Parameters
    ----------
    decided : mid at the decision, in quote
    ended : mid at which what did not trade is valued, in quote

    Raises
    ------
    decimal.Inexact
        When a number has more digits than 120 digits can be exact with.
    """
    sign = 1 if side == "buy" else -1
    delay = spread = impact = fees = filled = paid = ZERO
    with exact():
        for trade in trades:
            reached = trade.touch if trade.took else trade.px
            delay += sign * trade.qty * (trade.mid - decided)
            spread += sign * trade.qty * (reached - trade.mid)
            impact += sign * trade.qty * (trade.px - reached)
            fees += trade.fee
            filled += trade.qty
            paid += trade.qty * trade.px
        opportunity = sign * (qty - filled) * (ended - decided)
        paper = sign * qty * (ended - decided)
        result = sign * (filled * ended - paid) - fees
        return Shortfall(
            delay=delay, spread=spread, impact=impact, fees=fees, opportunity=opportunity,
            total=paper - result,
        )  # fmt: skip


def together(parts: Iterable[Shortfall]) -> Shortfall:
    """Sum shortfalls of one quote currency exactly."""
    sums = dict.fromkeys(Shortfall.__struct_fields__, ZERO)
    with exact():
        for part in parts:
            for name in sums:
                sums[name] += getattr(part, name)
    return Shortfall(**sums)
