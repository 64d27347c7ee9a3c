"""Following a journal while it grows: the groups behind a known place, checked against the chain.

Problem: whoever projects a journal elsewhere must know that what it reads continues what it read before,
across restarts of either side, and must not hold the file open. So a place in the journal is (gid, hash),
every read starts from one, and every group is hashed again with all its rows before it is handed out.

Not here: what is done with the groups (`runtime.shipper`), checking a file as a whole (`verify`).

Invariant: a group is handed out only if the chain from the given place to it holds.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from runtime.journal.chain import GENESIS_PREVIOUS, Row, encode_group, hash_bytes
from runtime.journal.schema import (
    READ_ERRORS,
    GroupRow,
    JournalCorrupt,
    JournalError,
    Record,
    check_identity,
    open_readonly,
)

_GROUP_COLUMNS: Final = "gid, epoch, first_seq, last_seq, t_commit, prev_hash, hash"
_GROUPS_PER_READ: Final = 4096


class TailGroup(NamedTuple):
    """A group as it is in the file, with its records in order."""

    row: GroupRow
    records: list[Record]


class Waiting(NamedTuple):
    """What lies behind a place: its end, how many records and bytes, and since when (ns; 0: nothing)."""

    gid: int
    seq: int
    records: int
    bytes: int
    oldest_ns: int


class JournalTail:
    """Reader of one growing file; holds no connection between calls."""

    def __init__(self, path: Path) -> None:
        """Read who wrote the file, and check that its start verifies.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        JournalError
            It is no journal of this version, or its first group does not verify.
        """
        self.path = path
        with closing(open_readonly(path)) as connection:
            check_identity(connection, path)
            try:
                rows = connection.execute("SELECT key, value FROM run ORDER BY key").fetchall()
            except READ_ERRORS as error:
                raise JournalCorrupt(f"{str(path)!r} table 'run' must be readable: {error}") from error
        self.run: dict[str, str] = dict(rows)
        genesis = self.group(0)
        if genesis is None:
            raise JournalCorrupt(f"{str(path)!r} table groups: expected a genesis row, there is none")
        self.genesis = genesis
        self._intents_from = (0, 0)  # all intents of groups up to this gid have at most this rowid
        columns = (0, genesis.epoch, genesis.first_seq, genesis.last_seq, genesis.t_commit)
        if hash_bytes(genesis.prev_hash, encode_group(columns, (), run=rows)) != genesis.hash:
            raise JournalCorrupt(f"{str(path)!r} run, or groups gid=0: content does not match its hash")

    @property
    def follows(self) -> bytes | None:
        """Last hash of the file this one continues after a rotation; None for the first of a run."""
        return None if self.genesis.prev_hash == GENESIS_PREVIOUS else self.genesis.prev_hash

    def group(self, gid: int) -> GroupRow | None:
        """Return one link of the chain as stored, None when there is none."""
        sql = f"SELECT {_GROUP_COLUMNS} FROM groups WHERE gid = ?"
        with closing(open_readonly(self.path)) as connection:
            rows = self._all(connection, sql, gid)
        return GroupRow(*rows[0]) if rows else None

    def read(self, gid: int, head: bytes, max_records: int) -> list[TailGroup]:
        """Return the groups behind the place (gid, head): about `max_records` records, whole groups.

        Raises
        ------
        JournalCorrupt
            The file cannot be read, or does not continue from there.
        """
        with closing(open_readonly(self.path)) as connection:
            self._all(connection, "BEGIN")
            rows = self._groups(connection, gid, max_records)
            if not rows:
                return []
            first, last = rows[0], rows[-1]
            sql = "SELECT seq, gid, kind, round, body FROM records WHERE seq BETWEEN ? AND ? ORDER BY seq"
            records = self._all(connection, sql, first.first_seq, last.last_seq)
            intents = self._intents(connection, gid, last.gid)
            sql = "SELECT seq, gid, state_hash FROM snapshots WHERE gid BETWEEN ? AND ? ORDER BY seq"
            snapshots = self._all(connection, sql, first.gid, last.gid)
        return self._checked(gid, head, rows, records, intents, snapshots)

    def measure(self, gid: int, seq: int) -> Waiting:
        """Say how much lies behind the place (gid, seq); cheap when that is little."""
        with closing(open_readonly(self.path)) as connection:
            self._all(connection, "BEGIN")
            [(last_gid, oldest)] = self._all(
                connection,
                "SELECT max(gid), (SELECT t_commit FROM groups WHERE gid > ? ORDER BY gid LIMIT 1)"
                " FROM groups",
                gid,
            )
            sql = "SELECT count(*), coalesce(sum(length(body)), 0), max(seq) FROM records WHERE seq > ?"
            [(count, size, last_seq)] = self._all(connection, sql, seq)
        return Waiting(int(last_gid), seq if last_seq is None else int(last_seq), count, size, oldest or 0)

    def _groups(self, connection: sqlite3.Connection, gid: int, max_records: int) -> list[GroupRow]:
        sql = f"SELECT {_GROUP_COLUMNS} FROM groups WHERE gid > ? ORDER BY gid LIMIT ?"
        taken: list[GroupRow] = []
        count = 0
        for row in self._all(connection, sql, gid, min(_GROUPS_PER_READ, max_records)):
            group = GroupRow(*row)
            count += group.last_seq - group.first_seq + 1
            if taken and count > max_records:
                break
            taken.append(group)
        return taken

    def _intents(self, connection: sqlite3.Connection, gid: int, last_gid: int) -> list[Row]:
        # They are in the order of their groups; where to begin is remembered, since only cid and iid have
        # an index.
        known, start = self._intents_from
        if known > gid:
            start = 0
        taken: list[Row] = []
        sql = "SELECT cid, iid, seq, gid, rowid FROM intents NOT INDEXED WHERE rowid > ? ORDER BY rowid"
        try:
            for row in connection.execute(sql, (start,)):
                if row[3] > last_gid:
                    break
                if row[3] > gid:
                    taken.append(row[:4])
                start = row[4]
        except READ_ERRORS as error:
            raise self._corrupt("intents", f"must be readable: {error}") from error
        self._intents_from = (last_gid, start)
        return taken

    def _checked(
        self, gid: int, head: bytes, rows: Sequence[GroupRow], records: Sequence[Any], intents: Sequence[Row],
        snapshots: Sequence[Row],
    ) -> list[TailGroup]:  # fmt: skip
        owned = [_by_owner(records, 1), _by_owner(intents, 3), _by_owner(snapshots, 1)]
        groups = []
        for row in rows:
            mine = [each.get(row.gid, []) for each in owned]
            columns = (row.gid, row.epoch, row.first_seq, row.last_seq, row.t_commit)
            computed = hash_bytes(head, encode_group(columns, mine[0], mine[1], mine[2]))
            if row.gid != gid + 1 or row.prev_hash != head or computed != row.hash:
                raise self._corrupt(
                    f"groups gid={row.gid}", f"must continue group {gid} with hash {head.hex()}, it does not"
                )
            gid, head = row.gid, row.hash
            groups.append(
                TailGroup(row, [Record(seq, kind, key, body) for seq, _, kind, key, body in mine[0]])
            )
        return groups

    def _all(self, connection: sqlite3.Connection, sql: str, *arguments: int) -> list[Any]:
        try:
            return connection.execute(sql, arguments).fetchall()
        except sqlite3.OperationalError as error:
            # Busy, or its log is just being set up or removed: the next try finds it settled.
            if error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._corrupt("file", f"must be readable: {error}") from error
            raise JournalError(f"{str(self.path)!r} cannot be read now: {error}") from error
        except READ_ERRORS as error:
            raise self._corrupt("file", f"must be readable: {error}") from error

    def _corrupt(self, where: str, detail: str) -> JournalCorrupt:
        return JournalCorrupt(f"{str(self.path)!r} {where}: {detail}")


def _by_owner(rows: Sequence[Any], gid_at: int) -> dict[object, list[Any]]:
    owned: dict[object, list[Any]] = {}
    for row in rows:
        owned.setdefault(row[gid_at], []).append(row)
    return owned
