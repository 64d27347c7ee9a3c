"""Take a run out of the read model, or let it begin anew.

Problem: the application may not remove what is recorded. Two things have to: a start that was given up, whose
journals are removed with it, and a rebuild, which reads them all again. Both act as the owner of the tables,
bound to one tenant.

Not here: which runs, and when (`runtime.store_keeper`, `runtime.rebuild`).

Invariant: a run is gone from every table, or from none.
"""

import uuid
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from runtime.postgres.database import OWNER_ROLE, SCHEMA, Database, as_tenant, in_one_line, reach

# Read from the catalogue, so that a table added later is not forgotten; runs last, others point at them.
_TABLES: Final[LiteralString] = """
    SELECT c.relname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'run_id' AND NOT a.attisdropped
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname = 'runs', c.relname
"""
_LOCK_TIMEOUT: Final[LiteralString] = "SET lock_timeout = '10s'"


def erase_run(database: Database, tenant: uuid.UUID, run_id: str) -> int:
    """Remove every row of a run; returns how many there were.

    Raises
    ------
    DatabaseDown, UserError
        When the database cannot be reached or refuses; then nothing is removed.
    """
    with (
        in_one_line(f"run {run_id!r} could not be taken out of the database"),
        reach(database.admin, "parley erase") as connection,
    ):
        connection.execute(_LOCK_TIMEOUT)
        with connection.transaction():
            return erase_in(connection, tenant, run_id)


def erase_in(connection: psycopg.Connection, tenant: uuid.UUID, run_id: str) -> int:
    """Remove every row of a run within an open transaction, which from then on acts as the owner."""
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER_ROLE)))
    as_tenant(connection, tenant)
    removed = 0
    for (table,) in connection.execute(_TABLES, (SCHEMA,)).fetchall():
        query = sql.SQL("DELETE FROM {} WHERE tenant_id = %s AND run_id = %s")
        name = sql.Identifier(SCHEMA, table)
        removed += connection.execute(query.format(name), (tenant, run_id)).rowcount
    return removed
