"""Rows, errors and SQLite layout of the journal file.

One SQLite file holds one run: `run` (who wrote it), `groups` (the hash chain),
`records` (every message), `intents` (client order ids, unique) and `snapshots`.
What is not here: hashing (`chain`), writing (`commit`, `writer`), reading and
verification. Invariant: the SQL below is the file's layout to the letter, and
any change of it is a new `SCHEMA_VERSION`, because `verify` compares the text.

Errors::

    JournalError
    |- JournalExists         create() met a file; nothing was touched
    |- JournalVersionError   the file has another schema version
    |- JournalCorrupt        the file is no journal, or its chain does not verify
    |- JournalFailed         a write to disk failed; the process has to end and recover
    |- InvalidGroup          this group is malformed; the journal goes on
       |- DuplicateIntent    its client order id or intent id is taken; the journal goes on
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x50524C59  # "PRLY", lets `file` and verify tell a journal from any SQLite file
PAGE_SIZE: Final = 4096
HASH_SIZE: Final = 32
ROUND_SIZE: Final = 16
MAX_INT: Final = 2**63 - 1  # of SQLite
# What reading a damaged file raises: the sqlite3 module cannot decode every message of SQLite's about it.
READ_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError, OverflowError)

TABLES: Final[dict[str, str]] = {
    "run": "CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "groups": (
        "CREATE TABLE groups (gid INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
        " last_seq INTEGER NOT NULL, t_commit INTEGER NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL)"
    ),
    "records": (
        "CREATE TABLE records (seq INTEGER PRIMARY KEY, gid INTEGER NOT NULL, kind INTEGER NOT NULL,"
        " round BLOB NOT NULL, body BLOB NOT NULL)"
    ),
    "intents": (
        "CREATE TABLE intents (cid BLOB NOT NULL UNIQUE, iid BLOB NOT NULL UNIQUE,"
        " seq INTEGER NOT NULL, gid INTEGER NOT NULL)"
    ),
    "snapshots": (
        "CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, gid INTEGER NOT NULL,"
        " state_hash BLOB NOT NULL, state BLOB NOT NULL)"
    ),
}
"""Table name to the exact SQL in sqlite_master."""
_MASTER_SQL: Final = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master ORDER BY rowid"


class JournalError(Exception):
    """Anything that goes wrong with a journal file; the module docstring draws the tree."""


class JournalExists(JournalError):
    """The path, or a side file that belongs to it, exists already."""


class JournalVersionError(JournalError):
    """The file was written with another schema version."""


class JournalCorrupt(JournalError):
    """The file is no journal, or its content does not match its hash chain."""


class JournalFailed(JournalError):
    """Writing to disk failed; nothing after this is durable, and nothing is retried."""


class InvalidGroup(JournalError):
    """A group breaks a rule of the journal; it alone is refused."""


class DuplicateIntent(InvalidGroup):
    """A client order id or intent id was journaled before; the group is refused."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One message in journal order; `round` has 16 bytes, or none when it belongs to no round."""

    seq: int
    kind: int
    round: bytes
    body: bytes


class IntentRow(msgspec.Struct, frozen=True, gc=False):
    """A client order id and intent id with the record that carries the intent."""

    cid: bytes
    iid: bytes
    seq: int


class Group(msgspec.Struct, frozen=True):
    """What becomes durable together: all of it or nothing."""

    epoch: int
    records: Sequence[Record]
    intents: Sequence[IntentRow] = ()


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One link of the chain; gid 0 is the genesis, whose hash covers the `run` rows."""

    gid: int
    epoch: int
    first_seq: int
    last_seq: int
    t_commit: int
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The folded state after the record `seq`."""

    seq: int
    gid: int
    state: bytes


def malformed(record: Record, seq: int) -> str:
    """Say what is wrong with a record that should have the number `seq`."""
    if record.seq != seq:
        return f"record seq must be {seq}, was {record.seq!r}"
    if not isinstance(record.kind, int) or not 0 <= record.kind <= MAX_INT:
        return f"record seq={seq} kind must be an int of at least 0, was {record.kind!r}"
    if not isinstance(record.round, bytes) or len(record.round) not in (0, ROUND_SIZE):
        return f"record seq={seq} round must be {ROUND_SIZE} or no bytes, was {record.round!r}"
    return f"record seq={seq} body must be bytes, was {type(record.body).__name__!r}"


def side_files(path: Path) -> tuple[Path, ...]:
    """Return the paths that belong to a journal beside the file itself."""
    return tuple(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal", ".sum"))


def wal_path(path: Path) -> Path:
    """Return the path of the write-ahead log."""
    return path.with_name(path.name + "-wal")


def is_sealed(path: Path) -> bool:
    """Tell whether no writer can have the file open: it has neither WAL nor rollback journal.

    Decided by names alone: opening the file would drop this process's POSIX locks on close.
    """
    wal, _, rollback, _ = side_files(path)
    return not wal.exists() and not rollback.exists()


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open the file for reading; a sealed file without any locks.

    What a writer that was killed left half is rolled back first: SQLite does that only for who may write, and
    never while a writer lives.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    JournalError
        SQLite cannot open it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"journal must be a file, was {str(path)!r}")
    mode = "mode=ro&immutable=1" if is_sealed(path) else "mode=ro"
    try:
        if path.with_name(path.name + "-journal").exists():
            with closing(
                sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5.0)
            ) as half:
                half.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=5.0
        )
    except sqlite3.Error as error:
        raise JournalError(f"journal must be readable, {str(path)!r} was not: {error}") from error


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Raise unless the database is a journal of this schema version with exactly this layout.

    Raises
    ------
    JournalVersionError
        It is a journal of another schema version.
    JournalCorrupt
        It is no journal, or its table definitions differ.
    """
    name = str(path)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise JournalCorrupt(
                f"{name!r} header: application id expected {APPLICATION_ID:#x}, was {application:#x}"
            )
        if version != SCHEMA_VERSION:
            raise JournalVersionError(f"{name!r} header: schema version {version}, expected {SCHEMA_VERSION}")
        connection.text_factory = lenient_text
        found = connection.execute(_MASTER_SQL).fetchall()
    except READ_ERRORS as error:
        raise JournalCorrupt(f"{name!r} must be a journal, SQLite says: {error}") from error
    expected = _expected_master()
    if found != expected:
        was = next((row for row in found if row not in expected), None)
        missing = next((row for row in expected if row not in found), None)
        raise JournalCorrupt(f"{name!r} table sqlite_master: expected {missing!r}, was {was!r}")


@lru_cache(maxsize=1)
def _expected_master() -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as template:
        for sql in TABLES.values():
            template.execute(sql)
        return template.execute(_MASTER_SQL).fetchall()


def lenient_text(raw: bytes) -> str:
    """Decode TEXT from a possibly damaged file without raising; valid text is unchanged."""
    return raw.decode("utf-8", "backslashreplace")
