"""Double-double arithmetic and roundings against decimal arithmetic of any length."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, example, given
from hypothesis import strategies as st

from parley.kernels.doubles import (
    certain,
    decimal_pair,
    pair_product,
    pair_quotient,
    pair_sum,
    round8,
    two_product,
    two_sum,
)

prices = st.floats(1e-7, 1e15, allow_nan=False)
short_prices = st.builds(
    lambda digits, places: digits / 10**places, st.integers(1, 10**12), st.integers(0, 10)
)
any_price = prices | short_prices


def value_of(x: float) -> Fraction:
    return Fraction(Decimal(repr(x)))


@given(any_price, any_price)
def test_sum_and_product_lose_nothing(a: float, b: float) -> None:
    hi, lo = two_sum(a, b)
    assert Fraction(hi) + Fraction(lo) == Fraction(a) + Fraction(b)
    hi, lo = two_product(a, b)
    assert Fraction(hi) + Fraction(lo) == Fraction(a) * Fraction(b)


@given(any_price | any_price.map(lambda x: -x))
@example(999.9999999999999)
@example(0.3)
@example(9007199254740993.0)
@example(1e-05)
@example(8.988465674311581)
def test_a_decimal_pair_is_what_repr_shows(x: float) -> None:
    hi, lo, sure = decimal_pair(x)
    assert hi == x
    if sure:
        assert abs(Fraction(hi) + Fraction(lo) - value_of(x)) <= abs(value_of(x)) / 2**100


@given(short_prices)
def test_prices_of_a_market_are_always_certain(x: float) -> None:
    assume(1e-7 <= x < 1e15)
    assert decimal_pair(x)[2]


@given(any_price, any_price, any_price)
def test_pairs_stay_within_the_bound_that_certain_assumes(a: float, b: float, c: float) -> None:
    (ah, al, _), (bh, bl, _), (ch, cl, _) = decimal_pair(a), decimal_pair(b), decimal_pair(c)
    exact = (Fraction(ah) + Fraction(al)) * (Fraction(bh) + Fraction(bl))
    hi, lo = pair_product(ah, al, bh, bl)
    assert abs(Fraction(hi) + Fraction(lo) - exact) <= abs(exact) / 2**98
    exact += Fraction(ch) + Fraction(cl)
    hi, lo = pair_sum(hi, lo, ch, cl)
    assert abs(Fraction(hi) + Fraction(lo) - exact) <= abs(exact) / 2**97
    exact = (Fraction(ah) + Fraction(al)) / (Fraction(bh) + Fraction(bl))
    hi, lo = pair_quotient(ah, al, bh, bl)
    assert abs(Fraction(hi) + Fraction(lo) - exact) <= abs(exact) / 2**97


def test_a_value_halfway_between_two_floats_is_not_certain() -> None:
    assert certain(1.0, 1e-20, 0.0)
    assert not certain(1.0, 2.0**-53, 0.0)
    assert not certain(1.0, 2.0**-53 * (1 - 2.0**-50), 0.0)
    assert not certain(1.0, 1e-17, 1.2e-16)


@given(
    st.floats(-1e7, 1e7)
    | st.integers(-(10**12), 10**12).map(lambda n: (2 * n + 1) / 512)
    | st.floats(-1e9, 1e9)
    | st.floats(-1e-6, 1e-6)
)
@example(0.001953125)
@example(-1e-9)
@example(5e-09)
@example(1.5e-08)
@example(-2.5e-08)
def test_rounding_to_8_places_is_pythons(x: float) -> None:
    assert repr(round8(x)) == repr(round(x, 8))
