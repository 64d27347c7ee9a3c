"""Columns of the result that are not simply numbers: texts, lists of orders, and the turns of rows."""

import ctypes
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest import trade_frame
from backtest.order_lists import KEYS, list_orders
from backtest.pair_rules import steps_of
from backtest.simulation import simulate
from backtest.text_columns import Texts, look_up
from parley.kernels.records import DESK
from tests.unit.backtest.markets import world

MINUTE = 60_000


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (["", "one", None], [0, 1, 2, 1, 0]),
        (["", "one", None], [2, 2]),
        (["", "never used"], [0, 0, 0]),
        ([None, 7, "one"], [0, 1, 2]),
        ([None, 7, "one"], [0, 2]),
        ([None, 7], [1, 1]),
    ],
)
def test_a_column_of_words_is_what_pandas_makes_of_the_texts(words: list[Any], places: list[int]) -> None:
    texts = np.empty(len(places), dtype=object)
    texts[:] = [words[place] for place in places]

    made = pd.DataFrame({"x": Texts(np.array(places), words).column()})

    pd.testing.assert_frame_equal(made, pd.DataFrame({"x": texts}))


def test_tags_are_looked_up_in_the_column_of_their_pair() -> None:
    columns = [
        pd.Series(["a", None, "b", "a"], dtype="str").array,
        None,
        pd.Series(["", "", ""], dtype="str").array,
        np.array(["b", float("nan"), 3], dtype=object),
    ]
    pairs = np.array([3, 0, 2, 0, 1, 0, 3, 3, 2])
    rows = np.array([0, 0, 1, 1, 2, -1, 1, 2, -1])

    found = look_up(pairs, rows, columns, [0, 0, 1, 0])

    assert [found.at(k) for k in range(len(rows))] == ["b", "a", "", None, None, None, None, 3, None]


def plainly(address: int) -> int:
    memory = (ctypes.c_uint8 * DESK.itemsize).from_address(address)
    return list_orders(np.ctypeslib.as_array(memory).view(DESK)[0])


def test_orders_are_listed_compiled_as_in_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = simulate(**world()).trades["orders"].tolist()
    monkeypatch.setattr(trade_frame, "entry_point", lambda function: plainly)
    plain = simulate(**world()).trades["orders"].tolist()

    assert compiled == plain
    assert len(compiled) > 20
    for orders in compiled:
        assert type(orders) is list
        assert [list(order) for order in orders] == [list(KEYS)] * 2
        assert [order["ft_is_entry"] for order in orders] == [True, False]
        assert [[type(value) for value in order.values()] for order in orders] == [
            [float, float, str, int, bool, str, float]
        ] * 2


def test_orders_are_everyones_own_and_let_go_of_what_they_hold() -> None:
    result = simulate(**world()).trades["orders"].tolist()
    tag = result[0][0]["ft_order_tag"]
    others = [orders[0]["amount"] for orders in result[1:]]
    result[0][0]["amount"] = None
    assert [orders[0]["amount"] for orders in result[1:]] == others
    held = sum(order["ft_order_tag"] is tag for orders in result for order in orders)
    before = sys.getrefcount(tag)

    del result

    assert held > 5
    assert before - sys.getrefcount(tag) == held


@pytest.mark.parametrize("seed", range(20))
def test_a_row_has_its_turn_at_a_step_of_its_own_not_before_its_date(seed: int) -> None:
    dice = np.random.Generator(np.random.Philox(seed))
    dates = np.cumsum(dice.choice([MINUTE // 2, MINUTE, MINUTE, 5 * MINUTE], 50)) + MINUTE
    start = int(dates[0]) - int(dice.integers(0, 3)) * (MINUTE // 2)
    expected, step, exact = [], 0, True
    for date in dates[1:].tolist():
        step = max(-(-(date - start) // MINUTE), step + 1)
        exact = exact and start + step * MINUTE == date
        expected.append(step)

    found = steps_of([dates, dates[:1]], np.array([1, 0]), start, MINUTE)

    assert found.irregular[0] is not None
    assert found.irregular[0][1:].tolist() == expected
    assert found.irregular[1] is None
    assert found.alive[0] == expected[0]
    assert found.are_exact == exact


def test_rows_without_a_gap_follow_each_other() -> None:
    dates = np.arange(5) * MINUTE + 3 * MINUTE

    found = steps_of([dates], np.array([0]), 0, MINUTE)

    assert (found.first[0], found.alive[0], found.irregular, found.are_exact) == (3, 4, [None], True)
