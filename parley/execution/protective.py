"""The stop that a venue holds for a holding: which order it is, and when it has to be another one.

It triggers at the holder's stop and may then trade `REACH_BPS` beyond: a stop-limit, because a stop
that sells at any price sells into an empty book too. It follows the holder's stop in steps, because
every move is a moment without it.

Not here: when it is placed and taken back (`orchestrator.guarding`), what an order may be (`parley.risk`).

Invariant: a stop is only ever replaced by one that guards another quantity or triggers nearer to the
price (trap T4).
"""

from decimal import Decimal
from typing import Final, NamedTuple

from parley.instruments import Instrument
from parley.stops import exit_side

STOP_LIMIT: Final = "stop_limit"
GUARD_LEG: Final = 255  # no decision has so many legs: orders of this one guard what it bought
REACH_BPS: Final = Decimal(150)  # as far as the strategy agents themselves leave on a stop
STEP_BPS: Final = Decimal(5)
REACHED: Final = "venue:order_immediately_fillable"  # the code of a stop that would trigger at once
BPS: Final = Decimal(10_000)


class Stop(NamedTuple):
    """A stop-limit order: ``qty`` base is left at no worse than ``limit`` once ``trigger`` traded."""

    side: str
    qty: Decimal
    trigger: Decimal
    limit: Decimal


def stop_for(held: Decimal, stop: Decimal, instrument: Instrument) -> Stop | None:
    """Give the order that guards a signed holding; None where the venue would not take it."""
    direction = 1 if held > 0 else -1
    side = exit_side(direction)
    trigger = instrument.price(stop, "near")
    limit = instrument.crossing_price(trigger * (1 - direction * REACH_BPS / BPS), side)
    qty = instrument.qty(abs(held))
    # at the limit, which is where the venue's minima are looked at
    return None if instrument.tradable(qty, limit) else Stop(side, qty, trigger, limit)


def is_reached(side: str, trigger: Decimal, px: Decimal) -> bool:
    """Whether an executable price is at or beyond a trigger."""
    return px <= trigger if side == "sell" else px >= trigger


def is_nearer(side: str, trigger: Decimal, than: Decimal) -> bool:
    """Whether a trigger is nearer to the price than another by more than a step."""
    better = trigger - than if side == "sell" else than - trigger
    return better * BPS > than * STEP_BPS
