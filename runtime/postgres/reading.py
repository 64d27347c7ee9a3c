"""Many readers of the read model at once: a pool of connections that cannot write.

Problem: an API reads for many clients side by side, the server may restart under it at any time, and one
tenant's request must never see another's rows. So every read is a transaction that is read-only, sees one
moment, names its tenant first and has a limit of time.

Not here: what is read. The role is still `parley_app`, which may write; the session forbids it.

Invariant: no statement runs outside such a transaction, and only on connections whose role is bound by
row-level security.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from runtime.postgres.database import APP_ROLE, CONNECT_TIMEOUT_S, REVISION, Database, DatabaseDown

log = logging.getLogger(__name__)
_WAIT_S: Final = 2.0
_LONGEST_QUEUE: Final = 200
_STATEMENT_S: Final = 5
_RETRY_S: Final = (0.2, 5.0)
_ROLE: Final[LiteralString] = (
    "SELECT current_user::text AS who, rolsuper OR rolbypassrls AS special FROM pg_roles"
    " WHERE rolname = current_user"
)
Row = DictRow


class TooSlow(DatabaseDown):
    """The statement was stopped at its limit of time: ask for less."""


class Reading:
    """One open transaction of one tenant."""

    def __init__(self, connection: AsyncConnection[DictRow], tenant: uuid.UUID) -> None:
        self._connection = connection
        self.tenant = tenant

    async def rows(self, query: LiteralString, values: Sequence[object] = ()) -> list[DictRow]:
        """Run a query and return its rows by column name."""
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchall()

    async def row(self, query: LiteralString, values: Sequence[object] = ()) -> DictRow | None:
        """Run a query and return its first row."""
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchone()


class ReadPool:
    """Readers of one database; `transaction` may be entered any number of times at once."""

    def __init__(self, database: Database, name: str, size: int = 8) -> None:
        self._database = database
        self._name = name
        self._pool = AsyncConnectionPool[AsyncConnection[DictRow]](
            database.app, open=False, min_size=min(4, size), max_size=size, timeout=_WAIT_S,
            max_waiting=_LONGEST_QUEUE,
            reconnect_timeout=_RETRY_S[1], name=name, configure=_prepare,
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "autocommit": True, "application_name": name, "connect_timeout": CONNECT_TIMEOUT_S,
                "row_factory": dict_row,
            },
        )  # fmt: skip

    @property
    def in_use(self) -> int:
        """Connections that are reading now."""
        stats = self._pool.get_stats()
        return int(stats.get("pool_size", 0)) - int(stats.get("pool_available", 0))

    async def open(self) -> None:
        """Begin to connect; a database that is down now is waited for by whoever reads."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, tenant: uuid.UUID) -> AsyncIterator[Reading]:
        """Open a read-only transaction that sees one tenant as of one moment.

        Raises
        ------
        DatabaseDown
            When the server does not answer, or goes away while it is read.
        TooSlow
            When a statement takes longer than it may.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute("SELECT set_config('parley.tenant_id', %s, true)", (str(tenant),))
                yield Reading(connection, tenant)
        except psycopg.errors.QueryCanceled as error:
            raise TooSlow(f"the database needed more than {_STATEMENT_S} s for one query") from error
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise DatabaseDown(f"no connection to the database: {type(error).__name__}") from error
        except psycopg.OperationalError as error:
            raise DatabaseDown(f"the database went away: {type(error).__name__}") from error

    async def why_unfit(self) -> str:
        """Say why the database cannot be used now; empty when it can."""
        try:
            async with self.transaction(uuid.UUID(int=0)) as reading:
                found = await reading.rows("SELECT version_num FROM parley.alembic_version")
                standby = await reading.row("SELECT pg_is_in_recovery() AS is_standby")
        except DatabaseDown as error:
            return str(error)
        except psycopg.Error as error:
            return f"the database holds no tables of Parley: {type(error).__name__}"
        revisions = [row["version_num"] for row in found]
        if revisions != [REVISION]:
            return f"the database must be at revision {REVISION!r}, was at {revisions!r}"
        return "the database takes no writes" if standby and standby["is_standby"] else ""

    async def notices(self, channel: LiteralString, every_s: float) -> AsyncIterator[str]:
        """Yield what is notified on a channel, and an empty text every so often, for ever.

        A notice is a reason to look, no more: while the connection is down, only the empty texts come.
        """
        wait_s = _RETRY_S[0]
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._database.app, autocommit=True, application_name=f"{self._name} notices",
                    connect_timeout=CONNECT_TIMEOUT_S,
                ) as connection:  # fmt: skip
                    await connection.execute("LISTEN " + channel)
                    wait_s = _RETRY_S[0]
                    yield ""  # something may have been missed before
                    while True:
                        async with contextlib.aclosing(
                            connection.notifies(timeout=every_s, stop_after=1)
                        ) as told:
                            words = [each.payload async for each in told]
                        yield words[-1] if words else ""
            except psycopg.OperationalError as error:
                log.warning("no notices from the database: %s", type(error).__name__)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _RETRY_S[1])
            yield ""


async def _prepare(connection: AsyncConnection[Any]) -> None:
    cursor = await connection.execute(_ROLE)
    row = await cursor.fetchone()
    if row is None or row["who"] != APP_ROLE or row["special"]:
        raise psycopg.OperationalError(f"the database's role must be {APP_ROLE!r} without special rights")
    await connection.execute("SET default_transaction_read_only = on")
    # Few statements, of fixed shape, asked often: planning a round anew costs more than reading it.
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"SET statement_timeout = '{_STATEMENT_S}s'")  # type: ignore[arg-type]
    await connection.execute("SET idle_in_transaction_session_timeout = '30s'")
    await connection.set_read_only(True)
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
