"""Cutting an order over time: even, along a volume curve, or as a share of what is printed.

`weighted` cuts once, when the order is decided. `due` says what to send now of such a cut,
with what earlier children missed spread over the slots that are left instead of sent at
once; `participation` says it for an order that follows the printed volume.

Not here: prices, and whether a child may be sent at all (the agent, the gate).

Invariant: parts sum to the whole exactly; what is due never exceeds what is left, and
participation never exceeds its share of what was printed.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from math import isfinite

from parley.instruments import Instrument
from parley.money import decimal

ZERO = Decimal(0)


def weighted(qty: Decimal, weights: Sequence[float], instrument: Instrument) -> tuple[Decimal, ...]:
    """Cut a quantity in proportion to weights, on the lot grid, summing to it exactly.

    Each part is its share cut down to the lot; the lots left over go to the largest
    remainders, the earlier first, and what is off the grid stays in the first part. Weights
    that are not positive numbers count as nothing; without any that count, the parts are
    even.
    """
    if qty <= 0 or not weights:
        return ()
    sound = [w if isfinite(w) and w > 0 else 0.0 for w in weights]
    most = max(sound)
    # scaled by the largest, so that no sum of them can overflow
    shares = [decimal(w / most) if w / most > 1e-12 else ZERO for w in sound] if most > 0 else []
    if not shares:
        shares = [Decimal(1)] * len(weights)
    total = sum(shares, ZERO)
    lots = int(qty / instrument.lot)
    exact = [lots * share / total for share in shares]
    whole = [int(part) for part in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (whole[i] - exact[i], i))
    for i in by_rest[: lots - sum(whole)]:
        whole[i] += 1
    parts = [n * instrument.lot for n in whole]
    parts[0] += qty - lots * instrument.lot
    return tuple(parts)


def due(plan: Sequence[tuple[Decimal, int]], now: int, used: Decimal, instrument: Instrument) -> Decimal:
    """Give what a schedule sends now: the newest child that is due, and a share of what was missed.

    What earlier children missed is spread over this and the children to come, so the last one
    carries all that is left.

    Parameters
    ----------
    plan : (quantity, due market ns) of each child, in order of time
    used : base quantity the leg has taken, or may still take
    """
    reached = [qty for qty, at in plan if at <= now]
    owed = sum(reached, ZERO) - used
    if owed <= 0 or not reached:
        return ZERO
    own = min(owed, reached[-1])
    slots = 1 + len(plan) - len(reached)
    missed = _up((owed - own) / slots, instrument.lot)
    return min(owed, own + missed)


def participation(
    share: float, printed: float, last: float, used: Decimal, catch_up: float, instrument: Instrument
) -> Decimal:
    """Give what an order may take now so that it stays within its share of the printed volume.

    Parameters
    ----------
    share : of the printed volume, in (0, 1]
    printed, last : base volume printed since the order began, and since it was last asked
    used : base quantity it has taken, or may still take
    catch_up : how many times its share of ``last`` it may take at once when it is behind
    """
    if not (isfinite(printed) and isfinite(last) and 0 < share <= 1 and isfinite(catch_up)):
        return ZERO
    allowed = decimal(share) * decimal(max(printed, 0.0)) - used
    burst = decimal(share) * decimal(max(last, 0.0)) * decimal(max(catch_up, 1.0))
    return instrument.qty(max(ZERO, min(allowed, burst)))


def _up(amount: Decimal, step: Decimal) -> Decimal:
    return (amount / step).to_integral_value(ROUND_CEILING) * step
