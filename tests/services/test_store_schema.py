"""The schema: one head, the same as the tables in code, and no way around the tenant.

Every rule is read from the database's own catalogue, so that a table added later without it is found.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from parley.errors import UserError
from runtime.postgres import REVISION, Database, connect, tenant_id
from runtime.postgres.database import as_tenant, reach
from runtime.postgres.migrate import configuration, make_database, migrate
from runtime.shipper.statements import TYPES
from runtime.tables import METADATA
from tests.kit.database import database_name, discard, fresh_database, new_server, server

# Tables that are no tenant's.
SHARED = {"alembic_version", "candles", "market_trades", "funding_rates"}
ONE, TWO = tenant_id("one"), tenant_id("two")


@pytest.fixture
def database() -> Database:
    return fresh_database()


@pytest.fixture
def app(database: Database) -> Iterator[psycopg.Connection]:
    with connect(database, "test") as connection:
        yield connection


def add_run(app: psycopg.Connection, tenant: uuid.UUID, name: str) -> None:
    with app.transaction():
        as_tenant(app, tenant)
        app.execute("INSERT INTO parley.tenants VALUES (%s, %s)", (tenant, name))
        app.execute("INSERT INTO parley.runs VALUES (%s, 'r', '1', 'main', NULL, '2026-01-01Z')", (tenant,))


def run_as(app: psycopg.Connection, tenant: uuid.UUID, statement: str, values: tuple) -> None:
    with app.transaction():
        as_tenant(app, tenant)
        app.execute(statement, values)  # type: ignore[arg-type]


def catalogue(database: Database, query: str) -> list[tuple]:
    with psycopg.connect(database.admin) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def tenant_tables(database: Database) -> set[str]:
    query = (
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'parley' AND relkind IN ('r', 'p')"
    )
    return {name for (name,) in catalogue(database, query)} - SHARED


# ---------------------------------------------------------------- revisions


def test_there_is_one_head_and_the_code_knows_it() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [REVISION]


def test_tables_in_code_are_those_of_the_migrations(database: Database) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database.admin),
        poolclass=sqlalchemy.NullPool,
    )

    def is_ours(thing: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
        return kind != "table" or not (name or "").startswith(("journal_y", "alembic"))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_schemas": True, "include_object": is_ours, "compare_type": True},
        )
        context.opts["include_name"] = lambda name, kind, _: kind != "schema" or name == "parley"
        found = compare_metadata(context, METADATA)
    assert found == []


def test_comparison_finds_a_column_that_is_missing(database: Database) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute("ALTER TABLE parley.fills DROP COLUMN liquidity")

    with pytest.raises(AssertionError, match="liquidity"):
        test_tables_in_code_are_those_of_the_migrations(database)


def test_copied_columns_are_those_of_the_tables(database: Database) -> None:
    for table, types in TYPES.items():
        query = (
            "SELECT typname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid"
            f" WHERE attrelid = 'parley.{table}'::regclass AND attnum > 0 ORDER BY attnum"
        )
        assert [name for (name,) in catalogue(database, query)] == types.split(), table


def test_up_down_up_leaves_the_same_schema() -> None:
    database = make_database(server(), "parley_up_down")
    migrate(database)
    first = shape(database)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database.admin), poolclass=sqlalchemy.NullPool,
    )  # fmt: skip
    with engine.connect() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert tenant_tables(database) == set()

    migrate(database)

    assert shape(database) == first
    assert len(first) > 100


def shape(database: Database) -> list[tuple]:
    query = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'parley' UNION ALL"
        " SELECT tablename, policyname, qual, with_check FROM pg_policies UNION ALL"
        " SELECT table_name, grantee, privilege_type, '' FROM information_schema.table_privileges"
        " WHERE table_schema = 'parley' UNION ALL"
        " SELECT tablename, indexname, indexdef, '' FROM pg_indexes WHERE schemaname = 'parley'"
    )
    return sorted(catalogue(database, query))


def test_two_that_migrate_at_once_both_succeed() -> None:
    database = make_database(server(), "parley_twice")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate, [database, database]))

    with connect(database, "test"):
        pass


def test_database_without_tables_is_refused_in_one_line() -> None:
    database = make_database(server(), "parley_empty")

    with pytest.raises(UserError, match="run 'parley migrate'"):
        connect(database, "test")


def test_database_of_another_revision_is_refused(database: Database) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute("UPDATE parley.alembic_version SET version_num = '9999'")

    with pytest.raises(UserError, match="'9999'"):
        connect(database, "test")


def test_superuser_is_refused_as_application(database: Database) -> None:
    with pytest.raises(UserError, match="parley_app"):
        connect(Database(database.admin, database.admin, True), "test")


def test_external_login_takes_the_application_role(database: Database) -> None:
    # What DATABASE_URL gives: one login, here one that may do anything, bound as soon as it connects.
    external = Database.external(f"host={server().sockets} user=postgres dbname={database_name(database)}")

    with connect(external, "test") as connection:
        row = connection.execute("SELECT current_user::text, session_user::text").fetchone()

    assert row == ("parley_app", "postgres")


def test_login_that_may_only_make_roles_is_enough_to_migrate() -> None:
    own = new_server()
    own.start(ends_with_us=True)
    try:
        with reach(own.conninfo("postgres", "postgres"), "tests") as connection:
            connection.execute("CREATE ROLE hired LOGIN CREATEROLE")
            connection.execute("CREATE DATABASE lent OWNER hired")
        external = Database.external(f"host={own.sockets} user=hired dbname=lent")

        migrate(external)

        with connect(external, "test") as connection:
            row = connection.execute("SELECT current_user::text, session_user::text").fetchone()
        assert row == ("parley_app", "hired")
    finally:
        discard(own)


# ---------------------------------------------------------------- tenants


def test_roles_have_no_special_rights(database: Database) -> None:
    query = (
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles"
        " WHERE rolname LIKE 'parley%' ORDER BY rolname"
    )
    nothing = (False, False, False, False)

    assert catalogue(database, query) == [("parley_app", *nothing), ("parley_migrate", *nothing)]


def test_every_table_forces_row_level_security_by_tenant(database: Database, app: psycopg.Connection) -> None:
    app.execute("SELECT parley.ensure_journal_month(now())")
    secured = {
        name
        for (name,) in catalogue(
            database, "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
        )
    }
    policies = {
        name
        for name, using, check in catalogue(database, "SELECT tablename, qual, with_check FROM pg_policies")
        if using == check and "parley.tenant_id" in using
    }
    tables = tenant_tables(database)
    partitions = {name for name in tables if name.startswith("journal_y")}

    assert len(tables) >= 13
    assert tables - secured == set()
    assert tables - partitions - policies == set()
    assert partitions != set()


def test_every_key_begins_with_the_tenant(database: Database) -> None:
    query = (
        "SELECT conrelid::regclass::text, conname, contype, (SELECT attname FROM pg_attribute"
        " WHERE attrelid = conrelid AND attnum = conkey[1])"
        " FROM pg_constraint JOIN pg_namespace n ON n.oid = connamespace"
        " WHERE nspname = 'parley' AND contype IN ('p', 'u', 'f')"
    )
    keys = [row for row in catalogue(database, query) if row[0].removeprefix("parley.") not in SHARED]

    assert len(keys) > 20
    assert [row for row in keys if row[3] != "tenant_id" and row[1] != "tenants_name_key"] == []


def test_application_owns_nothing_and_cannot_change_the_record(
    database: Database, app: psycopg.Connection
) -> None:
    query = "SELECT relname FROM pg_class WHERE relowner = 'parley_app'::regrole"
    assert catalogue(database, query) == []
    for table in ("journal", "journal_groups", "decisions", "fills", "equity"):
        for statement in (f"UPDATE parley.{table} SET run_id = ''", f"DELETE FROM parley.{table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)  # type: ignore[arg-type]
    for statement in (
        "TRUNCATE parley.rounds",
        "DROP TABLE parley.rounds",
        "CREATE TABLE parley.mine (a int)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)  # type: ignore[arg-type]


def test_tenant_sees_its_own_rows_only(app: psycopg.Connection) -> None:
    add_run(app, ONE, "one")
    add_run(app, TWO, "two")

    with app.transaction():
        as_tenant(app, ONE)
        assert app.execute("SELECT tenant_id FROM parley.runs").fetchall() == [(ONE,)]
        assert app.execute("SELECT name FROM parley.tenants").fetchall() == [("one",)]
        changed = app.execute("UPDATE parley.runs SET account = 'x' WHERE tenant_id = %s", (TWO,))
        assert changed.rowcount == 0


def test_without_a_tenant_there_are_no_rows(app: psycopg.Connection) -> None:
    add_run(app, ONE, "one")

    # After a transaction that named one the setting is an empty text, not NULL.
    assert app.execute("SELECT current_setting('parley.tenant_id', true)").fetchone() == ("",)
    assert app.execute("SELECT * FROM parley.runs").fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("INSERT INTO parley.runs VALUES (%s, 'x', '1', 'main', NULL, now())", (ONE,))


def test_row_cannot_be_added_for_or_moved_to_another_tenant(app: psycopg.Connection) -> None:
    add_run(app, ONE, "one")
    add_run(app, TWO, "two")

    for statement in (
        "INSERT INTO parley.runs VALUES (%s, 'x', '1', 'main', NULL, now())",
        "UPDATE parley.runs SET tenant_id = %s",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run_as(app, ONE, statement, (TWO,))


def test_child_cannot_point_at_another_tenants_parent(app: psycopg.Connection) -> None:
    # Foreign keys are checked past row-level security: only the composite key stops this.
    add_run(app, TWO, "two")
    with app.transaction():
        as_tenant(app, ONE)
        app.execute("INSERT INTO parley.tenants VALUES (%s, 'one')", (ONE,))

    child = "INSERT INTO parley.positions VALUES (%s, 'r', 'main', 'ETH/USDT', 1, 1, 1, 1, 1, 1, 1)"
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        run_as(app, ONE, child, (ONE,))


def test_partition_is_made_once_and_grants_nothing(app: psycopg.Connection) -> None:
    made = "SELECT parley.ensure_journal_month('2026-03-31 23:59:59.999999Z')"

    assert app.execute(made).fetchone() == ("journal_y202603",)
    assert app.execute(made).fetchone() == ("journal_y202603",)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("SELECT * FROM parley.journal_y202603")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_months_join_without_gap_in_every_time_zone(database: Database, zone: str) -> None:
    with connect(database, "test") as app:
        app.execute(f"SET timezone = '{zone}'")  # type: ignore[arg-type]
        for month in ("2026-02-15Z", "2026-03-15Z", "2026-04-15Z"):
            app.execute("SELECT parley.ensure_journal_month(%s)", (month,))
        with app.transaction():
            as_tenant(app, ONE)
            for n, moment in enumerate(
                ("2026-02-28 23:59:59.999999Z", "2026-03-01Z", "2026-03-31 23:59:59Z")
            ):
                app.execute(
                    "INSERT INTO parley.journal VALUES (%s, 'r', 'desk', %s, %s, 1, 1, '', NULL, '')",
                    (ONE, n, moment),
                )
    found = catalogue(database, "SELECT tableoid::regclass::text FROM parley.journal ORDER BY seq")
    assert [name for (name,) in found] == [
        "parley.journal_y202602", "parley.journal_y202603", "parley.journal_y202603",
    ]  # fmt: skip


def test_month_that_no_journal_has_is_refused(app: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.DatetimeFieldOverflow):
        app.execute("SELECT parley.ensure_journal_month('1999-12-31Z')")


def test_superuser_sees_everything_so_the_tests_above_mean_something(database: Database) -> None:
    with connect(database, "test") as app:
        add_run(app, ONE, "one")
        add_run(app, TWO, "two")
    with reach(database.admin, "test") as admin:
        assert admin.execute("SELECT count(*) FROM parley.runs").fetchone() == (2,)
