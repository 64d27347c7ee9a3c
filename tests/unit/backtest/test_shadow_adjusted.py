"""A run that adjusts positions is judged until it first does, and what lies behind is said, not guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backtest.divergence import NOWHERE, Trade, Word
from backtest.shadow_adjusted import before, judged
from tests.kit.shadow_cases import BEGIN, CANDLE, a_trade, entry_of, exit_of

ONE = a_trade(10, 40)
OTHER = a_trade(12, 22, "BBB/USDT")
END = BEGIN + 60 * CANDLE


def word(side: str, row: int, wanted: float, filled: float | None = None) -> Word:
    return Word(
        pair=ONE.pair, side=side, t_ms=BEGIN + row * CANDLE, wanted=wanted,
        filled=wanted if filled is None else filled,
    )  # fmt: skip


def of(words: list[Word], *trades: Trade) -> tuple[int, str]:
    return judged(
        [ONE, OTHER, *trades], [entry_of(ONE), *words, entry_of(OTHER), exit_of(OTHER)], CANDLE, END
    )


def test_who_adjusts_nothing_is_judged_to_the_end() -> None:
    held = entry_of(ONE).filled
    assert of([exit_of(ONE)]) == (END, "")
    assert of([]) == (END, "")
    # An exit that was filled in two, and one that leaves what fees took.
    assert of([word("sell", 40, held, held / 3), word("sell", 41, held * 2 / 3)]) == (END, "")
    assert of([word("sell", 40, held * 0.999), word("buy", 41, held)]) == (END, "")


@pytest.mark.parametrize(
    ("side", "share", "filled", "counts"),
    [
        ("buy", 0.5, 0.5, "1 additions and 0 partial exits"),
        ("buy", 0.5, 0.0, "1 additions and 0 partial exits"),
        ("sell", 0.3, 0.3, "0 additions and 1 partial exits"),
        ("sell", 0.3, 0.0, "0 additions and 1 partial exits"),
    ],
)
def test_what_lies_behind_the_first_adjustment_of_the_run_is_not_judged(
    side: str, share: float, filled: float, counts: str
) -> None:
    held = entry_of(ONE).filled
    until, said = of([word(side, 20, held * share, held * filled), word("sell", 40, held * 2)])
    assert until == BEGIN + 19 * CANDLE
    assert counts in said


def test_adjustment_of_the_backtest_alone_ends_it_too() -> None:
    until, said = of([exit_of(ONE)], replace(ONE, adjusted_ms=BEGIN + 15 * CANDLE))
    assert until == BEGIN + 14 * CANDLE
    assert "0 additions and 0 partial exits" in said


def test_trades_are_as_they_were_before_a_candle() -> None:
    t = BEGIN + 22 * CANDLE
    assert before([ONE, OTHER, a_trade(22, 30)], t) == [ONE.still_open(), OTHER.still_open()]
    assert before([OTHER], t + CANDLE) == [OTHER]
    assert ONE.still_open().closed_ms == NOWHERE
