"""Copying a journal, also while its desk writes it.

Problem: a file that is being written cannot be copied byte by byte, and in the writer's own process may not
even be opened. A sealed journal is copied as it is, with its `.sum`, and compared with it; a live one is
copied by SQLite's online backup in one read, and the copy is sealed.

Not here: which journals (`runtime.backup`), checking the chain (`verify`).

Invariant: the copy is a sealed journal whose chain is a beginning of the source's, up to a whole group.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from runtime.journal.reader import JournalReader
from runtime.journal.schema import (
    READ_ERRORS,
    JournalCorrupt,
    JournalError,
    check_identity,
    is_sealed,
    open_readonly,
)
from runtime.journal.sums import check_sums, sum_path, sync_directory, write_sums


def copy_journal(source: Path, target: Path) -> bool:
    """Copy a journal to a path that is free; tell whether the source was sealed.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    JournalError
        The source cannot be read, or a sealed one does not match its sums.
    """
    if target.exists():
        raise JournalError(f"a copy needs a free path, {str(target)!r} exists")
    try:
        if is_sealed(source) and sum_path(source).exists():
            _copy_sealed(source, target)
            return True
        _copy_live(source, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not source.exists():
            raise
        raise JournalError(f"{str(source)!r} could not be copied: {error}") from error
    return False


def _copy_sealed(source: Path, target: Path) -> None:
    for each, copy in ((source, target), (sum_path(source), sum_path(target))):
        shutil.copyfile(each, copy)
        _sync(copy)
    sync_directory(target.parent)
    found = check_sums(target)
    if found.faults:
        fault = found.faults[0]
        raise JournalCorrupt(f"{str(source)!r} does not match its sums: {fault.where}: {fault.detail}")


def _copy_live(source: Path, target: Path) -> None:
    try:
        with closing(open_readonly(source)) as live:
            check_identity(live, source)
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                live.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
    except READ_ERRORS as error:
        raise JournalError(f"{str(source)!r} could not be copied, SQLite says: {error}") from error
    write_sums(target, JournalReader(target).head())


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
