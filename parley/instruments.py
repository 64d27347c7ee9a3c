"""What can be traded and on which grid.

An `Instrument` is the only place where a float becomes an order's Decimal:
quantities are cut down to the lot, prices moved to the tick in the direction
that never costs more than was meant. Whatever falls below the venue's minimum
becomes zero, and the caller refuses.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

import msgspec

from .money import decimal

ZERO = Decimal(0)


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's spot pair: ``tick`` and ``min_notional`` in quote, ``lot`` in base, fees as fractions."""

    symbol: str
    venue: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal

    def qty(self, amount: Decimal | float) -> Decimal:
        """Cut a base amount down to the lot; not finite or negative gives zero."""
        value = amount if isinstance(amount, Decimal) else decimal(float(amount))
        if not value.is_finite() or value <= ZERO:
            return ZERO
        return _grid(min(value, self.max_qty), self.lot, ROUND_FLOOR)

    def price(self, px: Decimal | float, side: str) -> Decimal:
        """Move a price to the tick: down for a buy, up for a sell; 'near' takes the closest."""
        rounding = ROUND_FLOOR if side == "buy" else ROUND_CEILING if side == "sell" else ROUND_HALF_EVEN
        value = px if isinstance(px, Decimal) else decimal(float(px))
        return _grid(value if value.is_finite() else ZERO, self.tick, rounding)

    def crossing_price(self, px: Decimal | float, side: str) -> Decimal:
        """Move a price to the tick at which an order still reaches ``px``: up for a buy, down for a sell."""
        return self.price(px, "sell" if side == "buy" else "buy")

    def tradable(self, qty: Decimal, px: Decimal) -> str:
        """Name why the venue would refuse this size at this price, or give the empty string."""
        if qty < self.min_qty or qty <= ZERO:
            return "below_min_qty"
        if qty > self.max_qty:
            return "above_max_qty"
        if px <= ZERO:
            return "no_price"
        if qty * px < self.min_notional:
            return "below_min_notional"
        return ""


def _grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return ((value / step).to_integral_value(rounding) * step).normalize() + ZERO
