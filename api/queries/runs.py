"""Which runs there are, and how far the read model is with one."""

from typing import Final, LiteralString, NamedTuple

from runtime.postgres.reading import Reading, Row

_RUN: Final[LiteralString] = """
    SELECT r.run_id, r.desk, r.account, r.started_at, coalesce(c.seq, 0) AS seq
    FROM parley.runs r
    LEFT JOIN parley.cursors c
        ON c.tenant_id = r.tenant_id AND c.run_id = r.run_id AND c.stream = 'desk'
    WHERE r.tenant_id = %s AND (%s::text IS NULL OR r.run_id = %s)
    ORDER BY r.started_at DESC, r.run_id DESC LIMIT %s
"""
_CURSORS: Final[LiteralString] = """
    SELECT stream, seq, t_market, updated_at FROM parley.cursors
    WHERE tenant_id = %s AND run_id = %s ORDER BY stream
"""
_ACCOUNTS: Final[LiteralString] = """
    SELECT account, t, quote, trading, equity, cash, blocked FROM parley.accounts
    WHERE tenant_id = %s AND run_id = %s ORDER BY account
"""


class Run(NamedTuple):
    """A run and the place up to which its journal is in the read model."""

    id: str
    seq: int


async def find_run(reading: Reading, named: str | None) -> Run | None:
    """Return the run of a name, the newest without one; None when there is none."""
    row = await reading.row(_RUN, (reading.tenant, named, named, 1))
    return None if row is None else Run(row["run_id"], row["seq"])


async def newest_runs(reading: Reading, limit: int) -> list[Row]:
    """Return the newest runs, the newest first."""
    return await reading.rows(_RUN, (reading.tenant, None, None, limit))


async def cursors(reading: Reading, run: str) -> list[Row]:
    """Return how far the read model is with each journal of a run."""
    return await reading.rows(_CURSORS, (reading.tenant, run))


async def accounts(reading: Reading, run: str) -> list[Row]:
    """Return the newest state of a run's accounts."""
    return await reading.rows(_ACCOUNTS, (reading.tenant, run))
