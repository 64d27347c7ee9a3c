"""Reading a journal, sealed or while its writer runs.

Every call, and every few thousand rows of an iteration, uses its own short-lived
connection, so that a slow consumer neither stops the writer from reusing its log nor
from sealing the file. What was read once never changes: a journal only grows.
What is not here: checking the chain (`verify`).
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from runtime.journal.chain import hash_state
from runtime.journal.schema import (
    READ_ERRORS,
    GroupRow,
    IntentRow,
    JournalCorrupt,
    Record,
    Snapshot,
    check_identity,
    open_readonly,
)

_ROWS_PER_READ: Final = 4096


class JournalReader:
    """Reader of one journal file; any number of them, in any process.

    Holds no connection between calls. Records appear in order, and only committed ones.
    """

    def __init__(self, path: str | Path) -> None:
        """Check that the path holds a journal of this version.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        JournalVersionError, JournalCorrupt
            It is no journal of this version.
        """
        self.path = Path(path)
        with closing(open_readonly(self.path)) as connection:
            check_identity(connection, self.path)

    def run(self) -> dict[str, str]:
        """Return the `run` rows: who wrote the file, with which versions."""
        return dict(self._all("run", "SELECT key, value FROM run ORDER BY key"))

    def groups(self, after_gid: int = 0) -> Iterator[GroupRow]:
        """Iterate over the chain behind `after_gid`; -1 includes the genesis."""
        sql = (
            "SELECT gid, epoch, first_seq, last_seq, t_commit, prev_hash, hash"
            " FROM groups WHERE gid > ? ORDER BY gid LIMIT ?"
        )
        while rows := self._all("groups", sql, after_gid, _ROWS_PER_READ):
            for row in rows:
                yield GroupRow(*row)
            after_gid = rows[-1][0]

    def records(
        self, after_seq: int = 0, kinds: Collection[int] | None = None, round: bytes | None = None
    ) -> Iterator[Record]:
        """Iterate over the records behind `after_seq`, in journal order.

        Parameters
        ----------
        kinds : only these kinds; None gives all
        round : only this round, 16 bytes; a scan, for tools
        """
        conditions = ""
        arguments: list[int | bytes] = []
        if kinds is not None:
            conditions += f" AND kind IN ({', '.join('?' * len(kinds))})"
            arguments += [*kinds]
        if round is not None:
            conditions += " AND round = ?"
            arguments.append(round)
        sql = f"SELECT seq, kind, round, body FROM records WHERE seq > ?{conditions} ORDER BY seq LIMIT ?"
        while rows := self._all("records", sql, after_seq, *arguments, _ROWS_PER_READ):
            for row in rows:
                yield Record(*row)
            after_seq = rows[-1][0]

    def intents(self) -> Iterator[IntentRow]:
        """Iterate over the intents in the order they were journaled."""
        sql = "SELECT rowid, cid, iid, seq FROM intents WHERE rowid > ? ORDER BY rowid LIMIT ?"
        after = 0
        while rows := self._all("intents", sql, after, _ROWS_PER_READ):
            for _, cid, iid, seq in rows:
                yield IntentRow(cid, iid, seq)
            after = rows[-1][0]

    def latest_snapshot(self) -> Snapshot | None:
        """Return the newest snapshot whose state matches its hash, or None."""
        for (seq,) in self._all("snapshots", "SELECT seq FROM snapshots ORDER BY seq DESC"):
            sql = "SELECT gid, state_hash, state FROM snapshots WHERE seq = ?"
            for gid, state_hash, state in self._all("snapshots", sql, seq):
                if isinstance(state, bytes) and hash_state(state) == state_hash:
                    return Snapshot(seq, gid, state)
        return None

    def head(self) -> bytes:
        """Return the hash of the last committed group."""
        rows = self._all("groups", "SELECT hash FROM groups ORDER BY gid DESC LIMIT 1")
        if not rows:
            raise JournalCorrupt(f"{str(self.path)!r} table groups: expected a genesis row, there is none")
        return bytes(rows[0][0])

    @property
    def count(self) -> int:
        """Number of records."""
        return int(self._all("records", "SELECT count(*) FROM records")[0][0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _all(self, table: str, sql: str, *arguments: int | bytes) -> list[Any]:
        with closing(open_readonly(self.path)) as connection:
            try:
                return connection.execute(sql, arguments).fetchall()
            except READ_ERRORS as error:
                raise JournalCorrupt(
                    f"{str(self.path)!r} table {table!r} must be readable: {error}"
                ) from error
