"""Roles and schema: bring a database to the revision this code knows.

Problem: tables, policies and rights have to be there before anything connects, on a new embedded server as
well as on a server somebody else runs. Roles belong to the server and are made here; tables are made by
Alembic as `parley_migrate`, which owns them and logs in nowhere.

Not here: what the tables are (`runtime.tables`, `runtime.migrations`).

Invariant: idempotent; two that migrate at once go one after the other; a failed revision leaves no trace.
"""

import time
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg import sql

from parley.errors import UserError
from runtime.postgres.database import (
    APP_ROLE,
    DATABASE,
    OWNER_ROLE,
    SCHEMA,
    SUPERUSER,
    Database,
    DatabaseDown,
    in_one_line,
    one_line,
    reach,
)
from runtime.postgres.embedded import EmbeddedServer
from runtime.postgres.restoring import mark_of

_LOCK: Final = 7_212_531_450_281
_OLDEST: Final = 15
_NAME: Final = "parley migrate"
_TURN_PATIENCE_S: Final = 600.0
_TURN_POLL_S: Final = 0.05


def make_database(server: EmbeddedServer, name: str = DATABASE) -> Database:
    """Make roles and an empty database on the embedded server, if needed, and describe it."""
    with reach(server.conninfo(SUPERUSER, "postgres"), _NAME) as connection:
        _make_roles(connection)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            query = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(query.format(sql.Identifier(name), sql.Identifier(OWNER_ROLE)))
    return Database.embedded(server, name)


def prepare(external: Database | None, server: EmbeddedServer | None) -> None:
    """Make a running embedded server's database, or take the external one, and bring it up to date.

    Raises
    ------
    UserError, DatabaseDown
        When that cannot be done, or the database waits for the rest of a restore.
    """
    database = external if server is None else make_database(server)
    if database is None:
        raise UserError("there is no database: neither an embedded server nor a URL")
    migrate(database)
    with in_one_line("the database cannot be asked"), reach(database.admin, _NAME) as connection:
        if mark_of(connection) is not None:
            raise UserError(
                "a restore into this database was cut off: run 'parley restore' with the same backup again"
            )


def migrate(database: Database, revision: str = "head") -> None:
    """Make what is missing: roles, schema, and every revision up to `revision`.

    Raises
    ------
    DatabaseDown
        When the server does not answer.
    UserError
        When it is too old, or its login may not make roles and there are none.
    """
    with in_one_line("the database could not be migrated"), reach(database.admin, _NAME) as connection:
        version = connection.info.server_version // 10_000
        if version < _OLDEST:
            raise UserError(f"the database server must be PostgreSQL {_OLDEST} or newer, it is {version}")
        _take_turn(connection)
        _make_roles(connection)
        _make_schema(connection)
        _upgrade(database, revision)


def _take_turn(connection: psycopg.Connection) -> None:
    # Until this connection closes. Asked again and again, for who waits in a statement is an older
    # transaction, which an index that is made concurrently would wait for.
    deadline = time.monotonic() + _TURN_PATIENCE_S
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise DatabaseDown(f"somebody else has been migrating the database for {_TURN_PATIENCE_S:.0f} s")
        time.sleep(_TURN_POLL_S)


def _make_roles(connection: psycopg.Connection) -> None:
    has_all = _is_superuser(connection)
    for role, rights in ((OWNER_ROLE, "NOLOGIN"), (APP_ROLE, "LOGIN" if has_all else "NOLOGIN")):
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
            continue
        text = f"CREATE ROLE {{}} {rights} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
        try:
            connection.execute(sql.SQL(text).format(sql.Identifier(role)))  # type: ignore[arg-type]
        except psycopg.errors.DuplicateObject:
            pass  # somebody else was quicker
        except psycopg.errors.InsufficientPrivilege:
            raise UserError(
                f"the database's login may not make roles: ask its administrator for"
                f" 'CREATE ROLE {role} {rights}; GRANT {role} TO {connection.info.user}'"
            ) from None
    if not has_all:
        # Since 16 whoever makes a role may give it away, but not become it without a grant.
        may = "SET" if connection.info.server_version >= 160_000 else "MEMBER"
        for role in (OWNER_ROLE, APP_ROLE):
            if connection.execute("SELECT pg_has_role(%s, %s)", (role, may)).fetchone() == (True,):
                continue
            try:
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
            except psycopg.errors.InsufficientPrivilege:
                raise UserError(
                    f"the database's login must be a member of the role {role!r}: ask its administrator for"
                    f" 'GRANT {role} TO {connection.info.user}'"
                ) from None


def _is_superuser(connection: psycopg.Connection) -> bool:
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    return connection.execute(query).fetchone() == (True,)


def _make_schema(connection: psycopg.Connection) -> None:
    try:
        connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
                sql.Identifier(SCHEMA), sql.Identifier(OWNER_ROLE)
            )
        )
        connection.execute(
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(SCHEMA), sql.Identifier(APP_ROLE))
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"the database's login may not make the schema {SCHEMA!r}, or it is somebody else's:"
            f" {one_line(error)}"
        ) from None


def _upgrade(database: Database, revision: str) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: _session(database), poolclass=sqlalchemy.NullPool
    )
    try:
        with engine.connect() as connection:
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except CommandError as error:
        raise UserError(f"the database's schema is not one this Parley knows: {error}") from error
    except sqlalchemy.exc.DBAPIError as error:
        raise (error.orig or error) from error  # said by `migrate`, as the driver's own
    finally:
        engine.dispose()


def _session(database: Database) -> psycopg.Connection:
    connection = reach(database.admin, _NAME)
    connection.autocommit = False
    return connection


def configuration() -> Config:
    """Return Alembic's configuration of this tree; there is no alembic.ini."""
    config = Config()
    folder = Path(__file__).resolve().parent.parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return config
