"""One transaction per batch: all its rows and the cursor, or nothing.

Problem: a shipper may be killed at any instruction, the database too, and two shippers may run by mistake.
The cursor's row is locked first and has to be where this shipper read from; every key of the record is a pure
function of the journal, so that even a wrong cursor could not double a row, it would fail.

Not here: what the rows are (`project`, `orders`); when to try again (`ship`).

Invariant: after a commit the tables hold exactly the records up to the cursor.
"""

from collections.abc import Iterable, Sequence
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import set_json_dumps

from runtime.postgres.database import as_tenant
from runtime.shipper.follow import Place, Stream
from runtime.shipper.orders import OrderFold, wanted
from runtime.shipper.project import AgentRow, Batch, Row, account_row, config_json, position_rows
from runtime.shipper.statements import (
    ACCOUNT,
    AGENT,
    CHANNEL,
    CONFLICTS,
    CURSOR,
    KEY,
    PLACE,
    POSITION,
    RUN,
    TYPES,
)
from runtime.shipper.values import clean, moment


class CursorMoved(Exception):
    """Somebody else shipped this stream meanwhile: read the cursor again."""


def prepare(connection: psycopg.Connection) -> None:
    """Set up a connection for shipping: limits of time, JSON as text."""
    set_json_dumps(str, connection)
    connection.execute("SET statement_timeout = '60s'")
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    connection.execute("SET lock_timeout = '10s'")
    for table in TYPES:
        query = sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DELETE ROWS")
        connection.execute(query.format(sql.Identifier("new_" + table), sql.Identifier("parley", table)))


def place_of(connection: psycopg.Connection, stream: Stream) -> Place | None:
    """Return where the stream's cursor stands, None when nothing of it was ever shipped."""
    with connection.transaction():
        as_tenant(connection, stream.tenant)
        row = connection.execute(PLACE, (stream.tenant, stream.run_id, stream.name)).fetchone()
    return None if row is None else Place(row[0], row[1], row[2], bytes(row[3]), *row[4:])


def knows_run(connection: psycopg.Connection, stream: Stream) -> bool:
    """Tell whether anything of the stream's run was ever shipped."""
    query: LiteralString = "SELECT 1 FROM parley.runs WHERE " + KEY
    with connection.transaction():
        as_tenant(connection, stream.tenant)
        return connection.execute(query, (stream.tenant, stream.run_id)).fetchone() is not None


def register(
    connection: psycopg.Connection, stream: Stream, path: str, place: Place, agents: Sequence[tuple[str, str]]
) -> None:
    """Make tenant, run, agents (name, factory) and cursor known before the first record; idempotent."""
    key = (stream.tenant, stream.run_id)
    with connection.transaction():
        as_tenant(connection, stream.tenant)
        connection.execute(
            "INSERT INTO parley.tenants (tenant_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (stream.tenant, clean(stream.tenant_name)),
        )
        run = (*key, stream.desk, stream.account, config_json(stream.config), moment(place.t_commit))
        connection.execute(RUN, run)
        for name, factory in agents:
            connection.execute(AGENT, _agent_values(stream, clean(name), factory, AgentRow()))
        if connection.execute(PLACE + " FOR UPDATE", (*key, stream.name)).fetchone() is None:
            connection.execute(CURSOR, (*key, stream.name, path, *_cursor_values(place)))


def turn_over(
    connection: psycopg.Connection, stream: Stream, shipped: Place, start: Place, path: str
) -> None:
    """Move the cursor from the end of a rotated file to the start of the one that continues it.

    Raises
    ------
    CursorMoved
        When it is not where `shipped` says.
    """
    key = (stream.tenant, stream.run_id, stream.name)
    with connection.transaction():
        as_tenant(connection, stream.tenant)
        found = connection.execute(PLACE + " FOR UPDATE", key).fetchone()
        if found is None or (found[2], bytes(found[3])) != (shipped.seq, shipped.head):
            raise CursorMoved
        connection.execute(CURSOR, (*key, path, *_cursor_values(start)))


def write(connection: psycopg.Connection, batch: Batch, start: Place, path: str) -> Place:
    """Write a batch behind `start` and return where the cursor stands then.

    Raises
    ------
    CursorMoved
        When the cursor is not at `start`.
    Refused
        When messages contradict each other.
    psycopg.Error
        When the database refuses, or went away: then it may have been committed or not.
    """
    stream, end = batch.stream, batch.end
    key = (stream.tenant, stream.run_id)
    with connection.transaction():
        as_tenant(connection, stream.tenant)
        found = connection.execute(PLACE + " FOR UPDATE", (*key, stream.name)).fetchone()
        if found is None or (found[2], bytes(found[3])) != (start.seq, start.head):
            raise CursorMoved
        _months(connection, batch)
        _add(connection, "journal", batch.journal)
        _add(connection, "journal_groups", batch.groups)
        t_market = end.t_market
        if stream.name == "desk":
            t_market = _project(connection, batch, end.t_market)
        end = Place(end.file_first_seq, end.gid, end.seq, end.head, end.t_commit, t_market, end.bytes)
        connection.execute(CURSOR, (*key, stream.name, path, *_cursor_values(end)))
        told = f"{stream.tenant} {stream.run_id} {stream.name} {end.seq}"
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, told))
    return end


def _cursor_values(place: Place) -> Row:
    return (
        place.file_first_seq, place.gid, place.seq, place.head, place.t_commit, place.t_market, place.bytes,
    )  # fmt: skip


def _months(connection: psycopg.Connection, batch: Batch) -> None:
    months = {(at.year, at.month): at for at in (row[4] for row in batch.journal)}
    for at in months.values():
        connection.execute("SELECT parley.ensure_journal_month(%s)", (at,))


def _add(connection: psycopg.Connection, table: LiteralString, rows: Iterable[Row]) -> None:
    # PostgreSQL takes no COPY into a table with row-level security from a role that is bound by it, so the
    # rows go into a table of the session and from there, judged one by one, into the real one.
    rows = list(rows)
    if not rows:
        return
    with connection.cursor() as cursor:
        with cursor.copy("COPY new_" + table + " FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(TYPES[table].split())
            for row in rows:
                copy.write_row(row)
        conflict: LiteralString = CONFLICTS.get(table, "")
        cursor.execute("INSERT INTO parley." + table + " SELECT * FROM new_" + table + " " + conflict)


def _project(connection: psycopg.Connection, batch: Batch, t_market: int) -> int:
    stream = batch.stream
    key = (stream.tenant, stream.run_id)
    _add(connection, "decisions", batch.decisions)
    _add(connection, "equity", batch.equity)
    _add(connection, "fills", batch.fills)
    iids, pids = wanted(batch.order_messages)
    images: dict[bytes, tuple[int, bytes]] = {}
    agents: dict[bytes, str] = {}
    if iids:
        query: LiteralString = "SELECT iid, seq, image FROM parley.orders WHERE " + KEY + " AND iid = ANY(%s)"
        for iid, seq, image in connection.execute(query, (*key, iids)):
            images[bytes(iid)] = (seq, bytes(image))
    if pids:
        query = (
            "SELECT pid, agent FROM parley.decisions WHERE "
            + KEY
            + " AND pid = ANY(%s) AND action = 'accept'"
            " ORDER BY seq"
        )
        agents = {bytes(pid): agent for pid, agent in connection.execute(query, (*key, pids))}
    fold = OrderFold(images, agents, t_market)
    fold.take(batch.order_messages)
    _add(connection, "orders", fold.rows(stream))
    _add(
        connection, "rounds",
        ((*key, round_, r.opened_seq, r.t, r.symbol, r.trigger, r.asked, r.outcome, r.agent, r.proposals,
          *r.reason, r.decided_seq) for round_, r in batch.rounds.items()),
    )  # fmt: skip
    with connection.cursor() as cursor:
        for account, (seq, state) in batch.accounts.items():
            cursor.execute(ACCOUNT, account_row(stream, account, seq, state))
            cursor.execute("DELETE FROM parley.positions WHERE " + KEY + " AND account = %s", (*key, account))
            if state.positions:
                cursor.executemany(POSITION, position_rows(stream, account, seq, state))
        if batch.agents:
            cursor.executemany(
                AGENT,
                [_agent_values(stream, name, "", row) for name, row in sorted(batch.agents.items())],
            )
    return fold.t


def _agent_values(stream: Stream, name: str, factory: str, row: AgentRow) -> dict[str, object]:
    values = {field: getattr(row, field) for field in AgentRow.__struct_fields__}
    role = name.partition("/")[0]
    return {
        "tenant": stream.tenant,
        "run": stream.run_id,
        "agent": name,
        "role": role,
        "factory": factory,
        **values,
    }
