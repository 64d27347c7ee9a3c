"""Lists of a run are read through an index, whatever they are filtered by: asked of the planner, at size.

The statements are the API's own, planned as its connections plan them: once, for any values.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from api.queries.listing import Condition, Listing, Slice, page
from api.queries.tables import EQUITY, FILLS, ORDERS, ROUNDS
from runtime.postgres import Database, connect, tenant_id
from runtime.postgres.database import as_tenant
from runtime.postgres.reading import Reading
from tests.kit.database import fresh_database

TENANT = tenant_id("local")
ROWS = 60_000  # a run of some days
# Twenty other runs beside it; states, agents and symbols as unevenly spread as they are.
FILL = """
    INSERT INTO parley.tenants VALUES ('{tenant}', 'local');
    INSERT INTO parley.runs SELECT '{tenant}', 'run-' || n, '1', 'main', NULL, now()
        FROM generate_series(0, 20) n;
    CREATE TEMP TABLE n AS SELECT i, 'run-' || CASE WHEN i < {rows} THEN 0 ELSE 1 + i % 20 END AS run,
        decode(md5(i::text), 'hex') AS id, 'P' || i % 7 || '/USDT' AS symbol, 'strategy/' || i % 10 AS agent
        FROM generate_series(0, 2 * {rows}) i;
    INSERT INTO parley.rounds SELECT '{tenant}', run, id, i, i, symbol, 'bar', '[]',
        CASE WHEN i % 50 = 0 THEN 'accept' ELSE 'hold' END, CASE WHEN i % 50 = 0 THEN agent ELSE '' END,
        1, '', '', '', i + 1 FROM n;
    INSERT INTO parley.orders SELECT '{tenant}', run, id, i::text, i, i, id, id, agent, 0, 0, 'main', 'x',
        symbol,
        'buy', 'limit', 'gtc', false, 1, 1, 1, CASE WHEN i % 1000 = 0 THEN 'open' ELSE 'filled' END, 1, 1,
        '{{}}', '', '', i, '' FROM n;
    INSERT INTO parley.fills SELECT '{tenant}', run, 'x', 'main', symbol, i::text, i, id, '', 'buy', 1, 1, 0,
        'USDT', 'taker', i FROM n;
    INSERT INTO parley.equity SELECT '{tenant}', run, 'a-' || i % 3, i, i, 1, 1, 1, 0, 0, 'ACTIVE' FROM n;
    ANALYZE
"""


class Explained:
    """Takes the place of a `Reading`: plans a statement, runs nothing, keeps the plan."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.tenant = TENANT
        self.plan: dict[str, Any] = {}
        self._connection = connection

    async def rows(self, query: str, values: Sequence[object]) -> list[dict[str, Any]]:
        numbers = itertools.count(1)
        text = re.sub("%s", lambda _: f"${next(numbers)}", query)
        with self._connection.transaction():
            as_tenant(self._connection, TENANT)
            self._connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            self._connection.execute(cast("Any", f"PREPARE list AS {text}"))
            given = sql.SQL(", ").join([sql.Literal(value) for value in values])
            asked = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE list({})").format(given)
            found = self._connection.execute(asked).fetchone()
            self._connection.execute("DEALLOCATE list")
        assert found is not None
        self.plan = found[0][0]["Plan"]
        return []


@pytest.fixture(scope="module")
def database() -> Database:
    made = fresh_database()
    with psycopg.connect(made.admin, autocommit=True) as connection:
        for statement in FILL.format(tenant=TENANT, rows=ROWS).split(";\n"):
            connection.execute(cast("Any", statement))
    return made


@pytest.fixture
def app(database: Database) -> Iterator[psycopg.Connection]:
    with connect(database, "tests") as connection:
        yield connection


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for each in plan.get("Plans", []) for node in nodes(each))]


CASES: list[tuple[str, Listing, list[Condition], str]] = [
    ("rounds", ROUNDS, [], "rounds_by_seq"),
    ("rounds by symbol", ROUNDS, [("symbol = %s", "P3/USDT")], "rounds_by_symbol"),
    ("rounds by outcome", ROUNDS, [("outcome = %s", "accept")], "rounds_by_outcome"),
    ("rounds by agent", ROUNDS, [("agent = %s", "strategy/0")], "rounds_by_agent"),
    ("orders", ORDERS, [], "orders_by_seq"),
    ("orders by state", ORDERS, [("state = %s", "open")], "orders_by_state"),
    ("orders by agent", ORDERS, [("agent = %s", "strategy/7")], "orders_by_agent"),
    ("orders by symbol", ORDERS, [("symbol = %s", "P3/USDT")], "orders_by_symbol"),
    ("fills by symbol", FILLS, [("symbol = %s", "P3/USDT")], "fills_by_symbol"),
    ("equity", EQUITY, [], "equity_by_seq"),
    ("equity of an account", EQUITY, [("account = %s", "a-1")], "equity_pkey"),
]


@pytest.mark.parametrize("is_first", [True, False], ids=["first page", "later page"])
@pytest.mark.parametrize(("name", "listing", "conditions", "index"), CASES, ids=[case[0] for case in CASES])
def test_list_is_read_through_its_index(
    app: psycopg.Connection, name: str, listing: Listing, conditions: list[Condition], index: str, *,
    is_first: bool,
) -> None:  # fmt: skip
    place = () if is_first else (ROWS // 2, "a-1")[: len(listing.key)]
    reading = Explained(app)

    asyncio.run(page(cast("Reading", reading), listing, Slice("run-0", conditions, place, True, 50)))

    plan = nodes(reading.plan)
    assert [node["Index Name"] for node in plan if "Index Name" in node] == [index]
    assert not [node for node in plan if node["Node Type"] in ("Sort", "Seq Scan", "Bitmap Heap Scan")]
    # What is filtered is in the index: nothing is read to be thrown away.
    scanned = next(node for node in plan if "Index Name" in node)
    columns = [condition.partition(" ")[0] for condition, _ in conditions]
    assert all(f"({column} = $" in scanned["Index Cond"] for column in columns), scanned
