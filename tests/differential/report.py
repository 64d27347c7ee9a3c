"""Tell where a case differs: how to run it again, trade, column, both values, and the candles around.

Not here: finding the differences (`compare`).

Invariant: every float is shown with all digits, so that two which differ also look different.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.differential.case import Case
from tests.differential.compare import Difference
from tests.differential.outcome import Outcome

SHOWN_DIFFERENCES = 12
AROUND = 2
SHOWN_CANDLES = 14


def describe(case: Case, differences: list[Difference], expected: Outcome) -> str:
    """Return the text about the ``differences`` of a case, the first of them with its candles."""
    lines = [f"{case.label}: {len(differences)} differences"]
    for difference in differences[:SHOWN_DIFFERENCES]:
        trade = "" if difference.trade is None else f"trade {difference.trade} "
        lines.append(f"  {trade}{difference.where}: freqtrade {_show(difference.expected)}")
        lines.append(f"  {'':<{len(trade) + len(difference.where)}}  Parley    {_show(difference.found)}")
    row = next((item.trade for item in differences if item.trade is not None), None)
    if row is not None and row < expected.trade_count:
        lines += ["", *_context(case, expected, row)]
    lines += ["", "  configuration: " + _options(case)]
    return "\n".join(lines)


def _context(case: Case, expected: Outcome, row: int) -> list[str]:
    trade = {name: values[row] for name, values in expected.columns.items() if name != "orders"}
    frame = case.frames[trade["pair"]]
    stamps = frame["date"].dt.as_unit("ms").astype("int64")
    first = int(stamps.searchsorted(trade["open_timestamp"], "left"))
    last = int(stamps.searchsorted(trade["close_timestamp"], "left"))
    window = frame.iloc[max(first - AROUND, 0) : last + AROUND + 1]
    left_out = len(window) - SHOWN_CANDLES
    if left_out > 0:
        window = pd.concat([window.head(SHOWN_CANDLES // 2), window.tail(SHOWN_CANDLES // 2)])
    lines = [f"  trade {row} of freqtrade: {trade}", f"  orders: {expected.columns['orders'][row]}"]
    if left_out > 0:
        lines.append(f"  ({left_out} candles in the middle are left out)")
    with pd.option_context("display.width", 200, "display.max_columns", 30, "display.precision", 12):
        return [*lines, *("  " + line for line in window.to_string().splitlines())]


def _options(case: Case) -> str:
    shown = {**case.attributes, **case.config, "precision_mode": case.precision_mode}
    shown = {name: value for name, value in shown.items() if name not in ("pairlists", "exchange")}
    return f"{case.config['exchange']['name']} {shown} hooks {sorted(case.hooks)}"


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value!r} ({value.hex()})"
    if isinstance(value, int) and not isinstance(value, bool) and value > 10**18:
        return f"{value} ({pd.Timestamp(value, unit='ns')})"
    return repr(value)
