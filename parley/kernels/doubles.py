"""Double-double arithmetic, and the decimal number a float prints as.

freqtrade computes values with the decimal text of a float ("0.1" is exactly one tenth there). Here such a
number is an unevaluated sum of two floats, good to about 2^-104: enough to know the float nearest to a
product of several, unless it lies on the edge between two floats. Then `certain` says no and the caller
computes exactly (`parley.kernels.exact`).

Not here: what the products mean (`values`), rounding to ticks (`grid`).

Invariant: a result that is called certain is the correctly rounded one. The bounds below are proofs on paper,
tests/unit/kernels compares them with decimal arithmetic.
"""

import math

import numpy as np

_SPLIT = 134217729.0  # 2^27 + 1
_RELATIVE_ERROR = 2.0**-97
"""More than four multiplications and additions of pairs accurate to 2^-104 can lose."""
_FUZZ = 1e-9
POWERS = np.array([10.0**k for k in range(23)])
"""The powers of ten that are floats exactly."""


def two_sum(a: float, b: float) -> tuple[float, float]:
    """The float sum and what it lost, exactly."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def two_product(a: float, b: float) -> tuple[float, float]:
    """The float product and what it lost, exactly (no overflow below 1e290)."""
    p = a * b
    c = _SPLIT * a
    ah = c - (c - a)
    al = a - ah
    c = _SPLIT * b
    bh = c - (c - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def pair_product(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    """Product of two pairs."""
    p, e = two_product(ah, bh)
    e += ah * bl + al * bh
    s = p + e
    return s, e - (s - p)


def pair_sum(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    """Sum of two pairs."""
    s, e = two_sum(ah, bh)
    t, f = two_sum(al, bl)
    e += t
    r = s + e
    e = e - (r - s) + f
    s = r + e
    return s, e - (s - r)


def pair_quotient(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    """Quotient of two pairs; b is not zero."""
    q = ah / bh
    p, e = two_product(q, bh)
    e += q * bl
    r = ((ah - p) - e) + al
    q2 = r / bh
    # One more step: the residue of two digits so far.
    p2, e2 = two_product(q2, bh)
    rh, rl = pair_sum(ah, al, -p, -e)
    rh, rl = pair_sum(rh, rl, -p2, -(e2 + q2 * bl))
    q3 = (rh + rl) / bh
    s, e = two_sum(q, q2)
    e += q3
    t = s + e
    return t, e - (t - s)


def certain(hi: float, lo: float, slack: float) -> bool:
    """Whether hi is the float nearest to every number within the error of hi + lo, plus `slack`."""
    error = abs(hi) * _RELATIVE_ERROR + slack
    return hi + (lo + error) == hi and hi + (lo - error) == hi


def decimal_pair(x: float) -> tuple[float, float, bool]:
    """The decimal number `repr(x)` shows as a pair, and whether it is certain.

    At most 15 digits: a decimal that rounds to x is unique, so any that does is it. 16 digits: the nearest to
    x, if it rounds to x. Otherwise the nearest of 17 digits.
    """
    if x == 0.0 or (x == np.floor(x) and abs(x) < 9007199254740992.0):
        return x, 0.0, True
    size = abs(x)
    if not (1e-7 <= size < 1e15):
        return x, 0.0, False
    if size < 1e6:
        # Nearly every price and amount: up to 8 places and 14 digits, at half the cost of the way below.
        m = np.rint(x * 1e8)
        if m / 1e8 == x:
            p, e = two_product(x, 1e8)
            return x, ((m - p) - e) / 1e8, True
    # Binary digits give the number of decimal ones up to one; the comparisons settle which.
    fraction, exponent = math.frexp(size)
    d = (exponent * 1233 >> 12) + 1
    k = 15 - d
    if k < 0 or k > 22:
        return x, 0.0, False
    if size * POWERS[k] < 1e14:
        d -= 1
        k += 1
        if k > 22:
            return x, 0.0, False
    elif size * POWERS[k] >= 1e15:
        d += 1
        k -= 1
        if k < 0:
            return x, 0.0, False
    scale = POWERS[k]
    m = np.rint(x * scale)
    if m / scale == x:
        p, e = two_product(x, scale)
        return x, ((m - p) - e) / scale, True
    if fraction == 0.5:
        return x, 0.0, False
    ulp = math.ldexp(1.0, exponent - 53)
    for digits in range(16, 18):
        k = digits - d
        if k > 22:
            return x, 0.0, False
        scale = POWERS[k]
        p, e = two_product(x, scale)
        base = np.rint(p)
        rest = (p - base) + e
        delta = rest - np.rint(rest)
        if abs(delta) > 0.5 - _FUZZ:
            return x, 0.0, False
        half = 0.5 * ulp * scale
        if digits == 17 or abs(delta) < half * (1.0 - _FUZZ):
            # 17 digits always come back to x, and 16 do when they lie inside half a unit of x.
            return x, -delta / scale, True
        if abs(delta) < half * (1.0 + _FUZZ):
            return x, 0.0, False
    return x, 0.0, False


def round8(x: float) -> float:
    """Python's `round(x, 8)`: half to even of the exact binary value."""
    if not abs(x) < 4.5e7:
        if abs(x) > 9e15 or x != x:
            return x
        return _round8_large(x)
    p, e = two_product(x, 1e8)
    base = np.floor(p)
    # The first difference is exact, so the sign of the sum is right even where e is lost in it.
    beyond = ((p - base) - 0.5) + e
    if beyond > 0.0 or (beyond == 0.0 and base % 2.0 != 0.0):
        base += 1.0
    result = base / 1e8
    if result == 0.0:
        return math.copysign(0.0, x)
    return float(result)


def _round8_large(x: float) -> float:
    """Above 4.5e7 the whole part is split off first; it needs no rounding."""
    whole = np.floor(abs(x))
    p, e = two_product(abs(x) - whole, 1e8)
    base = np.floor(p)
    # The first difference is exact, so the sign of the sum is right even where e is lost in it.
    beyond = ((p - base) - 0.5) + e
    if beyond > 0.0 or (beyond == 0.0 and base % 2.0 != 0.0):
        base += 1.0
    hi, lo = two_product(whole, 1e8)
    h, low = pair_sum(hi, lo, base, 0.0)
    q, _ = pair_quotient(h, low, 1e8, 0.0)
    return math.copysign(q, x)
