"""`parley rebuild`: the read model made anew is the one there was, and nothing is lost on the way."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
import pytest

from runtime.journal import Group, JournalWriter, Record
from runtime.leftovers import CLAIM
from runtime.postgres import Database
from runtime.postgres.database import reach
from runtime.shipper.rebuild import rebuild
from tests.kit.database import everything, fresh_database
from tests.kit.journal_load import begin, write_cycle
from tests.kit.shipping import ShipperProcess, differences
from tests.services.test_store_backup import done, parley, said

# Runs the command line and dies behind so many batches.
KILLED = """
import os, signal, sys
import runtime.shipper.rebuild as rebuild
left = [int(sys.argv[1])]
write = rebuild.write
def dying(*arguments):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return write(*arguments)
rebuild.write, rebuild._BATCH = dying, 7
sys.argv = ["parley", *sys.argv[2:]]
from runtime.cli import main
main()
"""


@dataclass
class Home:
    """A home of three runs, two of which its database knows."""

    folder: Path
    database: Database
    shipped: list[Path]
    private: Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Ship a run with a gateway and one whose journal lies outside; leave a third one alone."""
    folder = tmp_path / "home"
    one, private = (folder / "runs" / name / "desk.journal" for name in ("one", "private"))
    outside = tmp_path / "elsewhere" / "my.journal"
    for path, run in ((one, "one"), (outside, "two"), (private, "private")):
        path.parent.mkdir(parents=True)
        notes = begin(path, run)
        write_cycle(notes, 0)
        notes.writer.close()
    gateway = one.with_name("gateway.journal")
    with JournalWriter.create(gateway, {"unit": "gateway", "tenant": "local"}, durable=False) as writer:
        writer.append(Group(1, [Record(1, 99, b"", b"not a message of a desk")])).result()
    (folder / "runs" / "two" / "config").mkdir(parents=True)
    (folder / "runs" / "two" / "config" / "desk.json").write_bytes(
        msgspec.json.encode({"journal": str(outside)})
    )
    database = fresh_database()
    shipped = [one, gateway, outside]
    shipper = ShipperProcess(tmp_path, database, *shipped).start()
    shipper.wait_shipped(*shipped)
    assert shipper.stop() == 0
    monkeypatch.setenv("PARLEY_HOME", str(folder))
    monkeypatch.setenv("DATABASE_URL", str(database.admin))
    return Home(folder, database, shipped, private)


def spoil(database: Database) -> None:
    with reach(database.admin, "tests") as connection:
        connection.execute("UPDATE parley.orders SET state = 'open', image = ''")
        connection.execute("DELETE FROM parley.rounds WHERE run_id = 'two'")
        connection.execute("UPDATE parley.agents SET words = words + 1")


def test_rebuilt_read_model_is_the_one_there_was(home: Home) -> None:
    before = everything(home.database)
    spoil(home.database)
    assert everything(home.database) != before

    told = done(parley("rebuild", "--json"))

    assert (told["runs"], told["journals"], told["records"]) == (2, 3, 89)
    assert everything(home.database) == before
    assert differences(home.database, *home.shipped) == []


def test_run_made_without_a_database_comes_in_only_when_asked_for(home: Home) -> None:
    assert done(parley("rebuild", "--json"))["runs"] == 2

    assert done(parley("rebuild", "--all", "--json"))["runs"] == 3

    assert differences(home.database, *home.shipped, home.private) == []


def test_run_that_the_database_never_knew_comes_in_if_it_was_to_be_there(home: Home) -> None:
    config = home.private.parent / "config"
    config.mkdir()
    (config / "shipper.json").write_bytes(msgspec.json.encode({"database": "", "journals": []}))

    assert done(parley("rebuild", "--json"))["runs"] == 3


def test_progress_goes_from_nothing_to_all(home: Home) -> None:
    seen: list[tuple[str, int, int]] = []

    rebuild(home.folder, home.database, lambda *told: seen.append(told), unasked=False)

    assert next(each for each in seen if each[0].startswith("verifying"))[1:] == (0, 3)
    shipping = [each for each in seen if each[0].startswith("shipping")]
    assert {each[0] for each in shipping} == {
        "shipping one, desk", "shipping one, gateway", "shipping two, desk",
    }  # fmt: skip
    assert shipping[-1][1:] == (89, 89)
    assert [each[1] for each in shipping] == sorted(each[1] for each in shipping)


def refused(home: Home) -> str:
    """Return what a rebuild says that must not change anything."""
    before = everything(home.database)
    result = parley("rebuild")
    assert result.exit_code in (1, 2), result.output
    assert result.stderr.count("\n") == 1
    assert everything(home.database) == before
    return result.stderr


def test_rebuild_beside_a_living_desk_is_refused(home: Home) -> None:
    claim = home.private.with_name(CLAIM)
    claim.touch()
    with claim.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "run 'private' is going on" in refused(home)


def test_rebuild_that_would_lose_a_run_is_refused(home: Home) -> None:
    home.shipped[1].unlink()

    assert "the gateway's records of run 'one', but there is no journal" in refused(home)


def test_rebuild_from_a_journal_that_lost_its_end_is_refused(home: Home, tmp_path: Path) -> None:
    path = home.shipped[0]
    for each in path.parent.glob("desk.journal*"):
        each.unlink()
    begin(path, "one").writer.close()

    assert "its journal ends at 2: a rebuild would lose the rest" in refused(home)


def test_rebuild_from_a_damaged_journal_is_refused(home: Home) -> None:
    path = home.shipped[2]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    assert "my.journal' does not verify" in refused(home)


@pytest.mark.parametrize("batches", [0, 3, 8])
def test_killed_rebuild_is_finished_by_the_next_shipper(home: Home, tmp_path: Path, batches: int) -> None:
    before = everything(home.database)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(batches), "rebuild"], capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with psycopg.connect(home.database.admin) as connection:
        assert connection.execute("SELECT count(*) FROM parley.runs").fetchone() == (2,)
    assert everything(home.database) != before

    shipper = ShipperProcess(
        tmp_path, home.database, tmp_path / "none.journal", past=str(home.folder / "runs")
    ).start()
    shipper.wait_until(lambda _: everything(home.database) == before)

    assert shipper.stop() == 0


def test_login_without_the_right_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with reach(home.database.admin, "tests") as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN")
    monkeypatch.setenv("DATABASE_URL", home.database.admin.replace("user=postgres", "user=stranger"))

    assert "GRANT parley_migrate TO stranger" in said(parley("rebuild"))
