"""Find where two outcomes of one case differ: every trade, every column, every bit.

Problem: "about equal" hides the first wrong bit, from which later trades differ entirely. So a float equals a
float of the same 64 bits, nothing else; not-a-number equals not-a-number.

Not here: how a difference is told (`report`).

Invariant: no differences means that everything which both sides report is equal. A whole number equals the
float of that value, since freqtrade's own counts change between both.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tests.differential.outcome import Outcome

MISSING = "(nothing)"
# Strategies lock pairs with the clock of the computer as the lock's beginning, later than any case's candles;
# Parley gives such a lock no beginning (0).
CLOCK_NS = 1_750_000_000 * 10**9


@dataclass(frozen=True)
class Difference:
    """One place where both sides disagree; ``trade`` is the row, None outside of trades."""

    where: str
    expected: Any
    found: Any
    trade: int | None = None


def is_equal(expected: Any, found: Any) -> bool:
    """Whether two plain values are the same, floats bit for bit."""
    if isinstance(expected, float) and isinstance(found, float):
        if math.isnan(expected) or math.isnan(found):
            return math.isnan(expected) and math.isnan(found)
        return struct.pack("<d", expected) == struct.pack("<d", found)
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return expected == found
    if type(expected) is not type(found):
        return False
    if isinstance(expected, dict):
        return list(expected) == list(found) and all(is_equal(expected[key], found[key]) for key in expected)
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(is_equal, expected, found))
    return bool(expected == found)


def differences(expected: Outcome, found: Outcome) -> list[Difference]:
    """Return every difference of ``found`` from ``expected``, trades first and in their order."""
    if expected.error is not None or found.error is not None:
        same = expected.error is not None and found.error is not None
        return [] if same else [Difference("error", expected.error, found.error)]
    return [
        *_of_trades(expected, found),
        *_of_tables("dtype of", expected.dtypes, found.dtypes),
        *_of_tables("", expected.counts, found.counts),
        *_of_rows(
            "lock", [_settle(lock) for lock in expected.locks], [_settle(lock) for lock in found.locks]
        ),
        *_of_wallets(expected, found),
    ]


def _of_trades(expected: Outcome, found: Outcome) -> Iterator[Difference]:
    if list(expected.columns) != list(found.columns):
        yield Difference("columns", list(expected.columns), list(found.columns))
    if expected.trade_count != found.trade_count:
        yield Difference("number of trades", expected.trade_count, found.trade_count)
    # Trade by trade, so that the first difference is the one that happened first.
    for trade in range(max(expected.trade_count, found.trade_count)):
        for name in expected.columns:
            wanted, got = _cell(expected, name, trade), _cell(found, name, trade)
            if is_equal(wanted, got):
                continue
            if name == "orders" and isinstance(wanted, list) and isinstance(got, list):
                yield from _of_rows("orders", wanted, got, trade)
            else:
                yield Difference(name, wanted, got, trade)


def _cell(outcome: Outcome, name: str, trade: int) -> Any:
    values = outcome.columns.get(name, [])
    return values[trade] if trade < len(values) else MISSING


def _of_rows(
    where: str, expected: list[Any], found: list[Any], trade: int | None = None
) -> Iterator[Difference]:
    for row, (wanted, got) in enumerate(zip_longest(expected, found, fillvalue=MISSING)):
        if not (isinstance(wanted, dict) and isinstance(got, dict)):
            if not is_equal(wanted, got):
                yield Difference(f"{where}[{row}]", wanted, got, trade)
            continue
        for difference in _of_tables(f"{where}[{row}].", wanted, got):
            yield Difference(difference.where, difference.expected, difference.found, trade)


def _of_tables(prefix: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterator[Difference]:
    space = " " if prefix and prefix[-1].isalpha() else ""
    for name in [*expected, *(name for name in found if name not in expected)]:
        wanted, got = expected.get(name, MISSING), found.get(name, MISSING)
        if not is_equal(wanted, got):
            yield Difference(f"{prefix}{space}{name}", wanted, got)


def _of_wallets(expected: Outcome, found: Outcome) -> Iterator[Difference]:
    if expected.wallet is None or found.wallet is None:
        return
    for name, values in expected.wallet.items():
        yield from _of_rows(f"wallet {name}", values, found.wallet.get(name, []))


def _settle(lock: dict[str, Any]) -> dict[str, Any]:
    begun = lock["lock_time"]
    is_now = isinstance(begun, int) and (begun == 0 or begun > CLOCK_NS)
    return {**lock, "lock_time": "now" if is_now else begun}
