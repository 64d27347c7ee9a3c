"""What a trade costs beyond its price: venue fees and a reserve for slippage.

Rates are floats (features); whoever makes an order computes its fee with Decimals.
Not here: where in the book a quantity ends up (`parley.depth`).
"""

import msgspec

from parley.instruments import Instrument


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """``slippage_bps`` is reserved per leg; ``fee_bps`` replaces the instruments' taker fee where set."""

    slippage_bps: float = 0.5
    fee_bps: float | None = None

    def keep(self, instrument: Instrument) -> float:
        """Fraction of the received amount a taker keeps, slippage reserve deducted."""
        return self.keep_of_fee(instrument) * (1 - self.slippage_bps / 1e4)

    def keep_of_fee(self, instrument: Instrument) -> float:
        """Fraction of the received amount a taker keeps after the fee alone."""
        fee = float(instrument.taker_fee) if self.fee_bps is None else self.fee_bps / 1e4
        return 1 - fee


def legs_bps(instruments: list[Instrument], costs: Costs) -> float:
    """Cost of taking each of some legs once, in bps of the amount that goes in."""
    keep = 1.0
    for instrument in instruments:
        keep *= costs.keep(instrument)
    return (1 - keep) * 1e4
