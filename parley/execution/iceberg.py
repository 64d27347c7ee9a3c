"""Showing little of a large resting order: its visible slices.

Slices are drawn when the order is decided, so that the decision names them, and differ in
size, because equal ones give an iceberg away (and two equal orders within seconds are taken
for one sent twice). Not here: their prices and when the next one is shown (`chase`, the
agent).

Invariant: slices sum to the order exactly, none is below the venue's minimum.
"""

from decimal import Decimal

import numpy as np

from parley.instruments import Instrument

from .slicing import weighted

TOO_SMALL = ("below_min_qty", "below_min_notional")


def slices(
    qty: Decimal, shown: float, most: int, jitter: float, instrument: Instrument, px: Decimal,
    rng: np.random.Generator,
) -> tuple[Decimal, ...]:  # fmt: skip
    """Cut an order into slices of about ``shown`` base, varied by ``jitter`` of it either way.

    At most ``most`` slices: a larger order shows more at a time. An order that cannot be cut
    comes back whole.
    """
    if qty <= 0:
        return ()
    wanted = int(np.ceil(float(qty) / shown)) if shown > 0 else most
    for parts in range(max(1, min(wanted, most)), 1, -1):
        weights = [1.0 + jitter * (2.0 * float(rng.random()) - 1.0) for _ in range(parts)]
        cut = weighted(qty, weights, instrument)
        if len(cut) == parts and not any(instrument.tradable(part, px) for part in cut):
            return cut
    return (qty,)


def visible(left: Decimal, slice_: Decimal, px: Decimal, instrument: Instrument) -> Decimal:
    """Give what to show of what is left: a slice, or all where the rest behind it could never be traded."""
    behind = left - slice_
    return left if behind <= 0 or instrument.tradable(behind, px) in TOO_SMALL else slice_
