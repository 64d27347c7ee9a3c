"""A run that was given up leaves the database without a trace, and no other run is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.errors import UserError
from runtime.postgres import Database, EmbeddedServer, tenant_id
from runtime.postgres.database import reach
from runtime.postgres.erase import erase_run
from runtime.postgres.migrate import migrate
from runtime.settings import DatabaseSettings
from runtime.store_keeper import StoreKeeper, StorePlaces
from tests.kit import small_journal as small
from tests.kit.database import TABLES, discard, everything, fresh_database, new_server
from tests.kit.journal_load import begin, write_cycle
from tests.kit.shipping import ShipperProcess, last_seq


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    made = new_server()
    yield made
    discard(made)


def ship(folder: Path, database: Database, *journals: Path) -> None:
    shipper = ShipperProcess(folder, database, *journals).start()
    shipper.wait_shipped(*journals)
    assert shipper.stop() == 0


def loaded_journal(path: Path) -> Path:
    notes = begin(path, "gone")
    write_cycle(notes, 0)
    notes.writer.close()
    return path


def test_erased_run_is_in_no_table_and_others_are_as_they_were(tmp_path: Path) -> None:
    database = fresh_database()
    kept = small.write_journal(tmp_path / "kept.journal")
    ship(tmp_path, database, kept)
    before = everything(database)
    gone = loaded_journal(tmp_path / "gone.journal")
    ship(tmp_path, database, gone)
    filled = {table for table, rows in everything(database).items() if any("gone" in row for row in rows)}
    assert filled == set(TABLES) - {"tenants", "positions"}  # or the test proves less than it says

    assert erase_run(database, tenant_id("somebody else"), "gone") == 0
    assert erase_run(database, tenant_id("local"), "gone") > 100

    assert everything(database) == before


def test_owner_that_is_no_superuser_erases(server: EmbeddedServer, tmp_path: Path) -> None:
    server.start()
    with reach(server.conninfo("postgres", "postgres"), "tests") as connection:
        connection.execute("CREATE ROLE hired LOGIN CREATEROLE")
        connection.execute("CREATE DATABASE lent OWNER hired")
    url = f"host={server.sockets} user=hired dbname=lent"
    external = Database.external(url)
    migrate(external)
    path = small.write_journal(tmp_path / "desk.journal")
    shipper = ShipperProcess(tmp_path, external, path, database="").start(DATABASE_URL=url)
    shipper.wait_shipped(path)
    assert shipper.stop() == 0

    assert erase_run(external, tenant_id("local"), "small") > 10


def test_login_that_may_not_erase_is_one_line(server: EmbeddedServer) -> None:
    server.start()
    with reach(server.conninfo("postgres", "postgres"), "tests") as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
        connection.execute("CREATE ROLE parley_migrate NOLOGIN")
        connection.execute("CREATE DATABASE lent")
    external = Database.external(f"host={server.sockets} user=stranger dbname=lent")

    with pytest.raises(UserError, match=r"^run 'r' could not be taken out.*: permission denied") as error:
        erase_run(external, tenant_id("local"), "r")
    assert "\n" not in str(error.value)


def test_start_that_is_given_up_leaves_no_run_behind(tmp_path: Path, server: EmbeddedServer) -> None:
    home = tmp_path / "home"
    run = home / "runs" / "given-up"
    (run / "config").mkdir(parents=True)
    (run / "logs").mkdir()
    journal = run / "desk.journal"
    places = StorePlaces(
        run / "config" / "shipper.json", run / "shipper.status", run / "logs", (journal,), run.parent
    )
    said: list[str] = []
    keeper = StoreKeeper(DatabaseSettings(folder=server.folder), home, places, said.append)
    keeper.open()
    try:
        loaded_journal(journal)
        assert keeper.drain(30.0) == ""
        deadline = time.monotonic() + 30
        while (keeper.told("")["records_shipped"] or 0) < last_seq(journal):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        keeper.abandon("local", "gone")
    finally:
        assert keeper.close() == []

    assert said == []
    server.start()
    found = everything(Database.embedded(server))
    assert {table: rows for table, rows in found.items() if rows and table != "tenants"} == {}
