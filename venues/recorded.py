"""Recorded candles: find the file of a pair, read it, refuse what cannot be traded on.

Backtests, the sandbox exchange and the command line all read recorded data here, before any
process starts, so a bad file is reported once and early. Gaps are normal (a venue without trades,
a lost download page): they are marked and counted, never filled. Identical duplicates are dropped
with a count. Everything else that is wrong is one `CandleError` naming file and row. Not here:
trades (see `recorded_trades`), resampling, warnings to the user. Invariant: a returned series has
strictly increasing open times on the timeframe's grid and possible prices.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from venues.market_rules import (
    CANDLE_VALUES,
    Fault,
    grid_fault,
    longer_step_ms,
    repeated,
    time_faults,
    value_faults,
)

_NAME = re.compile(
    r"(?P<exchange>[a-z0-9]+)-(?P<base>[A-Za-z0-9]+)_(?P<quote>[A-Za-z0-9]+)"
    r"-(?P<timeframe>[0-9]+[smhdwM])(?:-(?P<period>[^.]+))?\.parquet"
)
_VALUES = CANDLE_VALUES
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
MAX_DECIMALS = 8
# A market store (`runtime.marketstore`) keeps spot candles in this folder, and an import that was cut off
# while its files were put in place in that one.
STORE_CANDLES = "candles"
STORE_COMMIT = ".commit"
# Below this a float64 holds every multiple of its last decimal, so rounding by arithmetic is exact.
_EXACT = 2.0**53

Moment = str | int | datetime | None


class CandleError(ValueError):
    """Recorded data is missing or unusable; the text names the file and, if there is one, the row."""


@dataclass(frozen=True, slots=True)
class CandleSeries:
    """Candles of one pair; all arrays have the same length, `date_ms` is the open time in UTC."""

    pair: str
    timeframe: str
    file: str
    date_ms: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    gaps: tuple[tuple[int, int, int], ...]
    duplicates: int
    price_decimals: int
    volume_decimals: int

    @property
    def missing(self) -> int:
        """How many candles the gaps swallowed."""
        return sum(count for _, _, count in self.gaps)

    def __len__(self) -> int:
        return len(self.date_ms)


def timeframe_ms(timeframe: str) -> int:
    """Length of a timeframe such as 1m, 4h or 1d in milliseconds."""
    match = re.fullmatch(r"([1-9][0-9]*)([smhdw])", timeframe)
    if match is None:
        raise CandleError(f"expected a timeframe such as '1m', '4h' or '1d', got {timeframe!r}")
    return int(match[1]) * _UNIT_MS[match[2]]


def moment_ms(moment: Moment) -> int | None:
    """UTC milliseconds of a date, an ISO time, a datetime or a number; None stays None."""
    if moment is None or isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError as error:
            raise CandleError(
                f"expected a date such as '2021-05-08' or an ISO time, got {moment!r}"
            ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def available_pairs(folder: str | Path, exchange: str, timeframe: str) -> list[str]:
    """The pairs with a candle file of this exchange and timeframe, sorted."""
    names = (_NAME.fullmatch(path.name) for path in _files(folder))
    return sorted(
        {
            f"{name['base']}/{name['quote']}"
            for name in names
            if name
            and name["exchange"] == exchange
            and name["timeframe"] == timeframe
            and name["base"] != "ALL"
        }
    )


def find_files(folder: str | Path, exchange: str, pair: str, timeframe: str) -> list[Path]:
    """Every file of a pair, in name order; a CandleError names the nearest pairs if there is none."""
    timeframe_ms(timeframe)
    base, _, quote = pair.partition("/")
    stem = f"{exchange}-{base}_{quote}-{timeframe}"
    found = [
        path
        for path in _files(folder)
        if path.name == stem + ".parquet"
        or (path.name.startswith(stem + "-") and _NAME.fullmatch(path.name) is not None)
    ]
    if found:
        return found
    pairs = available_pairs(folder, exchange, timeframe)
    if not pairs:
        seen = sorted(
            {
                f"{name['exchange']} {name['timeframe']}"
                for name in map(_NAME.fullmatch, (path.name for path in _files(folder)))
                if name
            }
        )
        raise CandleError(
            f"expected {timeframe} candles of {exchange} in {str(folder)!r}, "
            f"found only: {', '.join(seen) or 'nothing'}"
        )
    near = difflib.get_close_matches(pair, pairs, n=len(pairs), cutoff=0.0)
    raise CandleError(
        f"expected a pair of {exchange} {timeframe} in {str(folder)!r}, got {pair!r}; "
        f"there are: {', '.join(near)}"
    )


def load_candles(
    folder: str | Path,
    exchange: str,
    pair: str,
    timeframe: str,
    start: Moment = None,
    end: Moment = None,
) -> CandleSeries:
    """Validated candles with `start` <= open time < `end` (UTC); see the module for what is refused."""
    step = timeframe_ms(timeframe)
    first, last = moment_ms(start), moment_ms(end)
    if first is not None and last is not None and first >= last:
        raise CandleError(f"expected start before end, got start {start!r} and end {end!r}")
    files = [read_candles(path, pair, timeframe) for path in find_files(folder, exchange, pair, timeframe)]
    series = _cover(files, first, last, step)
    keep = np.ones(len(series), dtype=bool)
    if first is not None:
        keep &= series.date_ms >= first
    if last is not None:
        keep &= series.date_ms < last
    if not keep.any():
        raise CandleError(
            f"{series.file}: expected candles between {_when(first)} and {_when(last)}, "
            f"it has {_when(int(series.date_ms[0]))} to {_when(int(series.date_ms[-1]))}"
        )
    dates = series.date_ms[keep]
    columns = {name: getattr(series, name)[keep] for name in _VALUES}
    return CandleSeries(
        pair,
        timeframe,
        series.file,
        dates,
        **columns,
        gaps=_gaps(dates, step, first, last),
        duplicates=series.duplicates,
        price_decimals=series.price_decimals,
        volume_decimals=series.volume_decimals,
    )


def read_candles(path: Path, pair: str, timeframe: str) -> CandleSeries:
    """One whole file, validated."""
    timeframe_ms(timeframe)
    return candles_of(path, pair, timeframe, *_read(path))


def candles_of(
    path: Path,
    pair: str,
    timeframe: str,
    dates: npt.NDArray[np.int64],
    values: list[npt.NDArray[np.float64]],
) -> CandleSeries:
    """The rows of a file, validated; `values` are open, high, low, close, volume."""
    step = timeframe_ms(timeframe)
    if len(dates) == 0:
        raise CandleError(f"{path}: expected candles, the file has no rows")
    for fault in (*value_faults(values), *time_faults(dates, values)):
        refuse(path, fault)
    kept = np.logical_not(repeated(dates))
    refuse(path, grid_fault(dates, timeframe, step))
    longer = longer_step_ms(dates, step)
    if longer is not None:
        raise CandleError(
            f"{path}: expected {timeframe} candles, all of them are multiples of {longer // 1000} s apart"
        )
    cut = dates[kept]
    columns = {name: column[kept] for name, column in zip(_VALUES, values, strict=True)}
    return CandleSeries(
        pair,
        timeframe,
        str(path),
        cut,
        **columns,
        gaps=gaps_of(cut, step),
        duplicates=len(dates) - len(cut),
        price_decimals=decimals_of(np.concatenate(values[:4])),
        volume_decimals=decimals_of(values[4]),
    )


def decimals_of(values: npt.NDArray[np.float64]) -> int:
    """Decimals of the shortest texts of these floats, at most eight."""
    left = values
    for count in range(MAX_DECIMALS):
        scaled = left * 10.0**count
        exact = np.abs(scaled) < _EXACT
        # Quotients of two exact numbers are the floats nearest to the decimal fraction.
        same = np.rint(scaled) / 10.0**count == left
        same[~exact] = [round(value, count) == value for value in left[~exact].tolist()]
        left = left[~same]
        if not len(left):
            return count
    return MAX_DECIMALS


def _files(folder: str | Path) -> list[Path]:
    root = Path(folder)
    if not root.is_dir():
        raise CandleError(f"expected a folder with candle files, got {str(folder)!r}")
    if (root / STORE_CANDLES).is_dir():
        root = root / STORE_CANDLES
    for each in (root, root.parent):
        if (each / STORE_COMMIT).is_dir():
            raise CandleError(
                f"expected a market store at rest, an import into {str(each)!r} is not finished: "
                f"run 'parley data list --store {each}', which finishes one that was cut off"
            )
    return sorted(path for path in root.iterdir() if path.name.endswith(".parquet"))


def _read(path: Path) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.float64]]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise CandleError(
            f"{path}: expected a Parquet file of candles, it cannot be read: {error}"
        ) from error
    absent = [name for name in ("date", *_VALUES) if name not in table.column_names]
    if absent:
        raise CandleError(
            f"{path}: expected the columns date, {', '.join(_VALUES)}; missing: {', '.join(absent)}"
        )
    try:
        dates = table["date"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
        values = [table[name].cast(pa.float64()) for name in _VALUES]
    except pa.ArrowException as error:
        raise CandleError(f"{path}: expected timestamps and numbers: {error}") from error
    if dates.null_count:
        raise CandleError(f"{path}: expected an open time in every row, {dates.null_count} are empty")
    return (
        dates.to_numpy(),
        [np.asarray(column.to_numpy(), dtype=np.float64) for column in values],
    )


def refuse(path: Path, fault: Fault) -> None:
    """Raise a `CandleError` that names the first row of a fault, if it has one."""
    if fault.rows.any():
        row = int(np.argmax(fault.rows))
        raise CandleError(f"{path}: row {row}: {fault.expected}, got {fault.shown.tolist()[row]!r}")


def gaps_of(dates: npt.NDArray[np.int64], step: int) -> tuple[tuple[int, int, int], ...]:
    """(first missing open time, next open time there is, how many) of every gap inside a series."""
    return _gaps(dates, step, None, None)


def _gaps(
    dates: npt.NDArray[np.int64], step: int, first: int | None, last: int | None
) -> tuple[tuple[int, int, int], ...]:
    """(first missing open time, next open time there is, how many), also at a wanted window's ends."""
    found = [
        (int(dates[i]) + step, int(dates[i + 1]), int((dates[i + 1] - dates[i]) // step - 1))
        for i in np.flatnonzero(np.diff(dates) > step)
    ]
    if first is not None:
        begin = int(dates[0]) - (int(dates[0]) - first) // step * step
        if begin < dates[0]:
            found.insert(0, (begin, int(dates[0]), (int(dates[0]) - begin) // step))
    if last is not None:
        after = int(dates[-1]) + step
        count = -((after - last) // step) if after < last else 0
        if count > 0:
            found.append((after, after + count * step, count))
    return tuple(found)


def _cover(files: list[CandleSeries], first: int | None, last: int | None, step: int) -> CandleSeries:
    """One series for the window: a single file that covers it, else the overlapping ones merged."""
    if len(files) == 1:
        return files[0]
    low = min(int(f.date_ms[0]) for f in files) if first is None else first
    high = max(int(f.date_ms[-1]) + step for f in files) if last is None else last
    overlapping = [f for f in files if f.date_ms[-1] >= low and f.date_ms[0] < high]
    for series in overlapping:
        if series.date_ms[0] < low + step and series.date_ms[-1] + step > high - step:
            return series
    if not overlapping:
        spans = "; ".join(
            f"{f.file} {_when(int(f.date_ms[0]))} to {_when(int(f.date_ms[-1]))}" for f in files
        )
        raise CandleError(f"expected candles between {_when(first)} and {_when(last)}, there are: {spans}")
    overlapping.sort(key=lambda f: int(f.date_ms[0]))
    if all(one.date_ms[-1] < two.date_ms[0] for one, two in pairwise(overlapping)):
        return _chain(overlapping)
    merged = overlapping[0]
    for series in overlapping[1:]:
        merged = _merge(merged, series)
    return merged


def _chain(files: list[CandleSeries]) -> CandleSeries:
    """Files that follow each other, such as the months of a market store."""
    first, last = files[0], files[-1]
    return CandleSeries(
        first.pair,
        first.timeframe,
        first.file if first is last else f"{first.file} to {Path(last.file).name}",
        np.concatenate([f.date_ms for f in files]),
        **{name: np.concatenate([getattr(f, name) for f in files]) for name in _VALUES},
        gaps=(),
        duplicates=sum(f.duplicates for f in files),
        price_decimals=max(f.price_decimals for f in files),
        volume_decimals=max(f.volume_decimals for f in files),
    )


def _merge(left: CandleSeries, right: CandleSeries) -> CandleSeries:
    shared, in_left, in_right = np.intersect1d(left.date_ms, right.date_ms, return_indices=True)
    for name in _VALUES:
        differs = getattr(left, name)[in_left] != getattr(right, name)[in_right]
        if differs.any():
            when = _when(int(shared[int(np.argmax(differs))]))
            raise CandleError(
                f"expected identical candles where files overlap; {left.file} and {right.file} "
                f"have different {name} at {when}"
            )
    extra = ~np.isin(right.date_ms, left.date_ms)
    dates = np.concatenate((left.date_ms, right.date_ms[extra]))
    order = np.argsort(dates, kind="stable")
    columns = {
        name: np.concatenate((getattr(left, name), getattr(right, name)[extra]))[order] for name in _VALUES
    }
    return CandleSeries(
        left.pair,
        left.timeframe,
        f"{left.file}, {right.file}",
        dates[order],
        **columns,
        gaps=(),
        duplicates=left.duplicates + right.duplicates,
        price_decimals=max(left.price_decimals, right.price_decimals),
        volume_decimals=max(left.volume_decimals, right.volume_decimals),
    )


def _when(ms: int | None) -> str:
    return (
        "the beginning" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    )


def warnings_of(series: Iterable[CandleSeries]) -> list[str]:
    """One line for each series that has gaps or had duplicates, for the user to read."""
    lines = []
    for one in series:
        if one.gaps:
            lines.append(
                f"{one.pair} {one.timeframe}: {one.missing} candles missing in {len(one.gaps)} gaps, "
                f"first at {_when(one.gaps[0][0])} ({one.file})"
            )
        if one.duplicates:
            lines.append(
                f"{one.pair} {one.timeframe}: {one.duplicates} identical duplicates dropped ({one.file})"
            )
    return lines
