"""Find everything that is wrong with a file of market data, with places.

Problem: a reader refuses at the first wrong row, which says nothing about the rest. Here all rules of
`venues.market_rules` are applied to all rows, and each finding counts its rows and names the first ones.

Not here: repairing. Invariant: a file without findings is read and stored without a word, and a file that a
reader refuses has a finding that `is_error`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from parley.errors import UserError
from runtime.marketstore.formats import read_raw
from runtime.marketstore.series import FUNDING, Series
from runtime.marketstore.tables import by_pair, candle_arrays, check_span, settlement_arrays, trade_arrays
from venues.market_rules import (
    Fault,
    Mask,
    distinct,
    first_of_id,
    funding_faults,
    grid_fault,
    longer_step_ms,
    repeated,
    time_faults,
    trade_faults,
    value_faults,
)
from venues.recorded import CandleError, gaps_of

# These say that something is missing or twice; everything else is a wrong row.
GAP, DUPLICATE = "gap", "duplicate"
CODES: Final = (
    GAP, DUPLICATE, "conflict", "order", "ohlc", "nan", "price", "volume", "rate", "timeframe", "side",
    "unreadable", "manifest",
)  # fmt: skip
# These venues send no candle for a minute without a trade; longer than an hour is a hole there, too.
SPARSE_VENUES: Final = frozenset({"kraken", "coinbase", "bittrex"})
LONGEST_PAUSE_MS: Final = 3_600_000
PLACES: Final = 5
# Settlements come at most so long after the hour, and a venue may settle every hour or every eight.
_LATE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing wrong with a file.

    ``count`` is of rows, of missing candles for a gap; ``places`` are the first few. ``is_normal`` when the
    venue is known to do this.
    """

    code: str
    count: int
    places: tuple[str, ...]
    text: str
    is_normal: bool = False

    @property
    def is_error(self) -> bool:
        """Would a reader refuse the file for it?"""
        return self.code not in (GAP, DUPLICATE)


def check_file(path: Path, series: Series) -> list[Finding]:
    """Return what is wrong with a file; nothing when it is sound."""
    try:
        found = []
        for one, rows in by_pair(series, read_raw(path, series), path):
            name = "" if one == series else f"{one.pair}: "
            found += [
                msgspec.structs.replace(each, text=f"{name}{each.text}")
                for each in check_rows(rows, one, path)
            ]
        return found
    except (CandleError, UserError) as error:
        text = str(error).removeprefix(f"{path}: ")
        return [Finding(code="unreadable", count=1, places=(), text=text)]


def check_rows(raw: pa.Table, series: Series, path: Path) -> Iterator[Finding]:
    """Yield what is wrong with rows as they were read.

    Raises
    ------
    CandleError
        When columns are missing or hold something else.
    """
    if len(raw) == 0:
        yield Finding(code="unreadable", count=0, places=(), text="the file has no rows")
    elif series.is_candles:
        yield from _candles(raw, series, path)
    elif series.kind == FUNDING:
        yield from _settlements(raw, path)
    else:
        yield from _trades(raw, path)


def _candles(raw: pa.Table, series: Series, path: Path) -> Iterator[Finding]:
    dates, values = candle_arrays(raw, path)
    faults = [
        *value_faults(values),
        *time_faults(dates, values),
        grid_fault(dates, series.timeframe, series.step_ms),
    ]
    yield from _told(faults, dates)
    longer = longer_step_ms(dates, series.step_ms)
    if longer is not None:
        text = f"expected {series.timeframe} candles, all of them are multiples of {longer // 1000} s apart"
        yield Finding(code="timeframe", count=len(dates), places=(), text=text)
        return
    yield from _duplicates(_repeats(dates, values), dates)
    yield from gap_findings(series, gaps_of(distinct(dates), series.step_ms))


def gap_findings(series: Series, gaps: Sequence[tuple[int, int, int]]) -> Iterator[Finding]:
    """Tell gaps (first missing, next there is, how many): those nobody expects, and those that are normal."""
    is_sparse = series.exchange in SPARSE_VENUES
    short = [gap for gap in gaps if is_sparse and gap[1] - gap[0] <= LONGEST_PAUSE_MS]
    long = [gap for gap in gaps if not is_sparse or gap[1] - gap[0] > LONGEST_PAUSE_MS]
    for group, is_normal in (long, False), (short, True):
        if group:
            yield Finding(
                code=GAP,
                count=sum(count for _, _, count in group),
                places=tuple(
                    f"{time_text(first)} to {time_text(end)} ({count})"
                    for first, end, count in group[:PLACES]
                ),
                text=f"missing candles in {len(group)} gaps",
                is_normal=is_normal,
            )


def _settlements(raw: pa.Table, path: Path) -> Iterator[Finding]:
    dates, (rates,) = settlement_arrays(raw, path)
    yield from _told(funding_faults(dates, rates), dates)
    yield from _duplicates(_repeats(dates, [rates]), dates)
    yield from settlement_findings(settlement_gaps(distinct(dates)))


def settlement_findings(gaps: Sequence[tuple[int, int, int]]) -> Iterator[Finding]:
    """Tell holes between settlements (before, after, 1)."""
    if gaps:
        yield Finding(
            code=GAP,
            count=len(gaps),
            places=tuple(f"{time_text(first)} to {time_text(end)}" for first, end, _ in gaps[:PLACES]),
            text="longer between two settlements than before and after",
        )


def settlement_gaps(dates: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (settlement before, settlement after, 1) of every hole.

    A venue may change from eight hours to one and back, so a distance is a hole when it is longer than the
    ones on both sides; times of settlement jitter, so they are compared in whole hours.
    """
    hours = np.rint(np.diff(dates) / _HOUR_MS).astype(np.int64)
    if len(hours) < 3:
        return []
    before = np.concatenate((hours[1:2], hours[:-1]))
    after = np.concatenate((hours[1:], hours[-2:-1]))
    holes = np.flatnonzero((hours > before) & (hours > after))
    return [(int(dates[at]), int(dates[at + 1]), 1) for at in holes]


def _trades(raw: pa.Table, path: Path) -> Iterator[Finding]:
    columns = trade_arrays(raw, path)
    check_span(columns["time"], path)
    faults = list(trade_faults(columns))
    yield from _told(faults, columns["time"])
    again = first_of_id(columns["id"]) != np.arange(len(columns["time"]))
    differs = next(fault.rows for fault in faults if fault.code == "conflict")
    yield from _duplicates(again & ~differs, columns["time"])


def _told(faults: list[Fault] | Iterator[Fault], dates: npt.NDArray[np.int64]) -> Iterator[Finding]:
    for fault in faults:
        rows = np.flatnonzero(fault.rows)
        if len(rows):
            shown = fault.shown[rows[:PLACES]].tolist()
            yield Finding(
                code=fault.code,
                count=len(rows),
                places=tuple(
                    f"row {row} at {time_text(int(dates[row]))}: {value!r}"
                    for row, value in zip(rows[:PLACES].tolist(), shown, strict=True)
                ),
                text=fault.expected,
            )


def _repeats(dates: npt.NDArray[np.int64], values: list[npt.NDArray[np.float64]]) -> Mask:
    same = repeated(dates)
    for column in values:
        same[1:] &= column[1:] == column[:-1]
    return same


def _duplicates(again: Mask, dates: npt.NDArray[np.int64]) -> Iterator[Finding]:
    rows = np.flatnonzero(again)
    if len(rows):
        places = tuple(f"row {row} at {time_text(int(dates[row]))}" for row in rows[:PLACES].tolist())
        yield Finding(code=DUPLICATE, count=len(rows), places=places, text="the same row again")


def time_text(ms: int) -> str:
    """Show a time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
