"""Groups written into the open transaction before the commit that makes them durable."""

import sqlite3
import threading
import time
from pathlib import Path

from runtime.journal import (
    DuplicateIntent,
    Group,
    IntentRow,
    JournalError,
    JournalReader,
    JournalWriter,
    Record,
    verify,
)


def make_group(seq: int, cid: bytes | None = None) -> Group:
    rows = [] if cid is None else [IntentRow(cid, b"iid of " + cid, seq)]
    return Group(1, [Record(seq, 1, b"", b"body %d" % seq)], rows)


def make_writer(path: Path, lazy_ms: float = 60_000.0) -> JournalWriter:
    return JournalWriter.create(path, {"run_id": "test"}, prezero_mb=0, lazy_ms=lazy_ms)


def test_settled_groups_are_read_only_after_the_commit_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    told: list[int] = []
    with make_writer(path) as writer:
        head = writer.head
        for seq in (1, 2, 3):
            writer.post(make_group(seq), lambda gid, error: told.append(gid), lazy=True)
            writer.settle()
        assert (told, writer.head, list(JournalReader(path).records())) == ([], head, [])

        writer.post_now(make_group(4, b"cid"), lambda gid, error: told.append(gid))
        writer.flush()
        assert told == [1, 2, 3, 4]
        assert [record.seq for record in JournalReader(path).records()] == [1, 2, 3, 4]
    assert verify(path).ok


def test_settled_lazy_groups_become_durable_in_their_time(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db", lazy_ms=20.0) as writer:
        for seq in range(1, 200):
            durable = writer.append(make_group(seq), lazy=True)
            writer.settle()
            if seq % 20 == 0:
                assert durable.result(timeout=5) == seq


def test_repeated_intent_leaves_settled_groups_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    outcomes: list[object] = []

    def note(gid: int, error: JournalError | None) -> None:
        outcomes.append(type(error) if error else gid)

    with make_writer(path) as writer:
        for seq, cid in ((1, b"one"), (2, b"two"), (3, b"one"), (4, b"four")):
            writer.post(make_group(seq, cid), note, lazy=True)
            writer.settle()
        writer.post_now(make_group(5, b"two"), note)
        writer.post_now(make_group(6, b"six"), note)
        writer.flush()
    assert outcomes == [1, 2, DuplicateIntent, 3, DuplicateIntent, 4]
    assert verify(path).ok


def test_snapshot_commits_what_was_settled_before(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with make_writer(path) as writer:
        for seq in range(1, 30):
            writer.append(make_group(seq), lazy=True)
            taken = writer.snapshot(seq, b"state %d" % seq) if seq % 5 == 0 else None
            writer.settle()
            if taken is not None:
                taken.result(timeout=5)
    assert verify(path).ok
    assert len(list(JournalReader(path).records())) == 29


def test_checkpoints_happen_though_the_caller_always_settles(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with make_writer(path) as writer:
        for at in range(1, 901):
            group = Group(1, [Record(at, 1, b"", bytes(20_000))])
            if at % 2:
                writer.post(group, lambda gid, error: None, lazy=True)
                writer.settle()
            else:
                writer.post_now(group, lambda gid, error: None)
            time.sleep(5e-4)  # the idle moment
        writer.flush()
        wal = (tmp_path / "j.db-wal").stat().st_size
    assert wal < 12_000_000, "18 MB were written"
    assert verify(path).ok


def test_failure_in_the_callers_thread_ends_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    fatal: list[int] = []
    told: list[str] = []
    writer = JournalWriter.create(
        path, {}, prezero_mb=0, lazy_ms=1.0, on_fatal=lambda e: fatal.append(threading.get_ident())
    )
    writer.post_now(make_group(1), lambda gid, error: None)
    writer.flush()
    with sqlite3.connect(path) as other:  # what no second writer may do: the row is taken
        other.execute("INSERT INTO records VALUES (2, 99, 1, x'', x'')")
    for seq in (2, 3):
        writer.post(make_group(seq), lambda gid, error: told.append(type(error).__name__), lazy=True)
        writer.settle()
    for _ in range(2):
        try:
            writer.close()
        except JournalError as error:
            told.append(type(error).__name__)
    assert set(told) == {"JournalFailed"}
    assert len(fatal) == 1
