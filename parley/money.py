"""Exact arithmetic with money.

Problem: Decimal rounds silently to the 28 digits of the ambient context, so a sum
of parts may miss the whole by its last digit. Inside `exact()` nothing rounds: an
operation that would have to raises. What must be divided goes through `share`,
whose result lies on the 12-decimal grid and whose remainder the caller keeps.

Not here: the grids of an exchange (`parley.instruments`).

Invariant: no number of the ledger is rounded anywhere but in `share`, `on_grid`,
`ratio` and `inverse`.
"""

from contextlib import AbstractContextManager
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from decimal import localcontext as _localcontext
from functools import lru_cache

ZERO = Decimal(0)
GRID = Decimal("1e-12")

# 120 digits hold the product of two 28-digit numbers beside any sum of such products.
_EXACT = Context(
    prec=120, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow]
)
_ROUND = Context(prec=120, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
# single steps of what `exact` does for a block
exact_sum, exact_difference, exact_product = _EXACT.add, _EXACT.subtract, _EXACT.multiply
_PRICE = Context(prec=24, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_SHOWN = Context(prec=16, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


def decimal(value: float) -> Decimal:
    """Give a float as the Decimal it prints as."""
    # not the zeros: they are equal, but print differently
    return _printed(value) if value else Decimal(repr(value))


@lru_cache(maxsize=4096, typed=True)
def _printed(value: float) -> Decimal:
    # a mid is asked for by everybody, so the last ones are kept
    return Decimal(repr(value))


def exact() -> AbstractContextManager[Context]:
    """Compute without rounding in this block; ``decimal.Inexact`` is raised where that is impossible."""
    return _localcontext(_EXACT)


def on_grid(amount: Decimal) -> Decimal:
    """Round an amount to 12 decimals, half to even."""
    return _ROUND.quantize(amount, GRID)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Give ``amount * part / whole`` to 12 decimals; all of ``amount`` when part is whole."""
    if part == whole:
        return amount
    return _ROUND.quantize(_ROUND.divide(_ROUND.multiply(amount, part), whole), GRID)


def price(px: Decimal) -> Decimal:
    """Limit a price to 24 significant digits, so that sums of values stay short."""
    return _PRICE.plus(px)


def inverse(px: Decimal) -> Decimal:
    """Give ``1 / px`` to 24 significant digits."""
    return _PRICE.divide(1, px)


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Divide two amounts to 24 significant digits."""
    return _PRICE.divide(numerator, denominator)


def average(cost: Decimal, qty: Decimal) -> Decimal:
    """Give ``cost / qty`` to 16 significant digits, for showing only; zero when nothing is held."""
    return tidy(_SHOWN.divide(cost, qty)) if qty else ZERO


def tidy(amount: Decimal) -> Decimal:
    """Strip trailing zeros without an exponent: one spelling per amount, whatever it was summed from."""
    return _ROUND.add(_ROUND.normalize(amount), ZERO)
