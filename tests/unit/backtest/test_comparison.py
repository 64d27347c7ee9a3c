"""Figures of several simulations side by side."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pandas import DataFrame

from backtest.comparison import standing_alone, standing_of_account, standing_of_all

FEE = 0.001


def trades(*closes: tuple[int, float]) -> DataFrame:
    orders = [{"amount": 2.0, "safe_price": 50.0}, {"amount": 2.0, "safe_price": 55.0}]
    return DataFrame({
        "close_timestamp": [moment for moment, _ in closes],
        "profit_abs": [profit for _, profit in closes],
        "orders": [orders for _ in closes],
    })  # fmt: skip


def test_return_drawdown_turnover_and_costs_are_of_the_wallet() -> None:
    told = standing_alone("one", trades((3, 30.0), (1, 100.0), (2, -55.0)), 1000.0, FEE)

    assert told.trades == 3
    assert told.total_return == pytest.approx(0.075)
    assert told.max_drawdown == pytest.approx(55 / 1100)
    assert told.turnover == pytest.approx(3 * 210 / 1000)
    assert told.costs == pytest.approx(3 * 210 / 1000 * FEE)


def test_what_closes_at_one_moment_is_one_step_in_any_order() -> None:
    won, lost = trades((1, 100.0)), trades((1, -100.0))

    told = {standing_of_all("all", both, [1000.0, 1000.0], FEE) for both in ([won, lost], [lost, won])}

    assert len(told) == 1
    assert told.pop().max_drawdown == 0.0


def test_nothing_traded_is_nothing_lost() -> None:
    told = standing_alone("none", trades(), 1000.0, FEE)

    assert (told.trades, told.total_return, told.max_drawdown, told.turnover) == (0, 0.0, 0.0, 0.0)


def test_an_account_is_told_by_its_books() -> None:
    told = standing_of_account(8, Decimal(2000), Decimal(1966), 0.02, Decimal(5800), Decimal("5.8"))

    assert told.total_return == pytest.approx(-0.017)
    assert (told.trades, told.max_drawdown) == (8, 0.02)
    assert (told.turnover, told.costs) == (2.9, pytest.approx(0.0029))
