"""What a backtest reported, as plain values that go through a pipe and can be compared.

Problem: freqtrade reports a data frame with orders as dictionaries, objects for locks and a handful of
numbers; types of numpy and pandas differ by accident of construction. Here all become plain Python values, so
that `compare` sees values and never the way they were kept.

Not here: comparing (`compare`).

Invariant: no value is rounded or formatted. Times are whole nanoseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

# What freqtrade's `backtest()` returns beside trades, locks and the wallet, and what only its object counts.
COUNTS = (
    "final_balance", "rejected_signals", "timedout_entry_orders", "timedout_exit_orders",
    "canceled_trade_entries", "canceled_entry_orders", "replaced_entry_orders",
)  # fmt: skip
KEPT_COUNTS = ("canceled_exit_orders", "replaced_exit_orders", "starting_balance")


@dataclass(frozen=True)
class Outcome:
    """Trades by column, numbers by name, locks and the wallet's course; or the error that ended the run.

    ``wallet`` is None when a side does not report it.
    """

    columns: dict[str, list[Any]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    locks: list[dict[str, Any]] = field(default_factory=list)
    wallet: dict[str, list[Any]] | None = None
    error: str | None = None
    seconds: float = 0.0

    @property
    def trade_count(self) -> int:
        return len(self.columns.get("pair", ()))


def plain(value: Any) -> Any:
    """Return `value` as a plain Python value: times as nanoseconds, numpy scalars as Python's."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return int(pd.Timestamp(value if value.tzinfo else value.replace(tzinfo=UTC)).as_unit("ns").value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str):
        return str(value)  # freqtrade's enums are strings too
    return value


def plain_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of `frame` as lists of plain values."""
    return {str(name): [plain(value) for value in frame[name].tolist()] for name in frame.columns}


def plain_dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """Return the type that pandas gave each column; an empty frame has none worth comparing."""
    return {str(name): str(frame[name].dtype) for name in frame.columns} if len(frame) else {}
