"""How to reach the database, as whom, and what a wrong or missing one looks like.

Problem: row-level security protects nothing from a superuser, so a process that happens to connect as one
must notice. Every connection made here is checked: right role, right revision of the schema. An external
server is reached by the URL of a login that may take the role `parley_app`.

Not here: making roles and schema (`migrate`).

Invariant: `connect` returns a connection whose role is bound by row-level security, or raises.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from psycopg import conninfo

from parley.errors import ConfigError, ParleyError, UserError
from runtime.postgres.embedded import EmbeddedServer

APP_ROLE: Final = "parley_app"
OWNER_ROLE: Final = "parley_migrate"
DATABASE: Final = "parley"
SCHEMA: Final = "parley"
SUPERUSER: Final = "postgres"
# The head of runtime/migrations; a test compares them. Stated here, so that only who migrates needs alembic.
REVISION: Final = "0003"
CONNECT_TIMEOUT_S: Final = 5
_TENANTS: Final = uuid.UUID("6f6c9d54-3c5e-5b0e-9d59-0f3f0f6b9a01")


# What asking again does not change. All else, such as a server that still recovers, is worth another try.
_REFUSALS: Final = (
    "does not exist", "authentication failed", "no pg_hba.conf entry", "permission denied",
    "is not permitted to log in",
)  # fmt: skip


class DatabaseDown(ParleyError):
    """The server does not answer, or went away: try again later."""


@dataclass(frozen=True)
class Database:
    """Two ways into one database: `admin` for migrations, `app` for everything else.

    ``folder`` is that of the embedded server it is on, empty on somebody else's.
    """

    admin: str
    app: str
    is_embedded: bool
    folder: str = ""

    @staticmethod
    def embedded(server: EmbeddedServer, name: str = DATABASE) -> "Database":
        """Describe a database of the embedded server."""
        where = str(server.folder)
        return Database(server.conninfo(SUPERUSER, name), server.conninfo(APP_ROLE, name), True, where)

    @staticmethod
    def external(url: str) -> "Database":
        """Describe the database of a URL or a libpq connection string.

        Raises
        ------
        UserError
            When it is neither; what it says is not repeated, for it may hold a password.
        """
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            given = {}
        if not given.get("dbname"):
            raise UserError("DATABASE_URL must look like postgresql://user:password@host:5432/name")
        options = f"{given.get('options') or ''} -c role={APP_ROLE}".strip()
        return Database(conninfo.make_conninfo(url), conninfo.make_conninfo(url, options=options), False)

    @staticmethod
    def named(folder: str, name: str = DATABASE) -> "Database":
        """Describe the database a unit's configuration names: that of a server's folder, or DATABASE_URL.

        Raises
        ------
        ConfigError
            When neither the folder nor the environment names one.
        """
        if folder:
            return Database.embedded(EmbeddedServer(Path(folder).expanduser()), name)
        found = Database.from_environment()
        if found is None:
            raise ConfigError(
                "'database' must name the embedded server's folder, or DATABASE_URL another server"
            )
        return found

    @staticmethod
    def from_environment() -> "Database | None":
        """Describe the database of DATABASE_URL, None when that is not set."""
        url = os.environ.get("DATABASE_URL", "").strip()
        return Database.external(url) if url else None


def tenant_id(name: str) -> uuid.UUID:
    """Return the id of a tenant: a pure function of its name, so a journal shipped twice meets itself."""
    return uuid.uuid5(_TENANTS, name)


def reach(where: str, name: str) -> psycopg.Connection:
    """Connect without checking anything, in autocommit mode.

    Raises
    ------
    DatabaseDown
        When there is no answer.
    UserError
        When the server refuses: no such database, role or password.
    """
    try:
        return psycopg.connect(
            where, autocommit=True, application_name=name, connect_timeout=CONNECT_TIMEOUT_S
        )
    except psycopg.OperationalError as error:
        said = one_line(error)
        if any(words in said for words in _REFUSALS):
            raise UserError(f"the database refused the connection: {said}") from error
        raise DatabaseDown(f"the database cannot be reached: {said}") from error


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn what the database says against something into one line that begins with `what`.

    Raises
    ------
    DatabaseDown
        When it went away, is full or busy: asking again may help.
    UserError
        When it refuses: a missing right, a server that is read-only, tables that are somebody else's.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise DatabaseDown(f"{what}: {one_line(error)}") from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise UserError(f"{what}: the database server must take writes, it is read-only") from error
    except psycopg.Error as error:
        raise UserError(f"{what}: {one_line(error)}") from error


def connect(database: Database, name: str) -> psycopg.Connection:
    """Connect as the application, in autocommit mode, and check role and revision.

    Raises
    ------
    DatabaseDown
        When there is no answer.
    UserError
        When the server refuses, the role could get around row-level security, or the schema is of another
        revision.
    """
    connection = reach(database.app, name)
    try:
        _check_role(connection)
        _check_revision(connection)
    except psycopg.OperationalError as error:
        connection.close()
        raise DatabaseDown(f"the database went away: {one_line(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check_role(connection: psycopg.Connection) -> None:
    query = "SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    row = connection.execute(query).fetchone()
    if row is None or row[0] != APP_ROLE or row[1]:
        raise UserError(f"the database's role must be {APP_ROLE!r} without special rights, was {row!r}")


def _check_revision(connection: psycopg.Connection) -> None:
    try:
        found = [row[0] for row in connection.execute("SELECT version_num FROM parley.alembic_version")]
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError):
            raise
        raise UserError("the database holds no tables of Parley: run 'parley migrate'") from error
    if found != [REVISION]:
        raise UserError(
            f"the database must be at revision {REVISION!r}, was at {found!r}: run 'parley migrate'"
        )


def as_tenant(connection: psycopg.Connection, tenant: uuid.UUID) -> None:
    """Show the open transaction one tenant's rows, and no others, until it ends."""
    query: LiteralString = "SELECT set_config('parley.tenant_id', %s, true)"
    connection.execute(query, (str(tenant),))


def one_line(error: BaseException) -> str:
    """Return what an error of the database says, as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if len(lines) < 2 else next((line for line in lines if "FATAL" in line), lines[0])
