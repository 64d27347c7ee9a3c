"""An archive back into a database: when one may be filled, filling it, and finding out what a kill left.

Problem: filling a database and putting journals in their place are two steps that know nothing of each
other. So the transaction that fills leaves a mark, the digest of the backup, which goes when the journals are
in place: whoever comes between knows of which restore the rows are.

Not here: what an archive is (`archive`), journals and the order of the steps (`runtime.backup`), making
tables (`migrate`).

Invariant: after `fill` the database holds exactly the archive's rows, or none; rows that are not of the
marked restore are never removed.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from parley.errors import ParleyError, UserError
from runtime.postgres.archive import (
    HIDDEN,
    MONTHS,
    OURS,
    SavedTable,
    become_owner,
    counts,
    file_name,
    listed,
    table_of,
)
from runtime.postgres.database import OWNER_ROLE, SCHEMA, Database, in_one_line, reach

_NAME: Final = "parley restore"
_BLOCK: Final = 1 << 20
_MARK: Final = "parley restore "


def standing(database: Database) -> str | None:
    """Say which restore was cut off behind filling the database: the digest of its backup, None if none was.

    Raises
    ------
    UserError
        When the database holds rows already.
    """
    with in_one_line("the database cannot be restored into"), reach(database.admin, _NAME) as connection:
        if not _has_schema(connection):
            return None
        mark = mark_of(connection)
        if mark is None:
            _see_all(connection)
            _check_empty(connection)
        return mark


def mark_of(connection: psycopg.Connection) -> str | None:
    """Return the digest of the backup whose restore filled the database and was not finished."""
    query = "SELECT obj_description(to_regnamespace('parley'), 'pg_namespace')"
    row = connection.execute(query).fetchone()
    text = row[0] if row is not None else None
    return text.removeprefix(_MARK) if text and text.startswith(_MARK) else None


def set_mark(database: Database, digest: str | None) -> None:
    """Say that a restore is not finished; None: that it is."""
    with in_one_line("the restore could not be finished"), reach(database.admin, _NAME) as connection:
        become_owner(connection)
        _mark(connection, digest)


def drop_tables(database: Database, digest: str) -> None:
    """Remove the schema if it holds no row, or only those of the unfinished restore of one backup.

    Raises
    ------
    UserError
        When there are others, such as those of a run that began meanwhile.
    DatabaseDown
        When the server does not answer, or somebody keeps using the tables.
    """
    with in_one_line("the database could not be emptied"), reach(database.admin, _NAME) as connection:
        if not _has_schema(connection):
            return
        connection.execute("SET lock_timeout = '10s'")
        with connection.transaction():
            _see_all(connection)
            for (name,) in connection.execute("SELECT c.relname" + OURS).fetchall():
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table_of(name)))
            if mark_of(connection) != digest:
                _check_empty(connection)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))


def fill(database: Database, folder: Path, tables: Sequence[SavedTable], digest: str) -> None:
    """Bring an archive into tables that hold no row, and mark the restore as not finished; all or nothing.

    Raises
    ------
    ParleyError
        When a table does not hold what the archive says.
    UserError, DatabaseDown
        When the database refuses, or goes away.
    """
    with in_one_line("the database could not be restored"), reach(database.admin, _NAME) as connection:
        connection.execute("SET timezone = 'UTC'")
        with connection.transaction():
            become_owner(connection)
            # COPY takes no rows for whom row-level security binds, the owner is bound only while forced to.
            query = "SELECT c.relname" + OURS + " AND c.relforcerowsecurity ORDER BY 1"
            forced = [row[0] for row in connection.execute(query)]
            _force(connection, forced, is_on=False)
            for table in tables:
                _fill_table(connection, folder / file_name(table.name), table)
            _force(connection, forced, is_on=True)
            _mark(connection, digest)


def _fill_table(connection: psycopg.Connection, source: Path, table: SavedTable) -> None:
    for month in table.months:
        connection.execute(sql.SQL(MONTHS[table.name][1]).format(sql.Literal(month)))
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(table_of(table.name), listed(table.columns))
    with (
        gzip.open(source, "rb") as packed,
        connection.cursor() as cursor,
        cursor.copy(query) as copy,
    ):
        while block := packed.read(_BLOCK):
            copy.write(block)
    found = sum(counts(connection, table.name).values())
    if found != table.rows:
        raise ParleyError(f"the restored table {table.name!r} must have {table.rows} rows, it has {found}")


def _see_all(connection: psycopg.Connection) -> None:
    """Become somebody to whom a table without rows is empty, not one whose rows are hidden."""
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    if connection.execute(query).fetchone() == (True,):
        return
    become_owner(connection)
    hidden = connection.execute(HIDDEN, (OWNER_ROLE,)).fetchone()
    if hidden is not None:
        raise UserError(
            f"row-level security may hide rows of {SCHEMA}.{hidden[0]}, so the database is not known to be"
            f" empty: run 'parley migrate' first"
        )


def _check_empty(connection: psycopg.Connection) -> None:
    for (name,) in connection.execute("SELECT c.relname" + OURS).fetchall():
        if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(table_of(name))).fetchone():
            raise UserError(
                f"the database holds rows of Parley already, in {SCHEMA}.{name}: restore into an empty one"
            )


def _force(connection: psycopg.Connection, tables: Sequence[str], *, is_on: bool) -> None:
    for name in tables:
        word = sql.SQL("FORCE" if is_on else "NO FORCE")
        connection.execute(sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(table_of(name), word))


def _mark(connection: psycopg.Connection, digest: str | None) -> None:
    text = sql.Literal(None if digest is None else _MARK + digest)
    connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(SCHEMA), text))


def _has_schema(connection: psycopg.Connection) -> bool:
    return connection.execute("SELECT to_regnamespace('parley') IS NOT NULL").fetchone() == (True,)
