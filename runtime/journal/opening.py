"""Makes a journal's file, or opens one after a look at its chain, for the one who writes it.

Not here: what is written (`commit`), from which thread (`writer`).

Invariant: a file that has its name is a whole journal, with the rows of its run and its genesis.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from runtime.journal import chain
from runtime.journal.commit import ROWS_PER_STATEMENT, Committer
from runtime.journal.schema import (
    APPLICATION_ID,
    PAGE_SIZE,
    READ_ERRORS,
    SCHEMA_VERSION,
    TABLES,
    JournalCorrupt,
    JournalError,
    JournalExists,
    check_identity,
    side_files,
    wal_path,
)
from runtime.journal.sums import sum_path, sync_directory

log = logging.getLogger(__name__)

RESERVED_KEYS: Final = frozenset({"schema_version", "first_seq"})


def create_file(
    path: Path,
    run: Mapping[str, str],
    *,
    first_seq: int,
    durable: bool,
    prezero_mb: int,
    clock_ns: Callable[[], int],
) -> Committer:
    """Make a new journal with its genesis group; a crash leaves either a whole one or none.

    Raises
    ------
    JournalExists
        The file, or a side file whose content SQLite would apply to it, exists.
    JournalError
        A key of `run` is reserved or no text.
    """
    for occupied in (path, *side_files(path)):
        if occupied.exists():
            raise JournalExists(f"a new journal needs a free path, {str(occupied)!r} exists")
    rows = _run_rows(run, first_seq)
    previous = bytes.fromhex(run["previous_head"]) if "previous_head" in run else chain.GENESIS_PREVIOUS
    columns = (0, 0, first_seq, first_seq - 1, clock_ns())
    head = chain.hash_bytes(previous, chain.encode_group(columns, (), run=rows))
    partial = path.with_name(path.name + ".new")
    for leftover in (partial, *side_files(partial)):
        leftover.unlink(missing_ok=True)
    connection = _connect(partial, "rwc")
    connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    for sql in TABLES.values():
        connection.execute(sql)
    connection.executemany("INSERT INTO run VALUES (?, ?)", rows)
    connection.execute("INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?)", (*columns, previous, head))
    connection.execute("COMMIT")
    connection.close()
    partial.rename(path)
    if durable:
        sync_directory(path.parent)
    committer = Committer(path, _connect(path, "rw"), durable=durable, clock_ns=clock_ns)
    committer.head, committer.last_seq, committer.first_seq = head, first_seq - 1, first_seq
    committer.enter_wal(prezero_mb)
    return committer


def open_file(
    path: Path, *, durable: bool, prezero_mb: int, check_groups: int, clock_ns: Callable[[], int]
) -> Committer:
    """Open an existing journal for writing after checking the last `check_groups` of its chain.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    JournalVersionError, JournalCorrupt
        It is no journal of this version, or the checked part of the chain does not verify.
    """
    if not path.is_file():
        raise FileNotFoundError(f"journal must be a file, was {str(path)!r}")
    connection = _connect(path, "rw")
    try:
        check_identity(connection, path)
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode == "wal" and not wal_path(path).exists():
            log.warning("journal_wal_missing path=%s", path)
        newest = connection.execute("SELECT max(gid) FROM groups").fetchone()[0]
        if not isinstance(newest, int):
            raise JournalCorrupt(f"{str(path)!r} table groups: expected a newest gid, was {newest!r}")
        report = chain.walk_chain(connection, max(0, newest - check_groups + 1))
        row = connection.execute("SELECT value FROM run WHERE key = 'first_seq'").fetchone()
        snapshot = connection.execute("SELECT max(seq) FROM snapshots").fetchone()[0]
        if row is None or not row[0].isdecimal():
            report.fault("run key='first_seq'", f"expected a number, was {row!r}")
        if report.faults:
            found = "; ".join(f"{fault.where}: {fault.detail}" for fault in report.faults[:5])
            raise JournalCorrupt(f"{str(path)!r} must continue its chain: {found}")
        sum_path(path).unlink(missing_ok=True)
        if durable:
            sync_directory(path.parent)
        committer = Committer(path, connection, durable=durable, clock_ns=clock_ns)
        committer.head, committer.gid, committer.epoch = report.head, report.gid, report.epoch
        committer.last_seq, committer.first_seq = report.last_seq, int(row[0])
        committer.last_snapshot = -1 if snapshot is None else snapshot
        committer.enter_wal(prezero_mb)
    except READ_ERRORS as error:
        connection.close()
        raise JournalCorrupt(f"{str(path)!r} must be readable and writable, SQLite says: {error}") from error
    except JournalError:
        connection.close()
        raise
    return committer


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=5.0,
        check_same_thread=False,  # used by one thread at a time: whoever holds the writer's lock
        cached_statements=4 * ROWS_PER_STATEMENT,
    )


def _run_rows(run: Mapping[str, str], first_seq: int) -> list[tuple[str, str]]:
    taken: Iterable[str] = RESERVED_KEYS & run.keys()
    if taken:
        raise JournalError(
            f"run keys must leave {sorted(RESERVED_KEYS)!r} to the journal, was {sorted(taken)!r}"
        )
    for key, value in run.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise JournalError(f"run rows must be text, was {key!r}: {value!r}")
    return sorted({**run, "schema_version": str(SCHEMA_VERSION), "first_seq": str(first_seq)}.items())
