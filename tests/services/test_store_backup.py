"""Backup under load and restore elsewhere: the journals verify, and the read model equals them again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from runtime.cli import app
from runtime.journal import JournalReader, JournalWriter, verify
from runtime.postgres import REVISION, Database, EmbeddedServer
from runtime.postgres.claims import Claim
from runtime.postgres.migrate import make_database, migrate
from tests.kit.database import discard, new_server, rows
from tests.kit.journal_load import begin, write_cycle
from tests.kit.shipping import ShipperProcess, differences


@pytest.fixture
def servers() -> Iterator[list[EmbeddedServer]]:
    made = [new_server() for _ in range(2)]
    yield made
    for each in made:
        discard(each)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / "runs" / "one").mkdir(parents=True)
    monkeypatch.setenv("PARLEY_HOME", str(folder))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return folder


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def done(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def said(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("parley: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def small_home(home: Path) -> Path:
    """Fill a home with a run of two journals and things a backup leaves out."""
    run = home / "runs" / "one"
    notes = begin(run / "desk.journal")
    write_cycle(notes, 0)
    notes.writer.close()
    with JournalWriter.create(run / "gateway.journal", {"unit": "gateway", "tenant": "local"}, durable=False):
        pass
    (run / "instruments.json").write_text("[]")
    (run / "config").mkdir()
    (run / "config" / "gateway.json").write_text("canary-key")
    return run / "desk.journal"


def test_backup_taken_under_load_is_restored_elsewhere(
    home: Path, tmp_path: Path, servers: list[EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "runs" / "one" / "desk.journal"
    first, second = servers
    done(parley("migrate", "--database", first.folder, "--json"))
    assert first.pid is None  # who starts it for a moment stops it
    used = Claim(first)  # as a desk's store keeper has one
    database = Database.embedded(first)
    writer = subprocess.Popen([sys.executable, "-m", "tests.kit.journal_load", str(path), "600"])
    try:
        while not path.exists():
            time.sleep(0.01)
        shipper = ShipperProcess(tmp_path, database, path, of=first).start()
        shipper.wait_until(lambda status: status.shipped > 200)

        told = done(parley("backup", tmp_path / "backup", "--database", first.folder, "--json"))

        assert writer.poll() is None
        at = told["records"]
        shipper.wait_until(lambda status: status.journals[0].seq > at)  # both went on meanwhile
        assert shipper.stop() == 0
    finally:
        writer.terminate()
        writer.wait(30)
    assert first.pid is not None  # the backup was not its last user
    used.release()
    assert first.pid is None

    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "other"))
    done(parley("restore", tmp_path / "backup", "--database", second.folder, "--json"))

    copy = tmp_path / "other" / "runs" / "one" / "desk.journal"
    assert verify(copy).ok
    assert JournalReader(copy).count == at < JournalReader(path).count
    second.start()
    restored = Database.embedded(second)
    assert 0 < rows(restored, "cursors", "seq")[0][0] <= at
    shipper = ShipperProcess(tmp_path, restored, copy, of=second).start()
    shipper.wait_shipped(copy)
    assert shipper.stop() == 0
    assert differences(restored, copy) == []


def test_restored_journal_can_be_continued(
    home: Path, tmp_path: Path, servers: list[EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_home(home)
    done(parley("backup", tmp_path / "backup", "--database", servers[0].folder, "--json"))
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "other"))
    done(parley("restore", tmp_path / "backup", "--database", servers[1].folder, "--json"))

    copy = tmp_path / "other" / path.relative_to(home)
    with JournalWriter.resume(copy, durable=False) as writer:
        assert writer.head == JournalReader(path).head()
    assert (copy.parent / "instruments.json").read_text() == "[]"


def test_folder_said_by_the_environment_is_the_one_that_is_backed_up(
    home: Path, tmp_path: Path, servers: list[EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_home(home)
    monkeypatch.setenv("PARLEY_DATABASE__FOLDER", str(servers[0].folder))

    done(parley("migrate", "--json"))

    servers[0].start()
    assert rows(Database.embedded(servers[0]), "alembic_version") == [(REVISION,)]
    monkeypatch.setenv("PARLEY_DATABASE__URL", "postgresql://u:s3cret@127.0.0.1:1/p")
    result = parley("backup", tmp_path / "backup")
    assert (result.exit_code, "s3cret" in result.stderr) == (1, False)
    assert "cannot be reached" in result.stderr


def test_keys_are_not_backed_up(home: Path, tmp_path: Path, servers: list[EmbeddedServer]) -> None:
    small_home(home)

    done(parley("backup", tmp_path / "backup", "--database", servers[0].folder, "--json"))

    files = [each for each in (tmp_path / "backup").rglob("*") if each.is_file()]
    tables = [each for each in files if each.parent.name == "database"]
    assert len(files) - len(tables) == 6  # two journals with sums, instruments, manifest
    assert len(tables) == 16
    assert not [each for each in files if b"canary-key" in each.read_bytes()]


def test_damaged_incomplete_or_misplaced_backup_is_one_line(
    home: Path, tmp_path: Path, servers: list[EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_home(home)
    servers[0].start()
    migrate(make_database(servers[0]))
    shipper = ShipperProcess(tmp_path, Database.embedded(servers[0]), path, of=servers[0]).start()
    shipper.wait_shipped(path)
    assert shipper.stop() == 0
    saved = tmp_path / "backup"
    done(parley("backup", saved, "--database", servers[0].folder, "--json"))
    again = ("--database", servers[0].folder)
    assert "needs an empty folder" in said(parley("backup", saved, *again))
    other = ("--database", servers[1].folder)
    assert "restore into another PARLEY_HOME" in said(parley("restore", saved, *other))
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "other"))
    assert "holds rows of Parley already" in said(parley("restore", saved, *again))
    manifest = saved / "manifest.json"
    text = manifest.read_bytes()
    (tmp_path / "empty").mkdir()
    assert "no complete backup" in said(parley("restore", tmp_path / "empty", *other))
    newer = msgspec.json.decode(text) | {"revision": "9999"}
    manifest.write_bytes(msgspec.json.encode(newer))
    assert "newer than" in said(parley("restore", saved, *other))
    older = msgspec.json.decode(text) | {"version": 1}
    manifest.write_bytes(msgspec.json.encode(older))
    assert "is of version 1, this Parley reads 2" in said(parley("restore", saved, *other))
    manifest.write_bytes(text.replace(b"runs/one/instruments.json", b"../outside"))
    assert "lacks '../outside'" in said(parley("restore", saved, *other))
    manifest.write_bytes(text)
    journal = saved / "runs" / "one" / "desk.journal"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    assert "not what was backed up" in said(parley("restore", saved, *other))

    assert not (tmp_path / "other").exists()
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    done(parley("restore", saved, *other, "--json"))


def test_journal_that_does_not_verify_fails_the_backup(
    home: Path, tmp_path: Path, servers: list[EmbeddedServer]
) -> None:
    path = small_home(home)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    result = parley("backup", tmp_path / "backup", "--database", servers[0].folder)

    assert result.exit_code == 1
    assert "does not match its sums" in result.stderr
    assert not (tmp_path / "backup" / "manifest.json").exists()
