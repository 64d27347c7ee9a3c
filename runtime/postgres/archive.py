"""The database's content as files: every table of one moment, read through the tables.

Problem: a dump of a schema misses what TimescaleDB keeps elsewhere, needs rights a login seldom has, and says
nothing about what it left out. So every table is read as its owner with COPY, whatever is behind it, in one
snapshot; the rows are counted by the server before and in the file after.

Not here: the way back (`restoring`), journals and the manifest (`runtime.backup`).

Invariant: an archive holds every row of every table of the schema, or there is none.
"""

import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString

import msgspec
import psycopg
from psycopg import IsolationLevel, sql

from parley.errors import ParleyError, UserError
from runtime.postgres.database import OWNER_ROLE, SCHEMA, Database, in_one_line, reach
from runtime.tables import METADATA

_NAME: Final = "parley backup"
_BLOCK: Final = 1 << 20
# Partitioned tables: the column their month is of, and what makes one.
MONTHS: Final[dict[str, tuple[str, LiteralString]]] = {
    "journal": ("committed_at", "SELECT parley.ensure_journal_month({}::timestamptz)"),
    "candles": ("t", "SELECT parley.ensure_market_month('candles', {}::timestamptz)"),
    "market_trades": ("t", "SELECT parley.ensure_market_month('market_trades', {}::timestamptz)"),
    "funding_rates": ("t", "SELECT parley.ensure_market_month('funding_rates', {}::timestamptz)"),
}
OURS: Final[LiteralString] = """
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'parley' AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
        AND c.relname <> 'alembic_version'
"""
_COLUMNS: Final[LiteralString] = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass('parley.' || quote_ident(%s)) AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
"""
HIDDEN: Final[LiteralString] = (
    "SELECT c.relname"
    + OURS
    + """ AND c.relrowsecurity AND (
        NOT EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
            AND p.permissive = 'PERMISSIVE' AND p.qual = 'true' AND p.cmd IN ('SELECT', 'ALL')
            AND %s = ANY(p.roles))
        OR EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
            AND p.permissive <> 'PERMISSIVE'))
    ORDER BY 1"""
)


class SavedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of an archive: its columns in the order of the file, its rows, the months they are of."""

    name: str
    columns: tuple[str, ...]
    rows: int
    months: tuple[str, ...] = ()


class Snapshot:
    """One moment of a database, see `snapshot`."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def save(self, name: str, target: Path) -> SavedTable:
        """Write one table to a new file.

        Raises
        ------
        ParleyError
            When the file does not hold as many rows as the table.
        """
        columns = tuple([row[0] for row in self._connection.execute(_COLUMNS, (name,))])
        found_by_month = counts(self._connection, name)
        rows = sum(found_by_month.values())
        query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(listed(columns), table_of(name))
        with target.open("xb") as file:
            # No file name and no time in it: the same rows are the same file.
            with (
                gzip.GzipFile("", "wb", 1, file, 0) as packed,
                self._connection.cursor() as cursor,
                cursor.copy(query) as copy,
            ):
                for data in copy:
                    packed.write(data)
            file.flush()
            os.fsync(file.fileno())
        found = _lines(target)
        if found != rows:
            raise ParleyError(f"the table {name!r} has {rows} rows, its file {str(target)!r} has {found}")
        months = tuple(sorted(month for month in found_by_month if month))
        return SavedTable(name=name, columns=columns, rows=rows, months=months)


def table_names() -> list[str]:
    """Return the tables of an archive, each behind those it points at."""
    return [str(table.name) for table in METADATA.sorted_tables]


def file_name(name: str) -> str:
    """Return the file of a table."""
    return f"{name}.copy.gz"


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """Hold one moment of the database, after making sure that all of it can be read.

    Raises
    ------
    UserError
        When the login may not read as the owner, rows are hidden even from that, or a table is not known.
    DatabaseDown
        When the server does not answer, or goes away meanwhile.
    """
    with in_one_line("the database could not be backed up"), reach(database.admin, _NAME) as connection:
        become_owner(connection)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            _check_tables(connection)
            _check_rights(connection)
            yield Snapshot(connection)


def become_owner(connection: psycopg.Connection) -> None:
    """Act as the owner of the tables; `UserError` when the login may not."""
    try:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER_ROLE)))
        connection.execute("SET timezone = 'UTC'")
    except psycopg.errors.InsufficientPrivilege:
        raise UserError(
            f"the database's login must be a member of {OWNER_ROLE!r}, who owns the tables: ask its"
            f" administrator for 'GRANT {OWNER_ROLE} TO {connection.info.user}'"
        ) from None


def _check_tables(connection: psycopg.Connection) -> None:
    there = {row[0] for row in connection.execute("SELECT c.relname" + OURS)}
    strange, missing = sorted(there - set(table_names())), sorted(set(table_names()) - there)
    if strange:
        raise UserError(
            f"a backup would leave out {SCHEMA}.{strange[0]}, which is none of Parley's tables: move it to"
            f" another schema"
        )
    if missing:
        raise UserError(f"the database lacks the table {SCHEMA}.{missing[0]}: run 'parley migrate'")


def _check_rights(connection: psycopg.Connection) -> None:
    hidden = connection.execute(HIDDEN, (OWNER_ROLE,)).fetchone()
    if hidden is not None:
        raise UserError(
            f"row-level security hides rows of {SCHEMA}.{hidden[0]} from {OWNER_ROLE!r}, a backup would lack"
            f" them: expected the policy 'CREATE POLICY of_owner ON {SCHEMA}.{hidden[0]} FOR SELECT"
            f" TO {OWNER_ROLE} USING (true)' and no restrictive one"
        )


def counts(connection: psycopg.Connection, name: str) -> dict[str, int]:
    """Count a table's rows by month; by nothing where there are no months."""
    if name not in MONTHS:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table_of(name))).fetchone()
        return {"": int(row[0])} if row else {}
    column = sql.Identifier(MONTHS[name][0])
    query = sql.SQL("SELECT date_trunc('month', {}, 'UTC')::text, count(*) FROM {} GROUP BY 1")
    return {row[0]: int(row[1]) for row in connection.execute(query.format(column, table_of(name)))}


def _lines(path: Path) -> int:
    # A row is a line: COPY writes a line's end within a text as two characters.
    count = 0
    with gzip.open(path, "rb") as packed:
        while block := packed.read(_BLOCK):
            count += block.count(b"\n")
    return count


def table_of(name: str) -> sql.Identifier:
    """Name a table in SQL."""
    return sql.Identifier(SCHEMA, name)


def listed(columns: Sequence[str]) -> sql.Composed:
    """Name columns in SQL."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))
