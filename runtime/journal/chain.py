"""Hash chain of the journal: how a group is hashed, and the walk that checks it.

hash = blake2b-256(prev_hash + msgpack([group columns, records, intents, snapshots, run])),
each row with all its columns in table order, so that a changed byte, a missing row, a
row moved to another group or a value of another type changes the hash. A snapshot's
state enters through its state_hash. The genesis group (gid 0) covers the `run` rows.
What is not here: damage below SQLite's rows (`verify`, `sums`).
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from runtime.journal.schema import HASH_SIZE, READ_ERRORS

Value = int | float | str | bytes | None
Row = tuple[Value, ...]

GENESIS_PREVIOUS: Final = bytes(HASH_SIZE)
MAX_FAULTS: Final = 100
_PERSON: Final = b"parley-journal-1"
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Fault:
    """One place of damage: where it is, and what was expected there."""

    where: str
    detail: str


def encode_group(
    columns: Sequence[Value],
    records: Sequence[Sequence[Value]],
    intents: Sequence[Sequence[Value]] = (),
    snapshots: Sequence[Sequence[Value]] = (),
    run: Sequence[Sequence[Value]] = (),
) -> bytes:
    """Return the bytes of a group that its hash covers.

    Parameters
    ----------
    columns : gid, epoch, first_seq, last_seq, t_commit
    records : rows seq, gid, kind, round, body, by seq
    intents : rows cid, iid, seq, gid, in the order they were written
    snapshots : rows seq, gid, state_hash
    run : rows key, value, by key; the genesis group only
    """
    return _encode((columns, records, intents, snapshots, run))


def hash_bytes(previous: bytes, encoded: bytes) -> bytes:
    """Return the hash of an encoded group behind `previous`."""
    digest = hashlib.blake2b(previous, digest_size=HASH_SIZE, person=_PERSON)
    digest.update(encoded)
    return digest.digest()


def hash_state(state: bytes) -> bytes:
    """Return the hash of a snapshot's state."""
    return hashlib.blake2b(state, digest_size=HASH_SIZE, person=_PERSON).digest()


@dataclass(slots=True)
class ChainReport:
    """What a walk found; `head` is the stored hash of the last group."""

    faults: list[Fault] = field(default_factory=list)
    groups: int = 0
    records: int = 0
    head: bytes = GENESIS_PREVIOUS
    gid: int = -1
    epoch: int = 0
    last_seq: int = 0

    def fault(self, where: str, detail: str) -> None:
        """Add a fault; after `MAX_FAULTS` only one line saying that there are more."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(where, detail))
        elif len(self.faults) == MAX_FAULTS:
            self.faults.append(Fault("chain", f"more than {MAX_FAULTS} faults, the rest is not listed"))


def walk_chain(connection: sqlite3.Connection, first_gid: int = 0) -> ChainReport:
    """Check every group from `first_gid` on against the chain and report where it breaks.

    Never raises on damaged rows. A group whose content was changed is reported once: the
    walk goes on from the stored hash. `connection` must decode text with `lenient_text`.
    """
    report = ChainReport()
    records, intents, snapshots = _feeds(connection, first_gid, report)
    link = _stored_hash(connection, first_gid - 1, report) if first_gid else None
    suspect: tuple[int, bytes] | None = None  # a group whose content or hash column is wrong
    expected_gid = first_gid
    for row in _guarded(connection, "groups", _GROUPS_SQL, (first_gid,), report):
        gid, epoch, first_seq, last_seq, t_commit, prev_hash, stored = row
        if gid != expected_gid:
            report.fault(f"groups gid={gid!r}", f"expected gid {expected_gid}, was {gid!r}")
        if not isinstance(gid, int) or not isinstance(stored, bytes) or not isinstance(prev_hash, bytes):
            report.fault(f"groups gid={gid!r}", "column gid, prev_hash or hash has a value of a wrong type")
            expected_gid += 1
            continue
        expected_gid = gid + 1
        first, last = _as_int(first_seq), _as_int(last_seq)
        taken = records.take(gid, first, last)
        run = _run_rows(connection, report) if gid == 0 else []
        columns = (gid, epoch, first_seq, last_seq, t_commit)
        encoded = encode_group(columns, taken, intents.take(gid, first, last), snapshots.take(gid, 1, 0), run)
        computed = hash_bytes(prev_hash, encoded)
        if suspect is not None:
            _report_suspect(report, suspect, prev_hash)
            if prev_hash == suspect[1]:
                link = prev_hash  # the hash column was damaged, so this row's link is the true one
            suspect = None
        if link is not None and prev_hash != link:
            report.fault(
                f"groups gid={gid} column prev_hash", f"expected {link.hex()}, was {prev_hash.hex()}"
            )
            if computed != stored:
                computed = hash_bytes(link, encoded)
        if computed != stored:
            suspect = (gid, computed)
        link = stored
        report.groups += gid != 0
        report.records += len(taken)
        report.head, report.gid = stored, gid
        report.epoch, report.last_seq = _as_int(epoch), last
    if suspect is not None:
        _report_suspect(report, suspect, None)
    for feed in (records, intents, snapshots):
        feed.drain()
    return report


_GROUPS_SQL: Final = (
    "SELECT gid, epoch, first_seq, last_seq, t_commit, prev_hash, hash"
    " FROM groups WHERE gid >= ? ORDER BY gid"
)


class _Feed:
    """Rows of one table in chain order, handed out group by group."""

    def __init__(
        self, table: str, key: str, gid_at: int, seq_at: int, rows: Iterator[Row], report: ChainReport
    ):
        self._table, self._key, self._gid_at, self._seq_at = table, key, gid_at, seq_at
        self._rows = rows
        self._report = report
        self._row = next(rows, None)

    def take(self, gid: int, first: int, last: int) -> list[Row]:
        taken: list[Row] = []
        while (row := self._row) is not None:
            owner, seq = row[self._gid_at], row[self._seq_at]
            if owner != gid:
                # A row inside this group's seq range that names neither this group nor the next has a
                # damaged gid: taking it here keeps the fault in one place.
                inside = isinstance(seq, int) and first <= seq <= last and owner != gid + 1
                if not inside and isinstance(owner, int) and owner > gid:
                    break
                self._report.fault(f"{self._name(row)} column gid", f"expected {gid}, was {owner!r}")
                if not inside:
                    self._row = next(self._rows, None)
                    continue
            taken.append(row)
            self._row = next(self._rows, None)
        return taken

    def drain(self) -> None:
        while (row := self._row) is not None:
            self._report.fault(self._name(row), f"belongs to no group, its gid is {row[self._gid_at]!r}")
            if len(self._report.faults) > MAX_FAULTS:
                return
            self._row = next(self._rows, None)

    def _name(self, row: Row) -> str:
        key = row[0]
        return f"{self._table} {self._key}={key.hex() if isinstance(key, bytes) else repr(key)}"


def _feeds(connection: sqlite3.Connection, first_gid: int, report: ChainReport) -> tuple[_Feed, _Feed, _Feed]:
    if first_gid:
        # Rowids grow with gid, so the tail of a long table is read backwards instead of scanned.
        tail_records = _tail(
            connection, "records", "seq, gid, kind, round, body", "seq", 1, first_gid, report
        )
        tail_intents = _tail(connection, "intents", "cid, iid, seq, gid", "rowid", 3, first_gid, report)
    else:
        sql = "SELECT seq, gid, kind, round, body FROM records ORDER BY seq"
        tail_records = _guarded(connection, "records", sql, (), report)
        sql = "SELECT cid, iid, seq, gid FROM intents NOT INDEXED ORDER BY rowid"
        tail_intents = _guarded(connection, "intents", sql, (), report)
    sql = "SELECT seq, gid, state_hash FROM snapshots WHERE gid >= ? ORDER BY seq"
    snapshots = _guarded(connection, "snapshots", sql, (first_gid,), report)
    return (
        _Feed("records", "seq", 1, 0, tail_records, report),
        _Feed("intents", "cid", 3, 2, tail_intents, report),
        _Feed("snapshots", "seq", 1, 0, snapshots, report),
    )


def _tail(
    connection: sqlite3.Connection,
    table: str,
    columns: str,
    order: str,
    gid_at: int,
    first_gid: int,
    report: ChainReport,
) -> Iterator[Row]:
    rows: list[Row] = []
    sql = f"SELECT {columns} FROM {table} ORDER BY {order} DESC"
    for row in _guarded(connection, table, sql, (), report):
        owner = row[gid_at]
        if isinstance(owner, int) and owner < first_gid:
            break
        rows.append(row)
    return iter(rows[::-1])


def _guarded(
    connection: sqlite3.Connection, table: str, sql: str, arguments: tuple[int, ...], report: ChainReport
) -> Iterator[Row]:
    row: Row | None = None
    try:
        for row in connection.execute(sql, arguments):
            yield row
    except READ_ERRORS as error:
        report.fault(f"{table} after {'the start' if row is None else repr(row[0])}", f"SQLite says: {error}")


def _stored_hash(connection: sqlite3.Connection, gid: int, report: ChainReport) -> bytes | None:
    for row in _guarded(connection, "groups", _GROUPS_SQL + " LIMIT 1", (gid,), report):
        if row[0] == gid and isinstance(row[6], bytes):
            return row[6]
    report.fault(f"groups gid={gid}", "expected a row with a hash, there is none")
    return None


def _run_rows(connection: sqlite3.Connection, report: ChainReport) -> list[Row]:
    return list(_guarded(connection, "run", "SELECT key, value FROM run ORDER BY key", (), report))


def _report_suspect(report: ChainReport, suspect: tuple[int, bytes], next_link: bytes | None) -> None:
    gid, computed = suspect
    if next_link == computed:
        report.fault(f"groups gid={gid} column hash", f"expected {computed.hex()}")
    elif gid == 0:
        report.fault("run, or groups gid=0", f"content does not match its hash, computed {computed.hex()}")
    else:
        report.fault(f"group gid={gid}", f"its rows do not match its hash, computed {computed.hex()}")


def _as_int(value: Value) -> int:
    return value if isinstance(value, int) else -1
