"""Copy market data from the store's files into PostgreSQL.

Problem: who queries candles with SQL wants those of the store, and an import that is repeated, or that was
cut off between both, must end with both the same. So whole files are copied, rows that are there stay as
they are, and afterwards every row of the file must be there with the same values.

Not here: the schema (`runtime.migrations`). The tables are read-only for the application, so this connects
with the rights of who migrates. Invariant: one file is one transaction; the database holds no row that the
store does not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from psycopg import sql

from parley.errors import DataError
from runtime.marketstore.series import FUNDING, Series, parse_name
from runtime.marketstore.tables import times_ms
from runtime.postgres.database import OWNER_ROLE, Database, in_one_line, reach

_KEYS: Final = {
    "candles": ("exchange", "pair", "kind", "timeframe", "t"),
    "market_trades": ("exchange", "pair", "kind", "t", "trade_id"),
    "funding_rates": ("exchange", "pair", "t"),
}
_VALUES: Final = {
    "candles": ("open", "high", "low", "close", "volume"),
    "market_trades": ("side", "price", "amount"),
    "funding_rates": ("rate",),
}


@contextmanager
def writing(database: Database) -> Iterator[psycopg.Connection]:
    """Connect as the owner of the tables.

    Raises
    ------
    DatabaseDown
        When the server does not answer, or goes away meanwhile.
    UserError
        When it refuses: a login without the right, a server that is read-only, tables that are missing.
    """
    with (
        in_one_line("the database does not take market data"),
        reach(database.admin, "parley data") as connection,
    ):
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER_ROLE)))
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET lock_timeout = '10s'")
        yield connection


def copy_file(connection: psycopg.Connection, path: Path) -> int:
    """Copy one file of a store; returns how many rows were new in the database.

    Raises
    ------
    DataError
        When the database holds other values for one of the rows; nothing was changed then.
    """
    series = parse_name(path)
    rows = pq.read_table(path)
    name = table_of(series)
    key = sql.SQL(", ").join(map(sql.Identifier, _KEYS[name]))
    table, staged = sql.Identifier("parley", name), sql.Identifier("new_" + name)
    with connection.transaction():
        _make_months(connection, name, series, rows)
        connection.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(staged, table))
        columns = sql.SQL(", ").join(map(sql.Identifier, (*_KEYS[name], *_VALUES[name])))
        with connection.cursor() as cursor:
            query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(staged, columns)
            with cursor.copy(query) as copy:
                copy.write(_as_csv(series, rows))
        added = connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO NOTHING").format(
                table, columns, columns, staged, key
            )
        ).rowcount
        if added < len(rows):
            _refuse_difference(connection, name, path)
    return added


def table_of(series: Series) -> str:
    """Name the table of a series."""
    if series.is_candles:
        return "candles"
    return "funding_rates" if series.kind == FUNDING else "market_trades"


def _make_months(connection: psycopg.Connection, name: str, series: Series, rows: pa.Table) -> None:
    months = np.unique(times_ms(series, rows).astype("datetime64[ms]").astype("datetime64[M]"))
    for month in months:
        connection.execute("SELECT parley.ensure_market_month(%s, %s::timestamptz)", (name, f"{month}-01Z"))


def _as_csv(series: Series, rows: pa.Table) -> bytes:
    count = len(rows)
    columns = {"exchange": [series.exchange] * count, "pair": [series.pair] * count}
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    kind = pa.array([series.kind] * count, pa.string())
    times = pa.array(times_ms(series, rows)).cast(pa.timestamp("ms", tz="UTC"))
    if series.is_candles:
        arrays |= {"kind": kind, "timeframe": pa.array([series.timeframe] * count, pa.string()), "t": times}
        arrays |= {name: rows[name] for name in _VALUES["candles"]}
    elif series.kind == FUNDING:
        arrays |= {"t": times, "rate": rows[FUNDING]}
    else:
        arrays |= {"kind": kind, "t": times, "trade_id": rows["id"]}
        arrays |= {name: rows[name] for name in _VALUES["market_trades"]}
    out = io.BytesIO()
    csv.write_csv(pa.table(arrays), out, csv.WriteOptions(include_header=False))
    return out.getvalue()


def _refuse_difference(connection: psycopg.Connection, name: str, path: Path) -> None:
    same = sql.SQL(" AND ").join(
        sql.SQL("old.{0} = new.{0}").format(sql.Identifier(column)) for column in _KEYS[name]
    )
    differs = sql.SQL(" OR ").join(
        sql.SQL("old.{0} <> new.{0}").format(sql.Identifier(column)) for column in _VALUES[name]
    )
    row = connection.execute(
        sql.SQL("SELECT new.t FROM {} new JOIN {} old ON {} WHERE {} ORDER BY new.t LIMIT 1").format(
            sql.Identifier("new_" + name), sql.Identifier("parley", name), same, differs
        )
    ).fetchone()
    if row is not None:
        raise DataError(
            f"{path}: expected the rows the database holds in {name!r}, "
            f"the one at {row[0]:%Y-%m-%d %H:%M:%S} has other values there"
        )
