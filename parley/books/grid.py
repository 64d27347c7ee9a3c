"""A book's prices and sizes as whole numbers of a decimal place, exactly.

Problem: a level is found by its price, so two texts of one price must give one number and two prices never
the same. Not here: whether an order may have that price (`parley.instruments`).

Invariant: nothing is rounded; what does not lie on the grid is refused.
"""

import re
from decimal import Decimal

import msgspec

from parley.errors import ProtocolError
from parley.instruments import Instrument

# At most three digits of exponent: larger ones are no price, and would be a number of that many digits.
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_TENS: tuple[int, ...] = tuple(int(10**power) for power in range(19))


class Grid(msgspec.Struct, frozen=True):
    """How many decimals a book's prices and sizes have at most."""

    price_decimals: int
    size_decimals: int

    def __post_init__(self) -> None:
        for decimals in (self.price_decimals, self.size_decimals):
            if not 0 <= decimals < len(_TENS):
                raise ValueError(f"expected 0 to {len(_TENS) - 1} decimals, was {decimals!r}")

    def price(self, scaled_price: int) -> Decimal:
        """Return a price of the book."""
        return Decimal(scaled_price).scaleb(-self.price_decimals)

    def size(self, scaled_size: int) -> Decimal:
        """Return a size of the book."""
        return Decimal(scaled_size).scaleb(-self.size_decimals)

    def floats(self, level: tuple[int, int]) -> tuple[float, float]:
        """Return the floats nearest to a level's price and size."""
        # Python divides whole numbers to the nearest float, however large they are.
        return level[0] / _TENS[self.price_decimals], level[1] / _TENS[self.size_decimals]


def grid_of(instrument: Instrument) -> Grid:
    """Return the grid of an instrument's tick and lot."""
    return Grid(_decimals(instrument.tick), _decimals(instrument.lot))


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"expected a finite step, was {step!r}")
    return max(0, -exponent)


def scaled(text: str, decimals: int) -> int:
    """Return a decimal text as a whole number of its last place.

    Raises
    ------
    ProtocolError
        When it is no number, below 0, or has more decimals than the grid.
    """
    whole, _, part = text.partition(".")
    digits = whole + part
    missing = decimals - len(part)
    if whole and digits.isdecimal():
        if missing >= 0:
            return int(digits) * _TENS[missing]
        if not part[decimals:].strip("0"):
            return int(digits[:missing])
    # Decimal would also take spaces, underscores and NaN.
    if _NUMBER.fullmatch(text):
        value = Decimal(text).scaleb(decimals)
        if value == value.to_integral_value():
            return int(value)
    raise ProtocolError(f"expected a number of at least 0 with {decimals} decimals, was {text!r}")
