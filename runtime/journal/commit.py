"""The journal's only writing connection: transactions, checkpoints, sealing.

Not here: making and opening the file (`opening`).

Synchronous and single-threaded; `writer` drives it from the commit thread. Invariants:
one `commit` is one transaction and one fsync, of its groups and of those `insert` wrote
into the transaction before; `head`, `gid` and the sequence number move only after COMMIT
returned; an sqlite3 error other than a duplicate intent is left to the caller, who must
not use the object again. Several rows go into one statement because every statement
gives up the interpreter lock, and with a busy event loop getting it back costs up to the
switch interval.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import chain as concatenate
from pathlib import Path
from typing import Final, NamedTuple

from runtime.journal import chain
from runtime.journal.schema import (
    MAX_INT,
    PAGE_SIZE,
    ROUND_SIZE,
    SCHEMA_VERSION,
    DuplicateIntent,
    Group,
    InvalidGroup,
    JournalError,
    malformed,
    wal_path,
)
from runtime.journal.sums import write_sums

log = logging.getLogger(__name__)

CHECKPOINT_PAGES: Final = 1000
FORCED_CHECKPOINT_PAGES: Final = 16_000
CACHE_KIB: Final = 32_768  # random client order ids touch index pages all over the file
SEAL_PATIENCE_S: Final = 5.0
ROWS_PER_STATEMENT: Final = 64
_COLUMNS: Final = {"groups": 7, "records": 5, "intents": 4}


class _Tip(NamedTuple):
    """The end of the chain: of what is committed, or with what the open transaction holds."""

    gid: int
    head: bytes
    last_seq: int
    epoch: int


class _Staged(NamedTuple):
    tip: _Tip
    pages: int
    group_row: tuple[chain.Value, ...]
    records: list[tuple[int, int, int, bytes, bytes]]
    intents: list[tuple[bytes, bytes, int, int]]


class Committer:
    """Owner of the writing connection; not thread-safe, not usable after an error it raised."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, durable: bool, clock_ns: Callable[[], int]
    ) -> None:
        self.path = path
        self.head: bytes = chain.GENESIS_PREVIOUS
        self.gid = 0
        self.epoch = 0
        self.last_seq = 0
        self.first_seq = 1
        self.last_snapshot = -1
        self.connection = connection
        self._cursor = connection.cursor()
        self._durable = durable
        self._clock_ns = clock_ns
        # The open transaction: its groups, what was inserted of them, and the outcome of each.
        self._groups: list[Group] = []
        self._staged: list[_Staged] = []
        self._outcomes: list[int | JournalError] = []
        self._sql: dict[tuple[str, int], str] = {}
        # SQLite tells the number of WAL frames only when it checkpoints; in between this is an estimate.
        self._new_pages = 0
        self._unfinished_pages = 0

    def commit(self, groups: Sequence[Group]) -> list[int | JournalError]:
        """Make durable what `insert` wrote and these groups; return the gid, or why it was refused, of each.

        Raises
        ------
        sqlite3.Error
            The transaction failed; the caller treats it as fatal.
        """
        if groups:
            self.insert(groups)
        if self._groups:
            self._cursor.execute("COMMIT")
        staged, outcomes = self._staged, self._outcomes
        self._groups, self._staged, self._outcomes = [], [], []
        if staged:
            self._advance(staged)
        return outcomes

    def insert(self, groups: Sequence[Group]) -> None:
        """Write groups into the open transaction, which the next `commit` ends; opens it if there is none.

        Raises
        ------
        sqlite3.Error
            The transaction failed; the caller treats it as fatal.
        """
        time_ns = self._clock_ns()
        if not self._groups:
            self._cursor.execute("BEGIN IMMEDIATE")
        self._groups += groups
        staged, outcomes = self._stage(groups, time_ns)
        try:
            self._insert("intents", [row for item in staged for row in item.intents])
            self._insert_rows(staged)
        except sqlite3.IntegrityError:
            # Rare: find the group that repeats an intent, each group behind its own savepoint.
            self._cursor.execute("ROLLBACK")
            self._cursor.execute("BEGIN IMMEDIATE")
            self._staged, self._outcomes = self._insert_one_by_one(self._groups, time_ns)
            return
        self._staged += staged
        self._outcomes += outcomes

    def snapshot(self, seq: int, state: bytes) -> int:
        """Write a snapshot as its own transaction, chained as a group without records.

        Raises
        ------
        InvalidGroup
            `seq` is not behind the newest snapshot, or ahead of the journal.
        sqlite3.Error
            The transaction failed; the caller treats it as fatal.
        """
        if not self.last_snapshot < seq <= self.last_seq:
            raise InvalidGroup(
                f"snapshot seq must be above the last snapshot {self.last_snapshot} and at most"
                f" {self.last_seq}, was {seq!r}"
            )
        if self._groups:
            raise RuntimeError("a snapshot is its own transaction, and one is open")
        gid, state_hash = self.gid + 1, chain.hash_state(state)
        columns = (gid, self.epoch, self.last_seq + 1, self.last_seq, self._clock_ns())
        head = chain.hash_bytes(self.head, chain.encode_group(columns, (), (), [(seq, gid, state_hash)]))
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?)", (seq, gid, state_hash, state))
        self.connection.execute(
            "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?)", (*columns, self.head, head)
        )
        self.connection.execute("COMMIT")
        self.head, self.gid, self.last_snapshot = head, gid, seq
        self._new_pages += 4 + len(state) // (PAGE_SIZE - 100)
        return gid

    @property
    def wants_checkpoint(self) -> bool:
        """Whether enough pages have gathered for a checkpoint in an idle moment."""
        return self._new_pages >= CHECKPOINT_PAGES

    def checkpoint_if_due(self, *, idle: bool) -> bool:
        """Copy WAL pages into the file when enough have gathered; tell whether it was done.

        Raises
        ------
        sqlite3.Error
            The checkpoint failed; the caller treats it as fatal.
        """
        total = self._new_pages + self._unfinished_pages
        if self._groups or self._new_pages < CHECKPOINT_PAGES:
            return False  # SQLite takes no checkpoint inside a transaction
        if not (idle or total >= FORCED_CHECKPOINT_PAGES):
            return False
        _, frames, copied = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > FORCED_CHECKPOINT_PAGES:
            log.warning("journal_wal_grows path=%s frames=%d copied=%d", self.path, frames, copied)
        self._new_pages, self._unfinished_pages = 0, frames - copied
        return True

    def seal(self) -> None:
        """Checkpoint everything, leave WAL mode, write the block hashes, and close.

        Nobody else gets the file in between: a successor that took it up at once would write other sums at
        the same place, and what is hashed here would be a file in use.

        Raises
        ------
        JournalError
            A reader kept the file open, or the sums could not be written.
        sqlite3.Error
            The checkpoint failed; the caller treats it as fatal.
        """
        deadline = time.monotonic() + SEAL_PATIENCE_S
        try:
            while not (self._leave_wal() and self._lock()):
                if time.monotonic() > deadline:
                    raise JournalError(
                        f"sealing {str(self.path)!r} needs it to itself, a reader holds it open"
                    )
                time.sleep(0.005)
            write_sums(self.path, self.head, durable=self._durable)
        finally:
            self.connection.close()

    def _lock(self) -> bool:
        """Keep everybody else out until the close; False while somebody is in, or has it in WAL mode again.

        Raises
        ------
        JournalError
            Another process took the journal up and wrote to it.
        """
        run = self.connection.execute
        try:
            run("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                return False
            raise
        newest = run("SELECT max(gid) FROM groups").fetchone()[0]
        if newest != self.gid:
            raise JournalError(f"{str(self.path)!r} has group {newest}, this writer's last one is {self.gid}")
        if run("PRAGMA journal_mode").fetchone()[0] == "delete":
            return True
        run("ROLLBACK")
        return False

    def enter_wal(self, prezero_mb: int) -> None:
        """Switch to WAL mode and write the log to its working size, so that it is overwritten, not grown.

        Raises
        ------
        JournalError
            The file cannot be switched: another process has it open.
        """
        run = self.connection.execute
        mode = run("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise JournalError(f"journal mode of {str(self.path)!r} expected 'wal', was {mode!r}")
        run("PRAGMA wal_autocheckpoint=0")
        run("PRAGMA mmap_size=0")
        run("PRAGMA temp_store=MEMORY")
        run(f"PRAGMA cache_size=-{CACHE_KIB}")
        run("PRAGMA synchronous=OFF")
        frames = prezero_mb * 2**20 // (PAGE_SIZE + 24)
        wal = wal_path(self.path)
        if frames and self._durable and (not wal.exists() or wal.stat().st_size < frames * PAGE_SIZE):
            for _ in range(frames):  # one page each: page 1 with the same value
                run(f"PRAGMA user_version={SCHEMA_VERSION}")
        if self._durable:
            run("PRAGMA synchronous=FULL")
            self._warm()
        # RESTART: the next transaction begins at the start of the log. Also the first fsync of it.
        run("PRAGMA wal_checkpoint(RESTART)")

    def _warm(self) -> None:
        """Compile every statement a commit may need: a long one costs as much as the fsync."""
        self._cursor.execute("BEGIN IMMEDIATE")
        for count in range(1, ROWS_PER_STATEMENT + 1):
            seqs = range(MAX_INT - count, MAX_INT)
            self._insert("records", [(seq, 0, 0, b"", b"") for seq in seqs])
            self._insert("groups", [(seq, 0, 0, 0, 0, b"", b"") for seq in seqs][:8])
            self._insert("intents", [(b"%d" % seq, b"%d" % seq, 0, 0) for seq in seqs][:8])
            self._cursor.execute("ROLLBACK")
            self._cursor.execute("BEGIN IMMEDIATE")
        self._cursor.execute("ROLLBACK")

    def _leave_wal(self) -> bool:
        try:
            mode = self.connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                return False
            raise
        return bool(mode == "delete")

    def _stage(self, groups: Sequence[Group], time_ns: int) -> tuple[list[_Staged], list[int | JournalError]]:
        staged: list[_Staged] = []
        outcomes: list[int | JournalError] = []
        tip = self._staged[-1].tip if self._staged else self._tip()
        for group in groups:
            try:
                item = self._stage_one(group, tip, time_ns)
            except InvalidGroup as refusal:
                outcomes.append(refusal)
                continue
            tip = item.tip
            staged.append(item)
            outcomes.append(tip.gid)
        return staged, outcomes

    def _tip(self) -> _Tip:
        return _Tip(self.gid, self.head, self.last_seq, self.epoch)

    def _stage_one(self, group: Group, tip: _Tip, time_ns: int) -> _Staged:
        gid, last_seq, epoch = tip.gid + 1, tip.last_seq, tip.epoch
        first = seq = group.records[0].seq if group.records else last_seq + 1
        if not isinstance(group.epoch, int) or not epoch <= group.epoch <= MAX_INT:
            raise InvalidGroup(f"group epoch must be an int of at least {epoch}, was {group.epoch!r}")
        if not isinstance(seq, int) or not last_seq < seq < MAX_INT:
            raise InvalidGroup(f"first seq must be above {last_seq}, was {seq!r}")
        records = []
        for record in group.records:
            kind, key, body = record.kind, record.round, record.body
            if (
                record.seq != seq
                or not isinstance(kind, int)
                or not 0 <= kind <= MAX_INT
                or not isinstance(key, bytes)
                or len(key) not in (0, ROUND_SIZE)
                or not isinstance(body, bytes)
            ):
                raise InvalidGroup(malformed(record, seq))
            records.append((seq, gid, kind, key, body))
            seq += 1
        intents = []
        for intent in group.intents:
            if not isinstance(intent.cid, bytes) or not isinstance(intent.iid, bytes):
                raise InvalidGroup(f"intent cid and iid must be bytes, was {intent!r}")
            # Ids carried over from a rotated file name records of that file.
            if not isinstance(intent.seq, int) or not (
                first <= intent.seq < seq or intent.seq < self.first_seq
            ):
                raise InvalidGroup(
                    f"intent seq must be a record of its group {first}..{seq - 1}, was {intent!r}"
                )
            intents.append((intent.cid, intent.iid, intent.seq, gid))
        columns = (gid, group.epoch, first, seq - 1, time_ns)
        encoded = chain.encode_group(columns, records, intents)
        head = chain.hash_bytes(tip.head, encoded)
        pages = 1 + 3 * len(intents) + len(encoded) // (PAGE_SIZE - 200)
        end = _Tip(gid, head, seq - 1, group.epoch)
        return _Staged(end, pages, (*columns, tip.head, head), records, intents)

    def _insert_rows(self, staged: Sequence[_Staged]) -> None:
        self._insert("records", [row for item in staged for row in item.records])
        self._insert("groups", [item.group_row for item in staged])

    def _insert(self, table: str, rows: Sequence[tuple[chain.Value, ...]]) -> None:
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[start : start + ROWS_PER_STATEMENT]
            sql = self._sql.get((table, len(part)))
            if sql is None:
                one = "(" + ", ".join("?" * _COLUMNS[table]) + ")"
                sql = f"INSERT INTO {table} VALUES " + ", ".join([one] * len(part))
                self._sql[table, len(part)] = sql
            self._cursor.execute(sql, tuple(concatenate.from_iterable(part)))

    def _insert_one_by_one(
        self, groups: Sequence[Group], time_ns: int
    ) -> tuple[list[_Staged], list[int | JournalError]]:
        run = self.connection.execute
        done: list[_Staged] = []
        outcomes: list[int | JournalError] = []
        tip = self._tip()
        for group in groups:
            run("SAVEPOINT one")
            try:
                item = self._stage_one(group, tip, time_ns)
                self._insert_intents(item)
            except InvalidGroup as refusal:
                run("ROLLBACK TO one")
                run("RELEASE one")
                outcomes.append(refusal)
                continue
            # A constraint that fails here means a second writer: fatal, as the caller sees an sqlite3.Error.
            self._insert_rows([item])
            run("RELEASE one")
            tip = item.tip
            done.append(item)
            outcomes.append(tip.gid)
        return done, outcomes

    def _insert_intents(self, item: _Staged) -> None:
        for cid, iid, seq, gid in item.intents:
            try:
                self._insert("intents", [(cid, iid, seq, gid)])
            except sqlite3.IntegrityError as error:
                sql = "SELECT seq FROM intents WHERE cid = ? OR iid = ?"
                earlier = self.connection.execute(sql, (cid, iid)).fetchone()
                raise DuplicateIntent(
                    f"table intents: cid and iid must be new, cid {cid!r} iid {iid!r} of seq {seq} was"
                    f" journaled at seq {earlier and earlier[0]!r} ({error})"
                ) from error

    def _advance(self, staged: Sequence[_Staged]) -> None:
        self.gid, self.head, self.last_seq, self.epoch = staged[-1].tip
        self._new_pages += 2 + sum(item.pages for item in staged)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
