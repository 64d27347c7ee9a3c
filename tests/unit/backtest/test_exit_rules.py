"""A strategy's return table and stop, judged at one rate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backtest.exit_rules import ExitRules

FEE = 0.001
RULES = ExitRules(minimal_roi=((0, 0.03), (30, 0.01)), stoploss=-0.1, fee=FEE)
TRAILS = replace(RULES, trailing_stop=True)
WAITS = replace(
    TRAILS,
    trailing_stop_positive=0.01,
    trailing_stop_positive_offset=0.02,
    trailing_only_offset_is_reached=True,
)
MINUTE = 60_000


def profit(rate: float) -> float:
    """What is left of 100 bought and sold, as a part of what it cost."""
    return rate * (1 - FEE) / (100 * (1 + FEE)) - 1


@pytest.mark.parametrize(("minutes", "part"), [(0, 0.03), (29, 0.03), (30, 0.01), (300, 0.01)])
def test_rate_of_the_table_gives_its_profit_after_fees(minutes: int, part: float) -> None:
    rate = RULES.roi_rate(100.0, minutes * MINUTE)
    assert rate is not None
    assert profit(rate) == pytest.approx(part)


def test_table_that_begins_later_asks_for_nothing_before() -> None:
    late = replace(RULES, minimal_roi=((60, 0.01),))
    assert late.roi_rate(100.0, 59 * MINUTE) is None
    assert late.is_due("roi", 100.0, 150.0, 150.0, 59 * MINUTE) is False


@pytest.mark.parametrize(
    ("rules", "highest", "stop"),
    [
        (RULES, 150.0, 90.0),  # it does not trail
        (TRAILS, 150.0, 135.0),
        (TRAILS, 100.0, 90.0),
        (WAITS, 102.1, 90.0),  # 1.9 % after fees: the offset is not reached
        (WAITS, 103.0, 101.97),
        (replace(WAITS, trailing_only_offset_is_reached=False), 102.1, 91.89),
    ],
)
def test_stop_trails_as_the_strategy_says(rules: ExitRules, highest: float, stop: float) -> None:
    assert rules.stop_rate(100.0, highest) == pytest.approx(stop)
    assert rules.is_due("trailing_stop_loss", 100.0, stop - 0.01, highest, 0) is True
    assert rules.is_due("stop_loss", 100.0, stop + 0.01, highest, 0) is False


def test_nobody_judges_a_strategys_own_code() -> None:
    own = replace(RULES, has_own_stop=True, has_own_roi=True)
    assert own.is_due("stop_loss", 100.0, 50.0, 100.0, 0) is None
    assert own.is_due("roi", 100.0, 200.0, 200.0, 0) is None
    assert RULES.is_due("exit_signal", 100.0, 200.0, 200.0, 0) is None
