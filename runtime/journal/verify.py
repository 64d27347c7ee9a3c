"""Check a journal file as a whole and say where it is damaged.

Four looks: the fixed bytes of the SQLite header, SQLite's own integrity check (it finds an
index that disagrees with its table), the hash chain over every column of every row, and for
a sealed file the block hashes. A file in WAL mode is checked without its `.sum`, because it
has none. Nothing here raises on damage: whatever the bytes are, the answer is a report.

A verified file is unchanged since it was written, but may lack its end; only the heads
anchored elsewhere show that.
"""

import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.journal.chain import MAX_FAULTS, ChainReport, Fault, hash_state, walk_chain
from runtime.journal.schema import (
    APPLICATION_ID,
    PAGE_SIZE,
    READ_ERRORS,
    SCHEMA_VERSION,
    JournalError,
    check_identity,
    is_sealed,
    lenient_text,
    open_readonly,
)
from runtime.journal.sums import check_sums, sum_path

_HEADER_SIZE: Final = 100
_IN_WAL_MODE: Final = 2


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Result of a check; `groups` does not count the genesis, `head` is hex."""

    ok: bool
    faults: list[Fault]
    groups: int
    records: int
    head: str


def verify(path: str | Path) -> VerifyReport:
    """Check a journal and locate damage by table, group, record and column, or by block of the file.

    On a live file this is one long read, during which the writer's log cannot be reused.
    """
    path = Path(path)
    if not path.is_file():
        return VerifyReport(False, [Fault("file", f"expected a file, {str(path)!r} is none")], 0, 0, "")
    faults: list[Fault] = []
    report = ChainReport()
    sealed = is_sealed(path)
    usable = True
    if sealed:
        usable = _check_header(path, faults)
    if usable:
        report = _check_database(path, faults)
    if sealed:
        _check_sums(path, report, faults)
    return VerifyReport(not faults, faults, report.groups, report.records, report.head.hex())


def _check_header(path: Path, faults: list[Fault]) -> bool:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if len(header) < _HEADER_SIZE or header[:16] != b"SQLite format 3\0":
        faults.append(
            Fault("header", f"expected an SQLite file, it starts with {header[:16]!r}, {size} bytes")
        )
        return False
    if header[18] == header[19] == _IN_WAL_MODE:
        # A crash between the last checkpoint and leaving WAL mode looks the same and loses nothing.
        faults.append(Fault("file", "not sealed and without its -wal file: committed groups may be missing"))
    version: int = struct.unpack_from(">I", header, 60)[0]
    if version != SCHEMA_VERSION:
        faults.append(Fault("header", f"schema version {version}, expected {SCHEMA_VERSION}"))
    fields: list[tuple[int, str, str, tuple[int, ...]]] = [
        (16, "H", "page size", (PAGE_SIZE,)),
        (18, "B", "write version", (1, _IN_WAL_MODE)),
        (19, "B", "read version", (header[18],)),
        (20, "B", "reserved bytes per page", (0,)),
        (21, "B", "largest payload fraction", (64,)),
        (22, "B", "smallest payload fraction", (32,)),
        (23, "B", "leaf payload fraction", (32,)),
        (28, "I", "pages", (size // PAGE_SIZE,)),
        (32, "I", "first free page", (0,)),
        (36, "I", "free pages", (0,)),
        (44, "I", "schema format", (4,)),
        (48, "I", "cache size", (0,)),
        (52, "I", "largest root page", (0,)),
        (56, "I", "text encoding", (1,)),
        (64, "I", "incremental vacuum", (0,)),
        (68, "I", "application id", (APPLICATION_ID,)),
        (92, "I", "valid-for counter", (struct.unpack_from(">I", header, 24)[0],)),
    ]
    for offset, code, name, allowed in fields:
        was = struct.unpack_from(">" + code, header, offset)[0]
        if was not in allowed:
            faults.append(Fault(f"header byte {offset}", f"{name} expected {allowed[0]:#x}, was {was:#x}"))
    if any(header[72:92]):
        faults.append(Fault("header byte 72", f"expected 20 zero bytes, was {header[72:92].hex()}"))
    if size % PAGE_SIZE:
        faults.append(Fault("file size", f"expected a multiple of {PAGE_SIZE}, was {size}"))
    return version == SCHEMA_VERSION


def _check_database(path: Path, faults: list[Fault]) -> ChainReport:
    report = ChainReport()
    try:
        with closing(open_readonly(path)) as connection:
            check_identity(connection, path)
            connection.text_factory = lenient_text
            connection.execute("BEGIN")
            report = walk_chain(connection)
            _check_start(report)
            _check_states(connection, report)
            _check_integrity(connection, report)
    except JournalError as error:
        report.fault("header", str(error))
    except (*READ_ERRORS, OSError) as error:
        report.fault("file", f"SQLite says: {error}")
    faults += report.faults
    return report


def _check_start(report: ChainReport) -> None:
    if report.gid < 0:
        report.fault("groups", "expected a genesis row, there is none")


def _check_states(connection: sqlite3.Connection, report: ChainReport) -> None:
    seq: int | None = None
    try:
        for seq, state_hash, state in connection.execute("SELECT seq, state_hash, state FROM snapshots"):
            if not isinstance(state, bytes):
                report.fault(
                    f"snapshots seq={seq} column state", f"expected bytes, was {type(state).__name__}"
                )
            elif hash_state(state) != state_hash:
                report.fault(f"snapshots seq={seq} column state", f"its hash expected {state_hash!r}")
    except READ_ERRORS as error:
        report.fault(f"snapshots after seq={seq}", f"SQLite says: {error}")


def _check_integrity(connection: sqlite3.Connection, report: ChainReport) -> None:
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({MAX_FAULTS})"):
            if line != "ok":
                report.fault("sqlite", str(line).strip().replace("\n", "; "))
    except READ_ERRORS as error:
        report.fault("sqlite", f"integrity check ended: {error}")


def _check_sums(path: Path, report: ChainReport, faults: list[Fault]) -> None:
    if not sum_path(path).exists():
        faults.append(Fault(".sum", "expected beside a sealed journal, there is none"))
        return
    check = check_sums(path)
    faults += check.faults
    head = report.head.hex()
    if check.head is not None and check.head != head:
        faults.append(Fault(".sum line 1", f"head expected {head}, was {check.head}"))
