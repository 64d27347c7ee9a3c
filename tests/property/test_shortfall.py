"""Implementation shortfall: five parts that sum to what was lost against the decision, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from parley.execution.shortfall import Shortfall, Trade, shortfall, together

D = Decimal
PRICES = st.floats(1e-8, 1e8, allow_nan=False).map(lambda x: D(repr(x)))
QTYS = st.decimals("0.00000001", "1000000", places=8)
FEES = st.decimals("-10", "1000", places=12)
TRADES = st.lists(
    st.builds(Trade, qty=QTYS, px=PRICES, fee=FEES, mid=PRICES, touch=PRICES, took=st.booleans()), max_size=6
)


@given(st.sampled_from(["buy", "sell"]), QTYS, PRICES, PRICES, TRADES)
def test_the_parts_sum_exactly_to_the_paper_order_less_the_result(
    side: str, rest: Decimal, decided: Decimal, ended: Decimal, trades: list[Trade]
) -> None:
    filled = sum((Fraction(t.qty) for t in trades), Fraction(0))
    qty = rest + sum((t.qty for t in trades), D(0))
    sign = 1 if side == "buy" else -1

    found = shortfall(side, qty, decided, ended, trades)

    paper = sign * Fraction(qty) * (Fraction(ended) - Fraction(decided))
    paid = sum((Fraction(t.qty) * Fraction(t.px) for t in trades), Fraction(0))
    fees = sum((Fraction(t.fee) for t in trades), Fraction(0))
    result = sign * (filled * Fraction(ended) - paid) - fees
    parts = [found.delay, found.spread, found.impact, found.fees, found.opportunity]
    assert Fraction(found.total) == paper - result
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(found.total)


def test_a_purchase_in_two_children_is_told_part_by_part() -> None:
    # decided at 100; the first child crosses a spread of 2 and walks to 102, the second goes at a mid of 103
    first = Trade(qty=D(2), px=D(102), fee=D("0.3"), mid=D(100), touch=D(101), took=True)
    second = Trade(qty=D(1), px=D(104), fee=D("0.1"), mid=D(103), touch=D(104), took=True)

    found = shortfall("buy", D(5), D(100), D(106), [first, second])

    assert found == Shortfall(
        delay=D(3), spread=D(3), impact=D(2), fees=D("0.4"), opportunity=D(12), total=D("20.4")
    )


def test_a_resting_sale_earns_the_spread_and_has_no_impact() -> None:
    made = Trade(qty=D(2), px=D(101), fee=D(0), mid=D(100), touch=D(99), took=False)

    found = shortfall("sell", D(2), D(100), D(90), [made])

    assert found == Shortfall(spread=D(-2), total=D(-2))


def test_an_order_that_never_traded_costs_the_move_it_missed() -> None:
    assert shortfall("sell", D(3), D(100), D(98), []) == Shortfall(opportunity=D(6), total=D(6))
    assert shortfall("buy", D(3), D(100), D(98), []) == Shortfall(opportunity=D(-6), total=D(-6))


@given(st.lists(st.tuples(QTYS, PRICES, PRICES, TRADES), max_size=4))
def test_orders_together_sum_as_their_parts_do(
    orders: list[tuple[Decimal, Decimal, Decimal, list[Trade]]],
) -> None:
    found = [shortfall("buy", qty, a, b, trades) for qty, a, b, trades in orders]

    whole = together(found)

    assert Fraction(whole.total) == sum((Fraction(f.total) for f in found), Fraction(0))
    parts = (whole.delay, whole.spread, whole.impact, whole.fees, whole.opportunity)
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(whole.total)
