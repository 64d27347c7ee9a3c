"""Standard figures against hand calculations, scipy, and the papers' own examples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backtest.performance import (
    DAY_MS,
    daily_balance,
    luckiest_sharpe,
    performance,
    probabilistic_sharpe,
)

NONE = np.zeros(0)


def test_profits_count_on_the_day_they_were_realised() -> None:
    closes = np.array([3 * DAY_MS - 1, 1 * DAY_MS, 3 * DAY_MS], dtype=np.int64)

    balance = daily_balance(closes, np.array([5.0, 10.0, -2.0]), 100.0, DAY_MS + 1, 4 * DAY_MS)

    assert balance.tolist() == [100.0, 110.0, 115.0, 113.0, 113.0]


def test_figures_of_a_week_by_hand() -> None:
    balance = np.array([100.0, 102.0, 101.0, 101.0, 99.0, 104.0])
    returns = [0.02, -1 / 102, 0.0, -2 / 101, 5 / 99]
    mean = sum(returns) / 5
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 4)
    downside = math.sqrt(sum(min(r, 0.0) ** 2 for r in returns) / 5)

    told = performance(balance, np.array([2.0, -1.0, -2.0, 5.0]))

    assert told.days == 5
    assert told.total_return == pytest.approx(0.04)
    assert told.cagr == pytest.approx(1.04**73 - 1)
    assert told.sharpe_daily == pytest.approx(mean / deviation * math.sqrt(365))
    assert told.sortino_daily == pytest.approx(mean / downside * math.sqrt(365))
    assert told.max_drawdown == pytest.approx(3 / 102)
    assert told.calmar_cagr == pytest.approx((1.04**73 - 1) / (3 / 102))
    assert told.max_drawdown_days == 3
    assert told.sqn == pytest.approx(np.mean([2, -1, -2, 5]) / np.std([2, -1, -2, 5], ddof=1) * 2)


def test_the_papers_example_of_a_probabilistic_sharpe_ratio() -> None:
    # Bailey and Lopez de Prado 2012: two years of months, Sharpe 0.458 a month, skewness -2.448 and kurtosis
    # 10.164: 0.913; normal returns would give 0.982
    assert probabilistic_sharpe(0.458, 0.0, 24, -2.448, 10.164) == pytest.approx(0.913, abs=0.001)
    assert probabilistic_sharpe(0.458, 0.0, 24, 0.0, 3.0) == pytest.approx(0.982, abs=0.001)


def test_the_papers_example_of_a_deflated_sharpe_ratio() -> None:
    # Bailey and Lopez de Prado 2014: 100 trials with a variance of 1/2 by year, 250 days a year, 1,250 days:
    # the best is expected at 0.1132 a day; a Sharpe ratio of 2.5 a year with skewness -3 and kurtosis 10 then
    # has a probability of 0.9004
    scale = math.sqrt(0.5 / 250) / (1 / math.sqrt(1249))
    above = luckiest_sharpe(100, 1250) * scale

    assert above == pytest.approx(0.1132, abs=0.0001)
    found = probabilistic_sharpe(2.5 / math.sqrt(250), above, 1250, -3.0, 10.0)
    assert found == pytest.approx(0.9004, abs=0.0005)


def test_more_trials_make_a_result_less_believable() -> None:
    dice = np.random.Generator(np.random.Philox(5))
    balance = 1000 * np.cumprod(np.concatenate(([1.0], 1 + dice.normal(0.001, 0.01, 300))))

    once, often = performance(balance, NONE), performance(balance, NONE, trials=1000)

    assert once.sharpe_deflated == once.sharpe_probabilistic
    assert often.sharpe_deflated is not None
    assert once.sharpe_deflated is not None
    assert often.sharpe_deflated < once.sharpe_deflated


@given(st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=60))
def test_moments_are_those_of_scipy(returns: list[float]) -> None:
    balance = 100 * np.cumprod(np.concatenate(([1.0], 1 + np.array(returns))))
    exact = balance[1:] / balance[:-1] - 1

    told = performance(balance, NONE)

    if told.skewness is not None and exact.std() > 1e-9:
        assert told.skewness == pytest.approx(float(stats.skew(exact)), rel=1e-6, abs=1e-6)
        assert told.kurtosis == pytest.approx(float(stats.kurtosis(exact, fisher=False)), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("balance", [[100.0], [100.0, 100.0, 100.0], [100.0, -5.0, 3.0]])
def test_what_has_no_meaning_is_none(balance: list[float]) -> None:
    told = performance(np.array(balance), NONE)

    assert told.sharpe_daily is None
    assert told.sharpe_probabilistic is None
    assert told.sqn is None


@pytest.mark.parametrize(("balance", "trials"), [([], 1), ([0.0, 1.0], 1), ([100.0], 0)])
def test_impossible_input_is_refused(balance: list[float], trials: int) -> None:
    with pytest.raises(ValueError, match="must"):
        performance(np.array(balance), NONE, trials=trials)
