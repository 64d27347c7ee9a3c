"""Files of market data: Parquet, Feather, freqtrade's JSON (also gzip) and CSV, as raw tables.

Problem: the same rows have to come in and go out in five formats without a digit changed. Floats are written
with the shortest text that reads back as the same number.

Not here: what the columns mean (`tables`). Invariant: for a table in one of the schemas,
``read_raw(write(...))`` has the same values; a file is replaced only when the new one is complete.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.feather as feather
import pyarrow.parquet as pq

from parley.errors import UserError, nearest
from runtime.marketstore.series import FUNDING, Series, suffix_of
from runtime.marketstore.tables import CANDLES, TRADES, schema_of
from venues.recorded import CandleError

SUFFIX_OF: Final = {
    "parquet": ".parquet", "feather": ".feather", "json": ".json", "jsongz": ".json.gz", "csv": ".csv",
}  # fmt: skip
_Number = float | None
_Row = tuple[int, _Number, _Number, _Number, _Number, _Number]
_Trade = tuple[int, str | int | None, str | None, str | None, _Number, _Number, _Number]


def suffix(format_: str) -> str:
    """Return the file suffix of a format.

    Raises
    ------
    UserError
        When there is no such format.
    """
    if format_ not in SUFFIX_OF:
        raise UserError(f"there is no format {format_!r}; {nearest(format_, list(SUFFIX_OF))}")
    return SUFFIX_OF[format_]


def read_raw(path: Path, series: Series) -> pa.Table:
    """Read a file as it is; `series` says how to read the rows of a format without column names.

    Raises
    ------
    CandleError
        When it cannot be read; names the file.
    """
    kind = suffix_of(path)
    try:
        if kind == ".parquet":
            return pq.read_table(path)
        if kind == ".feather":
            return feather.read_table(path)
        if kind in (".json", ".json.gz"):
            return _from_json(_bytes(path), series)
        return _from_csv(_bytes(path))
    except (
        pa.ArrowException,
        OSError,
        EOFError,
        zlib.error,
        msgspec.MsgspecError,
        UnicodeDecodeError,
    ) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CandleError(f"{path}: expected {_what(series)}, the file cannot be read: {what}") from error


def write(table: pa.Table, path: Path, series: Series) -> None:
    """Write a table in the format that the path ends in, through a file beside it."""
    kind = suffix_of(path)
    partial = path.with_name(f".{path.name}.new")
    try:
        if kind == ".parquet":
            write_parquet(table, partial)
        elif kind == ".feather":
            feather.write_feather(table, str(partial), compression="lz4")
        else:
            text = _to_json(table, series) if kind in (".json", ".json.gz") else _to_csv(table)
            # No time and no name in it, so that the same rows are the same file.
            partial.write_bytes(gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write Parquet; the same rows give the same bytes."""
    pq.write_table(
        table.combine_chunks().replace_schema_metadata(None), path, compression="zstd", row_group_size=1 << 17
    )


def _what(series: Series) -> str:
    return f"{series.kind} candles" if series.is_candles else series.kind


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.name.endswith(".gz") else data


def _from_json(data: bytes, series: Series) -> pa.Table:
    if schema_of(series) is TRADES:
        trades = msgspec.json.decode(data, type=list[_Trade])
        columns: list[Any] = list(zip(*trades, strict=True)) or [() for _ in TRADES.names]
        columns[1] = [None if each is None else str(each) for each in columns[1]]
        return pa.table(
            [pa.array(values, TRADES.field(n).type) for n, values in enumerate(columns)], TRADES.names
        )
    if series.kind == FUNDING:
        # Newer files hold [time, rate], older ones the rate as a candle's open.
        pairs = [row[:2] for row in msgspec.json.decode(data, type=list[list[float | None]])]
        dates = [None if row[0] is None else int(row[0]) for row in pairs]
        return pa.table({"date": pa.array(dates, pa.int64()), FUNDING: pa.array([row[1] for row in pairs])})
    candles = list(zip(*msgspec.json.decode(data, type=list[_Row]), strict=True)) or [
        () for _ in CANDLES.names
    ]
    kinds = [pa.int64(), *[pa.float64()] * 5]
    return pa.table([pa.array(each, kind) for each, kind in zip(candles, kinds, strict=True)], CANDLES.names)


def _to_json(table: pa.Table, series: Series) -> bytes:
    if schema_of(series) is not TRADES:
        table = table.set_column(0, "date", table["date"].cast(pa.int64()))
    return msgspec.json.encode(list(zip(*(column.to_pylist() for column in table.columns), strict=True)))


def _from_csv(data: bytes) -> pa.Table:
    first = data.split(b"\n", 1)[0]
    if not any(word in first.lower() for word in (b"date", b"time")):
        raise pa.ArrowInvalid(
            f"the first line must name the columns, it is {first[:60].decode(errors='replace')!r}"
        )
    names = [name.strip().strip('"') for name in first.decode().strip().split(",")]
    # An id is text, whatever it looks like.
    options = csv.ConvertOptions(
        column_types={name: pa.string() for name in names if name in ("id", "type")}, strings_can_be_null=True
    )
    return csv.read_csv(io.BytesIO(data), convert_options=options)


def _to_csv(table: pa.Table) -> bytes:
    out = io.BytesIO()
    csv.write_csv(table, out, csv.WriteOptions(quoting_style="needed"))
    return out.getvalue()
