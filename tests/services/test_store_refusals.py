"""What a server may say against us is one line and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.errors import UserError
from runtime.marketstore.database import writing
from runtime.postgres import Database, EmbeddedServer
from runtime.postgres.database import reach
from runtime.postgres.migrate import migrate, prepare
from tests.kit import small_journal as small
from tests.kit.database import discard, fresh_database, new_server
from tests.kit.shipping import ShipperProcess, differences
from tests.services.test_store_backup import parley, said


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    made = new_server()
    made.start(ends_with_us=True)
    with reach(made.conninfo("postgres", "postgres"), "tests") as connection:
        connection.execute("CREATE ROLE hired LOGIN CREATEROLE")
        connection.execute("CREATE ROLE stranger LOGIN")
    yield made
    discard(made)


@pytest.fixture
def lent(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give an empty database of somebody else's server, whose login may only make roles."""
    with reach(server.conninfo("postgres", "postgres"), "tests") as connection:
        connection.execute("DROP DATABASE IF EXISTS lent")
        connection.execute("CREATE DATABASE lent OWNER hired")
    url = f"host={server.sockets} user=hired dbname=lent"
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", url)
    return Database.external(url)


def as_superuser(server: EmbeddedServer, *statements: str) -> None:
    with reach(server.conninfo("postgres", "lent"), "tests") as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


READ_ONLY = "ALTER DATABASE lent SET default_transaction_read_only = on"


@pytest.mark.parametrize("is_migrated", [False, True])
def test_read_only_server(
    server: EmbeddedServer, lent: Database, tmp_path: Path, *, is_migrated: bool
) -> None:
    if is_migrated:
        migrate(lent)
    as_superuser(server, READ_ONLY)

    text = "must take writes, it is read-only"
    for command in (("migrate",), ("backup", tmp_path / "backup"), ("rebuild",)):
        assert text in said(parley(*command))
    with pytest.raises(UserError, match=text):
        prepare(lent, None)  # what a run does first
    if is_migrated:
        with pytest.raises(UserError, match=text), writing(lent) as connection:
            connection.execute("INSERT INTO parley.funding_rates VALUES ('x', 'y', now(), 1)")


@pytest.mark.parametrize("table", ["runs", "candles", "alembic_version"])
def test_foreign_table_named_like_ours(server: EmbeddedServer, lent: Database, table: str) -> None:
    as_superuser(server, "CREATE SCHEMA parley", f"CREATE TABLE parley.{table} (theirs int)")

    words = said(parley("migrate"))

    assert "the database could not be migrated: " in words or "may not make the schema" in words
    as_superuser(server, "ALTER SCHEMA parley OWNER TO parley_migrate")
    assert "the database could not be migrated: " in said(parley("migrate"))


def test_login_that_may_do_nothing(
    server: EmbeddedServer, lent: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(lent)
    monkeypatch.setenv("DATABASE_URL", f"host={server.sockets} user=stranger dbname=lent")

    assert "'GRANT parley_migrate TO stranger'" in said(parley("migrate"))
    stranger = Database.external(f"host={server.sockets} user=stranger dbname=lent")
    with pytest.raises(UserError, match="does not take market data: permission denied"), writing(stranger):
        pass


def test_market_data_into_a_database_without_tables(lent: Database) -> None:
    with pytest.raises(UserError, match="does not take market data"), writing(lent) as connection:
        connection.execute("SELECT 1 FROM parley.candles")


def test_shipper_waits_for_a_server_that_is_read_only_for_a_while(tmp_path: Path) -> None:
    database = fresh_database()
    path = small.write_journal(tmp_path / "desk.journal")
    name = ShipperProcess(tmp_path, database, path)
    with reach(database.admin, "tests") as connection:
        connection.execute("ALTER ROLE parley_app SET default_transaction_read_only = on")
        try:
            name.start()
            told = name.wait_until(lambda status: status.database == "down")
            assert "read-only transaction" in told.error
        finally:
            connection.execute("ALTER ROLE parley_app RESET default_transaction_read_only")

    name.wait_shipped(path)
    assert name.stop() == 0
    assert "Traceback" not in name.log.read_text()
    assert differences(database, path) == []
