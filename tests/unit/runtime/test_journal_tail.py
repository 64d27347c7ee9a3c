"""Following a journal: what `JournalTail` hands out continues the chain, and nothing else is handed out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runtime.journal import Group, IntentRow, JournalCorrupt, JournalReader, JournalWriter, Record
from runtime.journal.copying import copy_journal
from runtime.journal.tail import JournalTail
from runtime.journal.verify import verify

# Each changes something that belongs to group 3 or to how it is linked.
DAMAGES = [
    "UPDATE records SET body = x'00' WHERE gid = 3",
    "UPDATE records SET kind = 99 WHERE gid = 3",
    "UPDATE records SET gid = 4 WHERE gid = 3",
    "DELETE FROM records WHERE gid = 3",
    "UPDATE intents SET cid = x'00' WHERE gid = 3",
    "DELETE FROM intents WHERE gid = 3",
    "UPDATE snapshots SET state_hash = x'00'",
    "DELETE FROM snapshots",
    "UPDATE groups SET t_commit = t_commit + 1 WHERE gid = 3",
    "UPDATE groups SET epoch = 2 WHERE gid = 3",
    "UPDATE groups SET hash = x'00' WHERE gid = 3",
    "UPDATE groups SET prev_hash = x'00' WHERE gid = 3",
    "DELETE FROM groups WHERE gid = 3",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sealed journal of six groups with two records and an intent each, a snapshot behind the third."""
    file = tmp_path / "desk.journal"
    with JournalWriter.create(file, {"run_id": "r"}, durable=False, prezero_mb=0) as writer:
        for n in range(6):
            seq = 2 * n + 1
            records = [Record(seq, 1, b"", b"one"), Record(seq + 1, 2, b"r" * 16, b"two")]
            writer.append(Group(1, records, [IntentRow(b"c%d" % n, b"i%d" % n, seq)])).result()
            if n == 2:
                writer.snapshot(seq + 1, b"state" * 100).result()
    return file


def read_all(path: Path, at_a_time: int) -> list[tuple[int, int]]:
    tail = JournalTail(path)
    gid, head, found = 0, tail.genesis.hash, []
    while groups := tail.read(gid, head, at_a_time):
        gid, head = groups[-1].row.gid, groups[-1].row.hash
        found += [(group.row.gid, record.seq) for group in groups for record in group.records]
    assert head == JournalReader(path).head()
    return found


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 5, 100])
def test_every_record_is_read_once_however_much_at_a_time(path: Path, at_a_time: int) -> None:
    # The snapshot is group 4, which has no record.
    gids = [1, 1, 2, 2, 3, 3, 5, 5, 6, 6, 7, 7]

    assert read_all(path, at_a_time) == list(zip(gids, range(1, 13), strict=True))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("at_a_time", [1, 100])
def test_damage_is_not_handed_out(path: Path, damage: str, at_a_time: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(damage).rowcount > 0
        connection.commit()

    with pytest.raises(JournalCorrupt):
        read_all(path, at_a_time)


def test_place_that_is_not_in_the_file_is_no_place(path: Path) -> None:
    with pytest.raises(JournalCorrupt, match="gid=3"):
        JournalTail(path).read(2, b"x" * 32, 10)


def test_changed_start_of_the_file_is_found_at_once(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE run SET value = 'other' WHERE key = 'run_id'")
        connection.commit()

    with pytest.raises(JournalCorrupt, match="run, or groups gid=0"):
        JournalTail(path)


def test_measure_counts_what_lies_behind(path: Path) -> None:
    tail = JournalTail(path)
    third = tail.group(3)
    fifth = tail.group(5)
    assert third is not None
    assert fifth is not None

    assert tail.measure(3, third.last_seq)[:4] == (7, 12, 6, 18)
    assert tail.measure(4, third.last_seq).oldest_ns == fifth.t_commit
    assert tail.measure(7, 12) == (7, 12, 0, 0, 0)


def test_copy_of_a_live_journal_is_a_sealed_beginning_of_it(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.journal"
    with JournalWriter.resume(path, durable=False, prezero_mb=0) as writer:
        writer.append(Group(2, [Record(13, 1, b"", b"more")])).result()

        assert copy_journal(path, copy) is False

        writer.append(Group(2, [Record(14, 1, b"", b"later")])).result()
    assert verify(copy).ok
    assert [record.seq for record in JournalReader(copy).records()] == list(range(1, 14))
    assert [record.seq for record in JournalReader(path).records()] == list(range(1, 15))


def test_copy_of_a_sealed_journal_is_the_same_file(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.journal"

    assert copy_journal(path, copy) is True

    assert copy.read_bytes() == path.read_bytes()
    assert verify(copy).ok
