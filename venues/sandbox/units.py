"""Scaled integers: every price and quantity counts 1e-8, every amount of money counts 1e-16.

A price times a quantity is then a money amount without rounding, so conservation of balances is
an equality of integers. Floats appear only where recorded candles enter. Not here: tick and lot
rules (see `instrument`). Invariant: text -> integer -> text never changes a value.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

DECIMALS = 8
ONE = 10**DECIMALS
MONEY_ONE = ONE * ONE

# Above this a float64 cannot hold eight decimals, and times 1e8 it would not fit int64 safely.
_EXACT_FLOAT = float(2**50) / ONE


def units_from_text(text: str) -> int:
    """Exact count of 1e-8 in a plain decimal text; ValueError if it has more decimals than that."""
    value = Decimal(text).scaleb(DECIMALS)
    count = int(value)
    if count != value:
        raise ValueError(f"expected at most {DECIMALS} decimals, got {text!r}")
    return count


def units_from_float(value: float) -> int:
    """Count of 1e-8 in the shortest decimal text of a float (recorded data), rounded half even."""
    if abs(value) < _EXACT_FLOAT:
        return round(value * ONE)
    return int(Decimal(repr(value)).scaleb(DECIMALS).to_integral_value(ROUND_HALF_EVEN))


def text8(units: int) -> str:
    """Decimal text with eight decimals, as Binance prints prices and quantities."""
    if units < 0:
        return "-" + text8(-units)
    whole, part = divmod(units, ONE)
    return f"{whole}.{part:08d}"


def money_text(amount: int) -> str:
    """Decimal text of a money amount: eight decimals, more only where the value needs them."""
    if amount < 0:
        return "-" + money_text(-amount)
    whole, part = divmod(amount, MONEY_ONE)
    digits = f"{part:016d}"
    return f"{whole}.{digits[:8]}{digits[8:].rstrip('0')}"


def money_from_text(text: str) -> int:
    """Exact money amount of a plain decimal text; ValueError beyond sixteen decimals."""
    value = Decimal(text).scaleb(2 * DECIMALS)
    count = int(value)
    if count != value:
        raise ValueError(f"expected at most {2 * DECIMALS} decimals, got {text!r}")
    return count
