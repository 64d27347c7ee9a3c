"""The wallet's course as both sides report it: what there was of each currency at each candle.

Not here: comparing (`compare`). Invariant: rows are in the order of time, then of the currencies' names;
which of two pairs had its turn first within a candle shows in what the rows hold.
"""

from __future__ import annotations

import bisect
from typing import Any

import pandas as pd

from backtest.result import Result
from tests.differential.case import TIMEFRAME_MS, Case
from tests.differential.outcome import plain_columns

COLUMNS = ("date", "currency", "rate", "balance")


def of_freqtrade(summary: pd.DataFrame) -> dict[str, list[Any]]:
    """Return freqtrade's `wallet_summary` as plain columns."""
    if summary.empty:
        return {name: [] for name in COLUMNS}
    return plain_columns(summary[list(COLUMNS)].sort_values(["date", "currency"], kind="stable"))


def of_ours(case: Case, result: Result) -> dict[str, list[Any]]:
    """Return what the simulation wrote down of its wallet as freqtrade would have captured it."""
    assert result.wallet is not None
    step = TIMEFRAME_MS[case.timeframe]
    looks = range(result.start_ms + step, result.end_ms + 1, step)
    rows = [(moment, case.config["stake_currency"], 1, result.wallet.money) for moment in looks]
    for pair in case.pairs:
        frame = case.frames[pair]
        times = frame["date"].dt.as_unit("ms").astype("int64").tolist()
        first = bisect.bisect_left(times, result.start_ms) + 1  # freqtrade's signals are of the candle before
        notes = result.wallet.coins[pair]
        opens = frame["open"].tolist()
        rows += [(times[k], pair.partition("/")[0], opens[k], notes) for k in range(first, len(times))]
    found = []
    for moment, currency, rate, noted in rows:
        at = bisect.bisect_right(noted, moment, key=lambda note: note[0]) - 1
        if moment <= result.end_ms and noted[at][1]:
            found.append((moment * 10**6, currency, rate, noted[at][1]))
    found.sort(key=lambda row: row[:2])
    return {name: [row[k] for row in found] for k, name in enumerate(COLUMNS)}
