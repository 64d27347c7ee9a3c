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
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

_NAME = re.compile(
    r"(?P<exchange>[a-z0-9]+)-(?P<base>[A-Za-z0-9]+)_(?P<quote>[A-Za-z0-9]+)"
    r"-(?P<timeframe>[0-9]+[smhdwM])(?:-(?P<period>[^.]+))?\.parquet"
)
_VALUES = ("open", "high", "low", "close", "volume")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_WEEK_ORIGIN_MS = 4 * 86_400_000  # 1970-01-05 was a Monday
MAX_DECIMALS = 8

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
    step = timeframe_ms(timeframe)
    dates, values = _read(path)
    if len(dates) == 0:
        raise CandleError(f"{path}: expected candles, the file has no rows")
    _check_values(path, values)
    kept = _drop_duplicates(path, dates, values)
    origin = _WEEK_ORIGIN_MS if timeframe.endswith("w") else 0
    _refuse(path, (dates - origin) % step != 0, dates, f"expected open times on the {timeframe} grid")
    cut = dates[kept]
    columns = {name: column[kept] for name, column in zip(_VALUES, values, strict=True)}
    return CandleSeries(
        pair,
        timeframe,
        str(path),
        cut,
        **columns,
        gaps=_gaps(cut, step, None, None),
        duplicates=len(dates) - len(cut),
        price_decimals=decimals_of(np.concatenate(values[:4])),
        volume_decimals=decimals_of(values[4]),
    )


def decimals_of(values: npt.NDArray[np.float64]) -> int:
    """Decimals of the shortest texts of these floats, at most eight."""
    count = 0
    for value in np.unique(values).tolist():
        while count < MAX_DECIMALS and round(value, count) != value:
            count += 1
    return count


def _files(folder: str | Path) -> list[Path]:
    root = Path(folder)
    if not root.is_dir():
        raise CandleError(f"expected a folder with candle files, got {str(folder)!r}")
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


def _drop_duplicates(
    path: Path, dates: npt.NDArray[np.int64], values: list[npt.NDArray[np.float64]]
) -> npt.NDArray[np.bool_]:
    steps = np.diff(dates, prepend=dates[0] - 1)
    _refuse(path, steps < 0, dates, "expected open times in order")
    again = steps == 0
    differs = np.zeros(len(dates), dtype=bool)
    for column in values:
        differs[1:] |= column[1:] != column[:-1]
    _refuse(
        path, again & differs, dates, "expected one candle per open time, this one contradicts the row before"
    )
    return np.logical_not(again)


def _check_values(path: Path, values: list[npt.NDArray[np.float64]]) -> None:
    opened, high, low, close, volume = values
    for name, column in zip(_VALUES, values, strict=True):
        _refuse(path, ~np.isfinite(column), column, f"expected a finite number as {name}")
    for name, column in zip(_VALUES[:4], values[:4], strict=True):
        _refuse(path, column <= 0, column, f"expected {name} above 0")
    _refuse(path, volume < 0, volume, "expected volume of at least 0")
    _refuse(path, high < np.maximum(opened, close), high, "expected high of at least open and close")
    _refuse(path, low > np.minimum(opened, close), low, "expected low of at most open and close")


def _refuse(path: Path, bad: npt.NDArray[np.bool_], shown: npt.NDArray[np.generic], expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise CandleError(f"{path}: row {row}: {expected}, got {shown[row].item()!r}")


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
    merged = overlapping[0]
    for series in overlapping[1:]:
        merged = _merge(merged, series)
    return merged


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
