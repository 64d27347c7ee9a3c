"""Backup and restore of a home: every journal, and the database with the read model made of them.

Problem: a backup that was taken while a desk trades must fit together, and one that is incomplete must not
look complete. The database is read first and the journals are copied after, so they hold at least what the
database does: after a restore the shipper continues from the restored cursor. The manifest, with the hash of
every file, is written last.

A restore touches two things that know nothing of each other. The journals are copied beside their place and
checked, then the database is filled in one transaction that leaves a mark, then one rename puts the journals
in place, then the mark goes. Whatever ends it between, the same restore finds out where it was.

Not here: keys, which are kept apart from data, so a run's `config` is left out; starting servers and the
database's files (`postgres`).

Invariant: restore touches nothing unless the whole backup matches its manifest and the target is empty; one
that fails leaves the target empty.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ParleyError, UserError
from runtime.history import JOURNAL_NAME
from runtime.journal import JournalError, verify
from runtime.journal.copying import copy_journal
from runtime.journal.sums import sync_directory
from runtime.journal.tail import JournalTail
from runtime.leftovers import RESTORING
from runtime.postgres import REVISION, Database, archive, restoring
from runtime.postgres.archive import SavedTable
from runtime.postgres.migrate import migrate
from runtime.shipper.past import GATEWAY_NAME, run_journals

MANIFEST: Final = "manifest.json"
TABLES: Final = "database"
_RUNS: Final = "runs"
_VERSION: Final = 2
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
    tables: tuple[SavedTable, ...]


def back_up(home: Path, database: Database, target: Path, say: Say) -> Manifest:
    """Write a backup of all runs of a home into an empty or new folder.

    Raises
    ------
    UserError
        When the folder is not empty or cannot be written, or the login may not read everything; in the
        latter case nothing was written.
    ParleyError, JournalError
        When the database cannot be read, or a journal does not verify.
    """
    with archive.snapshot(database) as moment, _one_line_of_disk(target):
        _make_empty(target)
        (target / TABLES).mkdir()
        tables = []
        for name in archive.table_names():
            say(f"database, {name}")
            tables.append(moment.save(name, target / TABLES / archive.file_name(name)))
    journals = []
    with _one_line_of_disk(target):
        for source, name in find_journals(home):
            say(name)
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            sealed = copy_journal(source, copy)
            journals.append(_checked(copy, name, sealed))
            for beside in _BESIDE:
                if (home / name).with_name(beside).is_file() and not copy.with_name(beside).exists():
                    shutil.copyfile((home / name).with_name(beside), copy.with_name(beside))
        files = tuple([_saved(path, target) for path in sorted(target.rglob("*")) if path.is_file()])
        manifest = Manifest(
            version=_VERSION,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            revision=REVISION,
            files=files,
            journals=tuple(journals),
            tables=tuple(tables),
        )
        _write_last(target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


def restore(source: Path, home: Path, database: Database, say: Say) -> Manifest:
    """Bring a backup into a home without runs and a database without rows, or finish one that was cut off.

    Raises
    ------
    UserError
        When the backup is incomplete or changed, the target is not empty or cannot be written.
    ParleyError, JournalError
        When the database cannot be filled, or a restored journal does not verify. In every case the target
        is as empty as before.
    """
    manifest = read_manifest(source)
    say("checking the backup")
    for file in manifest.files:
        _check(file, source)
    digest = _digest(source / MANIFEST)[0]
    has_runs = _has_runs(home)
    in_the_way = UserError(f"{str(home / _RUNS)!r} holds runs: restore into another PARLEY_HOME")
    if has_runs and not _is_in_place(manifest, home):
        raise in_the_way
    mark = restoring.standing(database)
    if mark is not None and mark != digest:
        raise UserError(
            "the restore of another backup into this database was cut off: restore that one again, or drop"
            " the schema 'parley'"
        )
    if has_runs:
        if mark is None:
            raise in_the_way
        restoring.set_mark(database, None)
        return manifest
    with _staging(home) as stage:
        _copy(manifest, source, stage, say)
        if mark is None:
            say("database")
            _fill(database, source, manifest, digest)
        with _emptied_on_failure(database, digest):
            migrate(database)
            _put_in_place(stage, home)
    restoring.set_mark(database, None)
    return manifest


def find_journals(home: Path) -> list[tuple[Path, str]]:
    """Return the journals of all runs, oldest first, and their places in a home; some lie outside of it."""
    found = []
    for folder in sorted(path for path in (home / _RUNS).glob("*") if path.is_dir()):
        for path in run_journals(folder):
            name = GATEWAY_NAME if path == folder / GATEWAY_NAME else JOURNAL_NAME
            found.append((path, f"{_RUNS}/{folder.name}/{name}"))
    return found


def read_manifest(source: Path) -> Manifest:
    """Read what a backup says of itself.

    Raises
    ------
    UserError
        When there is no manifest, as in a backup that was cut off, or it is of another version.
    """
    path = source / MANIFEST
    try:
        raw = path.read_bytes()
        version = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("version", msgspec.Raw(b"0"))
        if bytes(version) != str(_VERSION).encode():
            raise UserError(
                f"the backup is of version {bytes(version).decode()}, this Parley reads {_VERSION}"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except OSError:
        raise UserError(f"{str(source)!r} is no complete backup: it has no {MANIFEST}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} is no manifest of a backup: {error}") from None
    if not manifest.revision.isdecimal() or int(manifest.revision) > int(REVISION):
        raise UserError(
            f"the backup's database is at revision {manifest.revision!r}, newer than {REVISION!r}"
        )
    return manifest


# the target of a restore


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """Give a folder beside the journals' place, alone; it is gone afterwards, and the home if made for it."""
    is_new = not home.exists()
    with _one_line_of_disk(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
    stage = home / RESTORING
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another restore into {str(home)!r} is at work") from None
        with _one_line_of_disk(home):
            if stage.exists():  # of a restore that was killed
                shutil.rmtree(stage)
            stage.mkdir(mode=0o700)
            (stage / _RUNS).mkdir()
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        os.close(held)
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty: it is restored
                home.rmdir()


def _copy(manifest: Manifest, source: Path, stage: Path, say: Say) -> None:
    with _one_line_of_disk(stage.parent):
        for file in manifest.files:
            if file.path.startswith(f"{TABLES}/"):
                continue
            say(file.path)
            target = stage / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file.path, target)
            _sync(target)
        for folder in (stage, *(path for path in stage.rglob("*") if path.is_dir())):
            sync_directory(folder)
    for journal in manifest.journals:
        found = _checked(stage / journal.path, journal.path, journal.sealed)
        if found != journal:
            raise ParleyError(f"restored {journal!r}, found {found!r}")


def _fill(database: Database, source: Path, manifest: Manifest, digest: str) -> None:
    restoring.drop_tables(database, digest)  # they hold no row, and may be of another revision
    with _emptied_on_failure(database, digest), _one_line_of_disk(source):
        migrate(database, manifest.revision)
        restoring.fill(database, source / TABLES, manifest.tables, digest)


@contextmanager
def _emptied_on_failure(database: Database, digest: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # If that cannot be done either, the mark is there, or no row is.
        with contextlib.suppress(ParleyError):
            restoring.drop_tables(database, digest)
        raise


def _put_in_place(stage: Path, home: Path) -> None:
    with _one_line_of_disk(home):
        (stage / _RUNS).rename(home / _RUNS)
        sync_directory(home)


def _is_in_place(manifest: Manifest, home: Path) -> bool:
    files = [file for file in manifest.files if not file.path.startswith(f"{TABLES}/")]
    try:
        return bool(files) and all(_digest(home / file.path) == (file.blake2b, file.size) for file in files)
    except OSError:
        return False


def _has_runs(home: Path) -> bool:
    runs = home / _RUNS
    with _one_line_of_disk(home):
        return runs.exists() and (not runs.is_dir() or any(runs.iterdir()))


# files


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
    inside = path.resolve().is_relative_to(source.resolve()) and ".." not in Path(file.path).parts
    if not inside or not file.path.startswith((f"{_RUNS}/", f"{TABLES}/")) or not path.is_file():
        raise UserError(f"the backup lacks {file.path!r}")
    with _one_line_of_disk(source):
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
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise UserError(f"a backup needs an empty folder, {str(target)!r} is not")


@contextmanager
def _one_line_of_disk(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = f" ({error.filename})" if error.filename and str(error.filename) != str(where) else ""
        said = error.strerror or error
        raise UserError(f"the folder {str(where)!r} cannot be used: {said}{name}") from error


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
