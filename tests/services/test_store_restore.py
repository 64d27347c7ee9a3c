"""A restore is all or nothing, a backup is whole or refused, on any server and wherever it is killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
import pytest

from parley.errors import UserError
from runtime.journal import verify
from runtime.postgres import Database, EmbeddedServer, archive, restoring
from runtime.postgres.database import reach
from runtime.postgres.migrate import make_database, migrate, prepare
from tests.kit.database import discard, everything, new_server
from tests.kit.journal_load import begin, write_cycle
from tests.kit.shipping import ShipperProcess, differences
from tests.services.test_store_backup import done, parley, said

# Runs the command line with one function replaced by the death of the process.
KILLED = """
import os, signal, sys
import runtime.backup, runtime.postgres.restoring
owner, name = sys.argv[1].rsplit(":", 1)
setattr(sys.modules[owner], name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
sys.argv = ["parley", *sys.argv[2:]]
from runtime.cli import main
main()
"""
CANDLES = """
    CREATE SCHEMA elsewhere AUTHORIZATION parley_migrate;
    CREATE TABLE elsewhere.january PARTITION OF parley.candles
        FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
    INSERT INTO parley.candles SELECT 'binance', 'BTC/USDT', 'spot', '1h', t, 1, 2.5, 0.1, 'NaN', 1e-9
        FROM generate_series('2026-01-01Z'::timestamptz, '2026-01-31 23:00Z', '1 hour') t
"""


@dataclass
class Saved:
    """A home that was backed up, and what its database held."""

    home: Path
    folder: Path
    held: dict[str, list[tuple]]
    candles: list[tuple]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    made = new_server()
    made.start(ends_with_us=True)
    yield made
    discard(made)


@pytest.fixture(scope="module")
def saved(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Back up a home with a run in it, one whose journal lies outside, and candles in another schema."""
    place = tmp_path_factory.mktemp("saved")
    home = place / "home"
    inside, outside = home / "runs" / "one" / "desk.journal", place / "elsewhere" / "my.journal"
    for path, run in ((inside, "one"), (outside, "two")):
        path.parent.mkdir(parents=True)
        notes = begin(path, run)
        write_cycle(notes, 0)
        notes.writer.close()
    (home / "runs" / "two" / "config").mkdir(parents=True)
    (home / "runs" / "two" / "config" / "desk.json").write_bytes(
        msgspec.json.encode({"journal": str(outside)})
    )
    database = make_database(server, "source")
    migrate(database)
    with reach(database.admin, "tests") as connection:
        connection.execute(CANDLES)
    shipper = ShipperProcess(place, database, inside, outside, of=server).start()
    shipper.wait_shipped(inside, outside)
    assert shipper.stop() == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARLEY_HOME", str(home))
        patch.setenv("DATABASE_URL", url(server, "source"))
        done(parley("backup", place / "backup", "--json"))
    return Saved(home, place / "backup", everything(database), candles(database))


@pytest.fixture
def target(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give an empty database and a home that is not there yet."""
    with reach(server.conninfo("postgres", "postgres"), "tests") as connection:
        connection.execute("DROP DATABASE IF EXISTS target")
        connection.execute("CREATE DATABASE target")
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", url(server, "target"))
    return Database.embedded(server, "target")


def url(server: EmbeddedServer, name: str, user: str = "postgres") -> str:
    return f"host={server.sockets} user={user} dbname={name}"


def candles(database: Database) -> list[tuple]:
    with psycopg.connect(database.admin) as connection:
        return connection.execute("SELECT *, close::text FROM parley.candles ORDER BY t").fetchall()


def is_empty(database: Database) -> bool:
    with psycopg.connect(database.admin) as connection:
        return connection.execute("SELECT to_regnamespace('parley') IS NULL").fetchone() == (True,)


def is_restored(saved: Saved, database: Database, home: Path) -> None:
    assert everything(database) == saved.held
    assert len(candles(database)) == 31 * 24
    assert [row[-1] for row in candles(database)] == [row[-1] for row in saved.candles]
    copies = sorted(home.glob("runs/*/*.journal"))
    assert [str(path.relative_to(home)) for path in copies] == [
        "runs/one/desk.journal", "runs/two/desk.journal",
    ]  # fmt: skip
    assert all(verify(path).ok for path in copies)
    assert differences(database, *copies) == []
    assert [path.name for path in home.iterdir()] == ["runs"]


# ---------------------------------------------------------------- a backup is whole


def test_everything_comes_back_wherever_it_lay(saved: Saved, target: Database, tmp_path: Path) -> None:
    # The candles' rows are in a schema of their own, as with TimescaleDB, and one journal outside the home.
    result = parley("restore", saved.folder, "--json")

    assert done(result)["records"] == 88
    assert "compare its open orders and balances with the venue's" in result.stderr
    is_restored(saved, target, tmp_path / "home")
    with reach(target.admin, "tests") as connection:
        query = "SELECT count(*) FROM pg_class WHERE relname = 'journal' AND relforcerowsecurity"
        assert connection.execute(query).fetchone() == (1,)


def test_login_that_only_makes_roles_backs_up_and_restores(
    server: EmbeddedServer, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = new_server()
    try:
        own.start(ends_with_us=True)
        with reach(own.conninfo("postgres", "postgres"), "tests") as connection:
            connection.execute("CREATE ROLE hired LOGIN CREATEROLE")
            connection.execute("CREATE DATABASE first OWNER hired")
            connection.execute("CREATE DATABASE second OWNER hired")
        monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "one"))
        monkeypatch.setenv("DATABASE_URL", url(own, "first", "hired"))
        done(parley("restore", saved.folder, "--json"))

        done(parley("backup", tmp_path / "again", "--json"))
        monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "two"))
        monkeypatch.setenv("DATABASE_URL", url(own, "second", "hired"))
        done(parley("restore", tmp_path / "again", "--json"))

        is_restored(saved, Database.embedded(own, "second"), tmp_path / "two")
        # The same rows are the same files.
        for file in (saved.folder / "database").iterdir():
            if file.name != "cursors.copy.gz":  # it says when it was written
                assert sorted(lines(file)) == sorted(lines(tmp_path / "again" / "database" / file.name))
    finally:
        discard(own)


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DROP POLICY of_owner ON parley.fills", "hides rows of parley.fills"),
        ("CREATE POLICY less ON parley.runs AS RESTRICTIVE USING (false)", "hides rows of parley.runs"),
        ("CREATE TABLE parley.notes (a int)", "leave out parley.notes"),
        ("DROP TABLE parley.funding_rates", "lacks the table parley.funding_rates"),
    ],
)
def test_what_could_not_be_whole_is_refused_before_anything_is_written(
    target: Database, tmp_path: Path, change: str, says: str
) -> None:
    migrate(target)
    with reach(target.admin, "tests") as connection:
        connection.execute(change)  # type: ignore[arg-type]

    assert says in said(parley("backup", tmp_path / "backup"))
    assert not (tmp_path / "backup").exists()


def test_login_without_the_grant_is_told_which(
    server: EmbeddedServer, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(target)
    with reach(target.admin, "tests") as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN")
    monkeypatch.setenv("DATABASE_URL", url(server, "target", "stranger"))

    assert "'GRANT parley_migrate TO stranger'" in said(parley("backup", tmp_path / "backup"))
    assert not (tmp_path / "backup").exists()


def test_file_that_lacks_a_row_is_no_backup(
    target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(target)
    counts = archive.counts
    monkeypatch.setattr(archive, "counts", lambda *of: counts(*of) | {"": 1})

    result = parley("backup", tmp_path / "backup")

    assert (result.exit_code, "has 1 rows, its file" in result.stderr) == (1, True)
    assert not (tmp_path / "backup" / "manifest.json").exists()


# ---------------------------------------------------------------- a restore is all or nothing


@pytest.mark.parametrize("blocked", ["a file instead of a home", "no folder can be made", "runs is a link"])
def test_home_that_cannot_be_written_leaves_the_database_as_it_was(
    saved: Saved, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    home = tmp_path / "home"
    match blocked:
        case "a file instead of a home":
            home.write_text("mine")
        case "no folder can be made":
            home = Path("/proc/parley-home")
            monkeypatch.setenv("PARLEY_HOME", str(home))
        case _:  # noticed by the rename only, when the database is filled
            home.mkdir()
            (home / "runs").symlink_to(tmp_path / "nowhere")

    assert f"the folder '{home}' cannot be used" in said(parley("restore", saved.folder))

    assert is_empty(target)
    assert not (home / ".restoring").exists()


def test_rows_of_a_run_that_began_meanwhile_are_not_dropped(target: Database) -> None:
    migrate(target)
    with reach(target.admin, "tests") as connection:
        connection.execute("INSERT INTO parley.tenants VALUES (gen_random_uuid(), 'local')")

    with pytest.raises(UserError, match=r"holds rows of Parley already, in parley\.tenants"):
        restoring.drop_tables(target, "digest")
    with reach(target.admin, "tests") as connection:
        assert connection.execute("SELECT count(*) FROM parley.tenants").fetchone() == (1,)


def test_rows_that_are_hidden_are_not_taken_for_none(
    saved: Saved, server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before revision 0003 the owner saw no tenant's rows.
    with reach(server.conninfo("postgres", "postgres"), "tests") as connection:
        connection.execute("CREATE ROLE lodger LOGIN CREATEROLE")
        connection.execute("GRANT parley_migrate, parley_app TO lodger")
        connection.execute("CREATE DATABASE older OWNER lodger")
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", url(server, "older", "lodger"))
    migrate(Database.external(url(server, "older", "lodger")), "0002")
    with reach(server.conninfo("postgres", "older"), "tests") as connection:
        connection.execute("INSERT INTO parley.tenants VALUES (gen_random_uuid(), 'local')")

        assert "run 'parley migrate' first" in said(parley("restore", saved.folder))

        assert connection.execute("SELECT count(*) FROM parley.tenants").fetchone() == (1,)
        done(parley("migrate", "--json"))
        assert "holds rows of Parley already" in said(parley("restore", saved.folder))


def test_archive_that_does_not_fit_leaves_nothing(
    saved: Saved, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = archive.counts
    monkeypatch.setattr(restoring, "counts", lambda *of: counts(*of) | {"": 7})

    result = parley("restore", saved.folder)

    assert (result.exit_code, "must have" in result.stderr) == (1, True)
    assert is_empty(target)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "point",
    [
        "runtime.postgres.restoring:fill",
        "runtime.postgres.restoring:_mark",
        "runtime.backup:_put_in_place",
        "runtime.postgres.restoring:set_mark",
    ],
)
def test_killed_restore_is_finished_by_the_next_one(
    saved: Saved, target: Database, tmp_path: Path, point: str
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, point, "restore", str(saved.folder)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if point in ("runtime.backup:_put_in_place", "runtime.postgres.restoring:set_mark"):
        with pytest.raises(UserError, match="'parley restore' with the same backup"):
            prepare(target, None)  # what a run does first

    done(parley("restore", saved.folder, "--json"))

    is_restored(saved, target, tmp_path / "home")
    prepare(target, None)
    assert "holds rows of Parley already" in said(parley("restore", saved.folder))


def test_rest_of_another_restore_is_not_taken_for_this_one(
    saved: Saved, target: Database, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-c", KILLED, "runtime.backup:_put_in_place", "restore", str(saved.folder)],
        capture_output=True, check=False, timeout=120, env=os.environ,
    )  # fmt: skip
    other = tmp_path / "other"
    other.mkdir()
    for path in saved.folder.rglob("*"):
        if path.is_file():
            copy = other / path.relative_to(saved.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"made_at": "another time"}))

    assert "restore of another backup into this database was cut off" in said(parley("restore", other))
