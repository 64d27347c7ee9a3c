"""A real embedded PostgreSQL for tests: one server per process, a fresh database per test.

PostgreSQL is never faked. Not here: what is in the databases.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from runtime.postgres import Database, EmbeddedServer
from runtime.postgres.database import OWNER_ROLE, reach
from runtime.postgres.migrate import make_database, migrate

_numbers = itertools.count(1)
TABLES = (
    "tenants", "runs", "cursors", "journal", "journal_groups", "rounds", "decisions", "orders", "fills",
    "positions", "accounts", "equity", "agents",
)  # fmt: skip


def make_folder() -> Path:
    """Return a new folder that the server's user can enter, which pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="parley-pg-"))
    folder.chmod(0o711)
    return folder


@cache
def server() -> EmbeddedServer:
    """Return the server all tests of this process share; it is stopped and removed at the end."""
    made = EmbeddedServer(make_folder() / "pg")
    made.start(ends_with_us=True)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            discard(made)

    atexit.register(remove)
    return made


@cache
def _initialised() -> Path:
    made = EmbeddedServer(make_folder() / "pg")
    made.start()
    made.stop()
    owner = os.getpid()
    atexit.register(lambda: discard(made) if os.getpid() == owner else None)
    return made.data


def new_server() -> EmbeddedServer:
    """Return a server of its own that was never started; its data is a copy, which is quicker than initdb."""
    data = _initialised()
    made = EmbeddedServer(make_folder() / "pg")
    made.folder.mkdir(mode=0o711)
    shutil.copytree(data, made.data, symlinks=True)
    owner = data.stat()
    for path in [made.data, *made.data.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    return made


def discard(made: EmbeddedServer) -> None:
    """Stop a server and remove its folder, which is the only thing in its parent."""
    made.stop()
    shutil.rmtree(made.sockets, ignore_errors=True)
    shutil.rmtree(made.folder.parent, ignore_errors=True)


def discard_folder(made: EmbeddedServer) -> None:
    """Stop a server and remove its folder, whose parent holds others."""
    made.stop()
    shutil.rmtree(made.sockets, ignore_errors=True)
    shutil.rmtree(made.folder, ignore_errors=True)


@cache
def _template() -> str:
    migrate(make_database(server(), "parley_template"))
    return "parley_template"


def fresh_database() -> Database:
    """Return a migrated database that holds nothing."""
    template = _template()
    name = f"parley_{os.getpid()}_{next(_numbers)}"
    with reach(server().conninfo("postgres", "postgres"), "tests") as connection:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        parts = (sql.Identifier(each) for each in (name, template, OWNER_ROLE))
        connection.execute(query.format(*parts))
    return Database.embedded(server(), name)


def database_name(database: Database) -> str:
    """Return the name of a database of the embedded server."""
    return str(psycopg.conninfo.conninfo_to_dict(database.admin)["dbname"])


def rows(database: Database, table: str, columns: str = "*", order: str = "") -> list[tuple]:
    """Read a table as the superuser, whom row-level security does not bind."""
    with psycopg.connect(database.admin) as connection:
        text = f"SELECT {columns} FROM parley.{table} {f'ORDER BY {order}' if order else ''}"
        return connection.execute(text).fetchall()  # type: ignore[arg-type]


def everything(database: Database) -> dict[str, list[tuple]]:
    """Read all tables, each sorted, without what is a time of writing."""
    found = {}
    with psycopg.connect(database.admin) as connection:
        for table in TABLES:
            cursor = connection.execute(f"SELECT * FROM parley.{table}")  # type: ignore[arg-type]
            names = [column.name for column in cursor.description or ()]
            keep = [n for n, name in enumerate(names) if (table, name) != ("cursors", "updated_at")]
            found[table] = sorted((tuple(row[n] for n in keep) for row in cursor), key=repr)
    return found
