"""What callbacks and signal columns may hold: numbers are taken, everything else is told or left to
freqtrade."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest import answers, candles
from backtest.errors import OddAnswer, SimulationError, WrongAnswer
from backtest.run import run
from parley.errors import UserError
from tests.kit.freqtrade_folder import walk
from tests.unit.backtest.markets import settings
from tests.unit.backtest.test_python_api import CONFIG, Cross

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("answer", [1.5, np.float64(1.5), 2, np.int64(2), True])
def test_numbers_are_taken(answer: Any) -> None:
    assert answers.number(answer, "custom_roi", "a ratio") == answer


@pytest.mark.parametrize("answer", ["abc", "10", [1], {"a": 1}, 1j, object()])
def test_what_is_no_number_is_told(answer: Any) -> None:
    with pytest.raises(WrongAnswer) as told:
        answers.price(answer, "custom_entry_price")
    assert str(told.value).startswith("custom_entry_price must return a price or None, returned ")
    assert repr(answer)[:60] in str(told.value)


@pytest.mark.parametrize("answer", [np.float32(0.1), Decimal("0.5"), np.array([0.5]), 10**400, "", {}])
def test_what_freqtrade_may_go_on_with_is_left_to_it(answer: Any) -> None:
    with pytest.raises(OddAnswer, match="custom_stoploss must return a ratio, returned "):
        answers.number(answer, "custom_stoploss", "a ratio")


@pytest.mark.parametrize("answer", [math.inf, -math.inf, math.nan, 0, 1e300, True])
def test_no_price_can_be_this(answer: Any) -> None:
    with pytest.raises(OddAnswer, match="custom_exit_price must return a price or None, returned "):
        answers.price(answer, "custom_exit_price")


def test_a_price_may_be_missing_and_a_leverage_may_not() -> None:
    assert math.isnan(answers.price(None, "custom_exit_price"))
    assert answers.leverage(math.inf) == math.inf
    for answer in (math.nan, None):
        with pytest.raises(OddAnswer, match=r"leverage must return a number, returned (nan|None)"):
            answers.leverage(answer)


def test_a_signal_is_what_freqtrade_asks_of_it() -> None:
    column = pd.Series([1, "1", "yes", "", None, np.nan, pd.NA, True, 2, Decimal(1)], dtype=object)

    assert candles._signal(column).tolist() == [1, 2, 2, 0, 0, 0, 0, 1, 2, 1]


def test_a_signal_that_is_neither_is_one_line_with_its_pair_and_row() -> None:
    frame = walk(1, 50)
    frame["enter_long"] = [1] * 20 + [np.array([1, 0])] + [0] * 29

    with pytest.raises(
        SimulationError, match=r"AAA/USDT: the column 'enter_long' must hold 1 or 0, row 21 has"
    ):
        candles.read({"AAA/USDT": frame}, settings())


class WrittenPrices(Cross):
    """Makes prices into texts, without freqtrade's own check of them."""

    disable_dataframe_checks = True

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        dataframe = super().populate_indicators(dataframe, metadata)
        return dataframe.assign(close="abc")


def test_prices_made_into_texts_are_told() -> None:
    with pytest.raises(UserError, match=r"'WrittenPrices'.*must keep finite prices, close: "):
        run(WrittenPrices, {"AAA/USDT": walk(1, 300)}, CONFIG)
