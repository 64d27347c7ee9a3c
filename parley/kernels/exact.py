"""The same arithmetic without bounds: whole numbers of any size, as slow as it is safe.

The kernels come here through a port when double-double arithmetic cannot be certain, and for what is rare
enough not to deserve it: significant-digit precisions, ticks of odd lengths, trades with several entries.

Not here: anything a kernel calls directly. This module runs in plain Python only.

Invariant: a number is (digits, places): digits * 10^-places, from the float's shortest text.
"""

import decimal
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from parley.kernels.settings import DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE

Number = tuple[int, int]
_WIDE = decimal.Context(prec=60)
TRUNCATE, ROUND, ROUND_UP, ROUND_DOWN = 0, 1, 2, 3


@lru_cache(maxsize=1 << 12)
def number(x: float) -> Number:
    """The decimal number a float prints as."""
    # A position is added up again at each of its fills: most numbers come several times.
    mantissa, _, power = repr(float(x)).partition("e")
    whole, _, part = mantissa.partition(".")
    try:
        return int(whole + part), len(part) - int(power or 0)
    except ValueError:
        raise ValueError(f"a number is expected, not {x}") from None


def to_float(a: Number) -> float:
    """The float nearest to it."""
    digits, places = a
    # Python divides whole numbers of any size with one rounding.
    return digits / 10**places if places >= 0 else float(digits * 10**-places)


def multiply(a: Number, b: Number) -> Number:
    return a[0] * b[0], a[1] + b[1]


def add(a: Number, b: Number) -> Number:
    places = max(a[1], b[1])
    return a[0] * 10 ** (places - a[1]) + b[0] * 10 ** (places - b[1]), places


def divide(a: Number, b: Number) -> Number:
    """18 places, cut towards zero, as ccxt's `Precise` divides."""
    shift = 18 - a[1] + b[1]
    top = a[0] * 10**shift if shift >= 0 else a[0] // 10**-shift
    quotient, rest = divmod(top, b[0])
    if quotient < 0 and rest:
        quotient += 1
    return quotient, 18


@lru_cache(maxsize=1 << 12)
def value_with_fee(amount: float, rate: float, signed_fee: float) -> float:
    """amount * rate * (1 + signed_fee), each a decimal; the float nearest to it."""
    value = multiply(number(amount), number(rate))
    return to_float(add(value, multiply(value, number(signed_fee))))


def stake_of(amount: float, price: float, leverage: float) -> float:
    """What an order binds: amount * price / leverage."""
    return to_float(divide(multiply(number(amount), number(price)), number(leverage)))


def quotient(a: float, b: float) -> float:
    return to_float(divide(number(a), number(b)))


def average_price(amount: float, price: float) -> float:
    """What the average over one order gives: its price, cut at 18 places."""
    return to_float(divide(multiply(number(price), number(amount)), number(amount)))


class Fill(NamedTuple):
    """A filled order of a trade, as far as averages ask."""

    is_entry: bool
    amount: float
    price: float


class Position(NamedTuple):
    """What a row of fills adds up to."""

    averages: tuple[float, ...]
    """Average entry price at each fill, for the profit of an exit there."""
    prices: tuple[float, ...]
    """What each entry is valued at."""
    amount: float
    stake: float
    max_stake: float
    price: float
    """stake / amount; 0 when nothing is left."""


def position(fills: Sequence[Fill]) -> Position:
    """Add up fills the way freqtrade's recalculation does."""
    amount: Number = (0, 0)
    stake: Number = (0, 0)
    max_stake: Number = (0, 0)
    average: Number = (0, 0)
    averages = []
    for fill in fills:
        size, price = number(fill.amount), number(fill.price)
        if fill.is_entry:
            amount = add(amount, size)
            stake = add(stake, multiply(price, size))
            max_stake = add(max_stake, multiply(size, price))
            if amount[0] > 0:
                average = divide(stake, amount)
        else:
            value = multiply(average, size)
            amount = add(amount, (-size[0], size[1]))
            stake = add(stake, (-value[0], value[1]))
        averages.append(to_float(average))
    left = to_float(amount)
    mean = to_float(divide(stake, amount)) if amount[0] > 0 else 0.0
    return Position(
        averages=tuple(averages),
        prices=tuple(fill.price for fill in fills),
        amount=left,
        stake=to_float(stake),
        max_stake=to_float(max_stake),
        price=mean,
    )


def amount_to_precision(amount: float, precision: float, mode: int) -> float:
    """Cut an amount to what the venue accepts."""
    return float(_to_precision(decimal.Decimal(repr(float(amount))), TRUNCATE, precision, mode))


def price_to_precision(price: float, precision: float, mode: int, rounding: int) -> float:
    """Round a price to what the venue accepts; `rounding` as ccxt numbers it."""
    if math.isnan(price):
        return price
    if rounding not in (ROUND_UP, ROUND_DOWN):
        return float(_to_precision(decimal.Decimal(repr(float(price))), rounding, precision, mode))
    if mode == TICK_SIZE:
        return _to_tick(price, precision, rounding)
    if mode == DECIMAL_PLACES:
        places = round(precision)
        ticks = price * (10**places)
        whole = math.ceil(ticks) if rounding == ROUND_UP else math.floor(ticks)
        return float(whole / (10**places))
    return _to_digits(price, precision, rounding)


def _to_tick(price: float, tick: float, rounding: int) -> float:
    value, step = number(price), number(tick)
    places = max(value[1], step[1])
    digits = value[0] * 10 ** (places - value[1])
    unit = step[0] * 10 ** (places - step[1])
    missing = digits % unit
    if not missing:
        return price
    digits = digits - missing + (unit if rounding == ROUND_UP else 0)
    return round(to_float((digits, places)), 14)


def _to_digits(price: float, precision: float, rounding: int) -> float:
    value = decimal.Decimal(repr(float(price)))
    digits = round(precision)
    q = digits - value.adjusted() - 1
    unit = decimal.Decimal(10) ** -q
    if q < 0:
        text = f"{value:f}"[:digits]
        below = unit * decimal.Decimal(text or "0")
        return float(below + unit if rounding == ROUND_UP else below)
    way = decimal.ROUND_DOWN if rounding == ROUND_DOWN else decimal.ROUND_UP
    return float(value.quantize(unit, rounding=way, context=_WIDE))


def _to_precision(value: decimal.Decimal, rounding: int, precision: float, mode: int) -> decimal.Decimal:
    """ccxt's `decimal_to_precision` for rounding and truncating, by value instead of by text."""
    if mode == TICK_SIZE:
        step = (
            decimal.Decimal(repr(precision)) if isinstance(precision, float) else decimal.Decimal(precision)
        )
        missing = abs(value) % step
        if missing:
            up = rounding == ROUND and missing >= step / 2
            away = (step - missing) if up else -missing
            value = value + away if value > 0 else value - away
        return value
    places = int(precision)
    if mode == SIGNIFICANT_DIGITS:
        return _significant(value, rounding, places)
    if places < 0:
        unit = decimal.Decimal(10) ** -places
        if rounding == ROUND:
            return unit * _quantize(value / unit, 0, decimal.ROUND_HALF_UP)
        return _quantize(value - value % unit, 0, decimal.ROUND_DOWN)
    way = decimal.ROUND_HALF_UP if rounding == ROUND else decimal.ROUND_DOWN
    return _quantize(value, places, way)


def _quantize(value: decimal.Decimal, places: int, way: str) -> decimal.Decimal:
    return value.quantize(decimal.Decimal(1).scaleb(-places), rounding=way, context=_WIDE)


def _significant(value: decimal.Decimal, rounding: int, digits: int) -> decimal.Decimal:
    q = digits - value.adjusted() - 1
    unit = decimal.Decimal(10) ** -q
    if rounding == ROUND:
        if q >= 0:
            return value.quantize(unit, rounding=decimal.ROUND_HALF_UP, context=_WIDE)
        text = f"{value:f}"[:digits]
        below = unit * decimal.Decimal(text or "0")
        above = below + unit
        return min((below, above), key=lambda x: abs(x - value))
    if digits <= 0 or not value:
        return decimal.Decimal(0)
    if q >= 0:
        return value.quantize(unit, rounding=decimal.ROUND_DOWN, context=_WIDE)
    return (value / unit).to_integral_value(rounding=decimal.ROUND_DOWN) * unit
