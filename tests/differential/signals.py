"""Random signals and tags on candles, in the ways strategies write them.

Problem: strategies leave 1, 1.0, True or not-a-number, tags as text, None or nothing, exits and entries on
one candle, long and short at once, or no column at all; each of these is read differently somewhere.

Not here: the candles (`candles`).

Invariant: the columns added are among `case.SIGNAL_COLUMNS`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.differential.dice import Dice

ENTRY_TAGS = ("dip", "breakout", "night shift", "ä-1")
EXIT_TAGS = ("target", "fear", "clock")


def add_signals(dice: Dice, candles: pd.DataFrame, *, with_short: bool) -> pd.DataFrame:
    """Return ``candles`` with random signal columns."""
    result = candles.copy()
    count = len(result)
    entries = dice.pick((0.08, 0.15, 0.25, 0.4))
    exits = dice.pick((0.0, 0.05, 0.2))
    sides = ("long", "short") if with_short else ("long",)
    for side in sides:
        result[f"enter_{side}"] = _signal(dice, count, entries)
        if exits or dice.chance(0.5):
            result[f"exit_{side}"] = _signal(dice, count, exits)
    if not with_short and dice.chance(0.1):
        # Without shorting these are there and mean nothing.
        result["enter_short"] = _signal(dice, count, 0.1)
    if dice.chance(0.8):
        result["enter_tag"] = _tags(dice, count, ENTRY_TAGS)
    if dice.chance(0.6):
        result["exit_tag"] = _tags(dice, count, EXIT_TAGS)
    return result


def _signal(dice: Dice, count: int, density: float) -> pd.Series:
    starts = dice.numbers.random(count) < density / 2
    # Some trades are to be open at the end, when freqtrade closes them by force.
    starts[-3:] |= density > 0 and dice.chance(0.5)
    signal = starts | np.concatenate(([False], starts[:-1] & (dice.numbers.random(count - 1) < 0.7)))
    match dice.pick(("whole", "whole", "float", "nan")):
        case "whole":
            return pd.Series(signal.astype(np.int64))
        case "float":
            return pd.Series(signal.astype(np.float64))
        case _:
            return pd.Series(np.where(signal, 1.0, np.nan))


def _tags(dice: Dice, count: int, tags: tuple[str, ...]) -> pd.Series:
    chosen = [dice.pick(tags) if dice.chance(0.5) else "" for _ in range(count)]
    match dice.pick(("text", "text", "object", "none")):
        case "text":
            return pd.Series(chosen, dtype="str")
        case "object":
            return pd.Series(chosen, dtype=object)
        case _:
            return pd.Series([tag or None for tag in chosen], dtype=object)
