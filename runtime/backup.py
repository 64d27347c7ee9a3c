"""Backup and restore of a home: every journal, and the read model made of them.

Problem: a backup that was taken while a desk trades must fit together, and one that is incomplete must not
look complete. The database is dumped first and the journals are copied after, so they hold at least what
the database does: after a restore the shipper continues from the restored cursor. The manifest, with the
hash of every file, is written last.

Not here: keys, which are kept apart from data, so a run's `config` is left out; starting servers
(`postgres`).

Invariant: restore touches nothing unless the whole backup matches its manifest and the target is empty.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from psycopg import conninfo

from parley.errors import ParleyError, UserError
from runtime.journal import JournalError, verify
from runtime.journal.copying import copy_journal
from runtime.journal.sums import sync_directory
from runtime.journal.tail import JournalTail
from runtime.postgres import REVISION, Database, find_programs
from runtime.postgres.database import reach

MANIFEST: Final = "manifest.json"
DUMP: Final = "database.dump"
_VERSION: Final = 1
_JOURNALS: Final = ("desk.journal", "gateway.journal")
_BESIDE: Final = ("instruments.json",)
_BLOCK: Final = 1 << 20
Say = Callable[[str], None]


class SavedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the backup, by its path in it."""

    path: str
    size: int
    blake2b: str


class SavedJournal(msgspec.Struct, frozen=True, kw_only=True):
    """A journal of the backup and how far it goes."""

    path: str
    unit: str
    records: int
    groups: int
    head: str
    sealed: bool


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup consists of; ``revision`` is that of the database's schema."""

    version: int
    made_at: str
    revision: str
    files: tuple[SavedFile, ...]
    journals: tuple[SavedJournal, ...]


def back_up(home: Path, database: Database, target: Path, say: Say) -> Manifest:
    """Write a backup of all runs of a home into an empty or new folder.

    Raises
    ------
    UserError
        When the folder is not empty or cannot be written.
    ParleyError, JournalError
        When the database cannot be dumped, or a journal does not verify.
    """
    _make_empty(target)
    say("database")
    dump(database, target / DUMP)
    journals = []
    for source in find_journals(home):
        name = source.relative_to(home)
        say(str(name))
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        sealed = copy_journal(source, copy)
        journals.append(_checked(copy, str(name), sealed))
        for beside in _BESIDE:
            if (source.parent / beside).is_file() and not (copy.parent / beside).exists():
                shutil.copyfile(source.parent / beside, copy.parent / beside)
    files = tuple(
        _saved(path, target) for path in sorted(target.rglob("*")) if path.is_file() and path.name != MANIFEST
    )
    manifest = Manifest(
        version=_VERSION,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        revision=REVISION,
        files=files,
        journals=tuple(journals),
    )
    _write_last(target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


def restore(source: Path, home: Path, database: Database, say: Say) -> Manifest:
    """Bring a backup into a home and a database that hold nothing of it yet.

    Raises
    ------
    UserError
        When the backup is incomplete or changed, or the target is not empty; nothing was touched then.
    ParleyError, JournalError
        When the database cannot be filled, or a restored journal does not verify.
    """
    manifest = read_manifest(source)
    say("checking the backup")
    for file in manifest.files:
        _check(file, source)
    for journal in manifest.journals:
        if (home / journal.path).exists():
            raise UserError(f"{str(home / journal.path)!r} exists: restore into another PARLEY_HOME")
    _check_empty(database)
    say("database")
    fill(database, source / DUMP)
    for file in manifest.files:
        if file.path == DUMP:
            continue
        say(file.path)
        target = home / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, target)
    for journal in manifest.journals:
        found = _checked(home / journal.path, journal.path, journal.sealed)
        if found != journal:
            raise ParleyError(f"restored {journal!r}, found {found!r}")
    return manifest


def find_journals(home: Path) -> list[Path]:
    """Return the journals of all runs, oldest run first."""
    runs = home / "runs"
    return [path for run in sorted(runs.glob("*")) for name in _JOURNALS if (path := run / name).is_file()]


def read_manifest(source: Path) -> Manifest:
    """Read what a backup says of itself.

    Raises
    ------
    UserError
        When there is no manifest, as in a backup that was cut off, or it is of another version.
    """
    path = source / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError:
        raise UserError(f"{str(source)!r} is no complete backup: it has no {MANIFEST}") from None
    except msgspec.MsgspecError as error:
        raise UserError(f"{str(path)!r} is no manifest of a backup: {error}") from None
    if manifest.version != _VERSION:
        raise UserError(f"the backup is of version {manifest.version}, this Parley reads {_VERSION}")
    if not manifest.revision.isdecimal() or int(manifest.revision) > int(REVISION):
        raise UserError(
            f"the backup's database is at revision {manifest.revision!r}, newer than {REVISION!r}"
        )
    return manifest


def dump(database: Database, target: Path) -> None:
    """Write the database's content to a file that `fill` reads; one moment of it, however long it takes."""
    programs = find_programs()
    where, environment = _without_password(database.admin)
    arguments = ["--format=custom", "--schema=parley", f"--file={target}", f"--dbname={where}"]
    programs.run("pg_dump", *arguments, environment=environment)
    _sync(target)


def fill(database: Database, source: Path) -> None:
    """Fill a database that has the roles but no tables; all of it or nothing."""
    programs = find_programs()
    where, environment = _without_password(database.admin)
    programs.run(
        "pg_restore", "--single-transaction", "--exit-on-error", f"--dbname={where}", str(source),
        environment=environment,
    )  # fmt: skip


def _without_password(where: str) -> tuple[str, dict[str, str]]:
    # The command line of a process can be read by everybody, its environment cannot.
    parts: dict[str, Any] = {**conninfo.conninfo_to_dict(where)}
    password = parts.pop("password", None)
    return conninfo.make_conninfo(**parts), {"PGPASSWORD": str(password)} if password else {}


def _check_empty(database: Database) -> None:
    with reach(database.admin, "parley restore") as connection:
        if connection.execute("SELECT to_regnamespace('parley') IS NOT NULL").fetchone() == (True,):
            raise UserError("the database holds tables of Parley already: restore into an empty one")


def _checked(path: Path, name: str, sealed: bool) -> SavedJournal:
    report = verify(path)
    if not report.ok:
        raise JournalError(
            f"{str(path)!r} does not verify: {report.faults[0].where}: {report.faults[0].detail}"
        )
    unit = JournalTail(path).run.get("unit", "")
    return SavedJournal(
        path=name, unit=unit, records=report.records, groups=report.groups, head=report.head, sealed=sealed
    )


def _saved(path: Path, target: Path) -> SavedFile:
    digest, size = _digest(path)
    return SavedFile(path=str(path.relative_to(target)), size=size, blake2b=digest)


def _check(file: SavedFile, source: Path) -> None:
    path = source / file.path
    inside = path.resolve().is_relative_to(source.resolve())
    if not inside or not path.is_file():
        raise UserError(f"the backup lacks {file.path!r}")
    digest, size = _digest(path)
    if (digest, size) != (file.blake2b, file.size):
        raise UserError(
            f"{str(path)!r} is not what was backed up: {size} bytes, expected {file.size}, or changed"
        )


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.blake2b(digest_size=32), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _make_empty(target: Path) -> None:
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise UserError(f"a backup needs an empty folder, {str(target)!r} is not")
    except OSError as error:
        raise UserError(f"the backup's folder {str(target)!r} cannot be used: {error.strerror}") from error


def _write_last(path: Path, text: bytes) -> None:
    partial = path.with_name(path.name + ".new")
    with partial.open("wb") as file:
        file.write(text + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_directory(path.parent)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
