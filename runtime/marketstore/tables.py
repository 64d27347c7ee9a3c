"""Rows of market data in one form, whatever form they came in.

Problem: candles, trades and settlements come with other column names, number types and time units from every
source. Here a raw table becomes one of three schemas, which are freqtrade's, so that freqtrade and
`venues.recorded` read a stored file as it is.

Not here: files (`formats`), joining rows of several sources (`merge`). Invariant: a table returned by
`canonical` has passed every rule of `venues.market_rules`; identical duplicates were dropped and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runtime.marketstore.series import FUNDING, Series, is_of_many, of_pair
from venues.market_rules import CANDLE_VALUES, first_of_id, funding_faults, repeated, trade_faults
from venues.recorded import CandleError, candles_of, refuse
from venues.recorded_trades import trade_columns

TIME: Final = pa.timestamp("ms", tz="UTC")
CANDLES: Final = pa.schema([("date", TIME), *((name, pa.float64()) for name in CANDLE_VALUES)])
TRADES: Final = pa.schema(
    [
        ("timestamp", pa.int64()), ("id", pa.string()), ("type", pa.string()), ("side", pa.string()),
        ("price", pa.float64()), ("amount", pa.float64()), ("cost", pa.float64()),
    ]
)  # fmt: skip
SETTLEMENTS: Final = pa.schema([("date", TIME), (FUNDING, pa.float64())])
# Before this no exchange existed; a smaller number is a time in another unit.
_FIRST_MS, _END_MS = 1_230_768_000_000, 7_258_118_400_000


@dataclass(frozen=True, slots=True)
class Clean:
    """Rows of one series in its schema, and how many identical duplicates were dropped."""

    table: pa.Table
    duplicates: int


def schema_of(series: Series) -> pa.Schema:
    """Return the columns a series has."""
    if series.is_candles:
        return CANDLES
    return SETTLEMENTS if series.kind == FUNDING else TRADES


def times_ms(series: Series, table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the time of every row."""
    column = table["date"].cast(pa.int64()) if "date" in table.column_names else table["timestamp"]
    return np.asarray(column.to_numpy(), dtype=np.int64)


def canonical(series: Series, raw: pa.Table, source: Path) -> Clean:
    """Bring a raw table into the series' schema and refuse what breaks a rule.

    Raises
    ------
    CandleError
        Names file and row.
    """
    if series.kind == FUNDING:
        return _settlements(raw, source)
    if series.is_candles:
        return _candles(series, raw, source)
    return _trades(raw, source)


def by_pair(series: Series, raw: pa.Table, source: Path) -> Iterator[tuple[Series, pa.Table]]:
    """Yield the series of a file with its rows: one, or one for each text in a column of pairs.

    Raises
    ------
    CandleError
        When there should be such a column and is none, or a row lacks its pair.
    """
    if not is_of_many(series):
        yield series, raw
        return
    if "pair" not in raw.column_names:
        raise CandleError(f"{source}: expected a column 'pair', it has {', '.join(raw.column_names)}")
    if raw["pair"].null_count:
        raise CandleError(f"{source}: expected a pair in every row, {raw['pair'].null_count} are empty")
    for pair in sorted(pc.unique(raw["pair"]).to_pylist()):
        yield of_pair(series, str(pair)), raw.filter(pc.equal(raw["pair"], pair))


def candle_arrays(
    raw: pa.Table, source: Path, values: tuple[str, ...] = CANDLE_VALUES
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.float64]]]:
    """Return times and values of a table with a `date`, without judging them; an empty value is NaN."""
    raw = raw.rename_columns([_known(name) for name in raw.column_names])
    absent = [name for name in ("date", *values) if name not in raw.column_names]
    if absent:
        raise CandleError(
            f"{source}: expected the columns date, {', '.join(values)}; missing: {', '.join(absent)}"
        )
    dates = _milliseconds(raw["date"], source)
    try:
        columns = [
            np.asarray(raw[name].cast(pa.float64()).to_numpy(), dtype=np.float64) + 0.0 for name in values
        ]
    except pa.ArrowException as error:
        raise CandleError(f"{source}: expected numbers: {_first_line(error)}") from error
    return dates, columns


def settlement_arrays(
    raw: pa.Table, source: Path
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.float64]]]:
    """Return times and rates; freqtrade used to keep the rate as the `open` of a candle."""
    name = FUNDING if FUNDING in map(_known, raw.column_names) else "open"
    if name == "open" and "open" not in map(_known, raw.column_names):
        raise CandleError(
            f"{source}: expected the columns date, {FUNDING}; it has {', '.join(raw.column_names)}"
        )
    return candle_arrays(raw, source, (name,))


def _candles(series: Series, raw: pa.Table, source: Path) -> Clean:
    dates, values = candle_arrays(raw, source)
    found = candles_of(source, series.pair, series.timeframe, dates, values)
    columns = [getattr(found, name) for name in CANDLE_VALUES]
    return Clean(candle_table(found.date_ms, columns), found.duplicates)


def candle_table(dates: npt.NDArray[np.int64], values: list[npt.NDArray[np.float64]]) -> pa.Table:
    """Make a table of candles."""
    return pa.table([pa.array(dates).cast(TIME), *map(pa.array, values)], schema=CANDLES)


def _settlements(raw: pa.Table, source: Path) -> Clean:
    dates, (rates,) = settlement_arrays(raw, source)
    if len(dates) == 0:
        raise CandleError(f"{source}: expected settlements, the file has no rows")
    for fault in funding_faults(dates, rates):
        refuse(source, fault)
    kept = np.logical_not(repeated(dates))
    table = pa.table([pa.array(dates[kept]).cast(TIME), pa.array(rates[kept])], schema=SETTLEMENTS)
    return Clean(table, len(dates) - len(table))


def _trades(raw: pa.Table, source: Path) -> Clean:
    columns = trade_arrays(raw, source)
    if len(columns["time"]) == 0:
        raise CandleError(f"{source}: expected trades, the file has no rows")
    check_span(columns["time"], source)
    for fault in trade_faults(columns):
        refuse(source, fault)
    kept = np.equal(first_of_id(columns["id"]), np.arange(len(columns["time"])))
    kinds = raw["type"].cast(pa.string()) if "type" in raw.column_names else pa.nulls(len(raw), pa.string())
    cost = raw["cost"] if "cost" in raw.column_names else columns["price"] * columns["quantity"]
    table = pa.table(
        [
            pa.array(columns["time"]), pa.array(columns["id"].tolist(), pa.string()), kinds,
            pa.array(np.where(columns["maker"], "sell", "buy").tolist(), pa.string()),
            pa.array(columns["price"]), pa.array(columns["quantity"]), cost,
        ],
        schema=TRADES,
    )  # fmt: skip
    return Clean(table.filter(pa.array(kept)), int((~kept).sum()))


def trade_arrays(raw: pa.Table, source: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns that the rules for trades judge."""
    try:
        return trade_columns(source, raw)
    except CandleError:
        raise
    except (ValueError, pa.ArrowException) as error:
        raise CandleError(f"{source}: expected times and numbers: {_first_line(error)}") from error


def _known(name: str) -> str:
    lower = name.strip().lower()
    return "date" if lower in ("timestamp", "time", "open_time", "datetime") else lower


def _milliseconds(column: pa.ChunkedArray, source: Path) -> npt.NDArray[np.int64]:
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.strptime(column, format="%Y-%m-%d %H:%M:%S", unit="ms")
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("ms", tz=getattr(column.type, "tz", None)), safe=False)
        column = column.cast(pa.int64())
    except pa.ArrowException as error:
        raise CandleError(f"{source}: expected times: {_first_line(error)}") from error
    if column.null_count:
        raise CandleError(f"{source}: expected a time in every row, {column.null_count} are empty")
    found = np.asarray(column.to_numpy(), dtype=np.int64)
    check_span(found, source)
    return found


def check_span(times: npt.NDArray[Any], source: Path) -> None:
    """Refuse times that are no milliseconds of an exchange's life, such as seconds.

    Raises
    ------
    CandleError
        Names the row.
    """
    outside = (times < _FIRST_MS) | (times >= _END_MS)
    if outside.any():
        row = int(np.argmax(outside))
        raise CandleError(
            f"{source}: row {row}: expected a time in milliseconds between 2009 and 2200, "
            f"got {int(times[row])}"
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
