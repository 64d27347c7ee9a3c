"""Writing, reading and resuming a journal in one process."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from runtime.journal import (
    DuplicateIntent,
    Group,
    IntentRow,
    InvalidGroup,
    JournalCorrupt,
    JournalError,
    JournalExists,
    JournalReader,
    JournalVersionError,
    JournalWriter,
    Record,
    verify,
)
from runtime.journal.commit import Committer

ROUND = b"round-0000000001"


def make_group(seq: int, size: int = 3, *, epoch: int = 1, cid: bytes | None = None) -> Group:
    records = [Record(seq + at, at % 4, ROUND if at else b"", b"body %d" % (seq + at)) for at in range(size)]
    intents = [] if cid is None else [IntentRow(cid, b"iid of " + cid, seq)]
    return Group(epoch, records, intents)


def make_writer(path: Path, **over: object) -> JournalWriter:
    return JournalWriter.create(path, {"run_id": "test"}, **{"prezero_mb": 0, **over})  # type: ignore[arg-type]


def test_sealed_journal_gives_back_every_row(tmp_path: Path) -> None:
    groups = [make_group(1, cid=b"a"), make_group(4, 1), make_group(5, 10, epoch=2, cid=b"b")]
    with make_writer(tmp_path / "j.db") as writer:
        gids = [writer.append(group).result() for group in groups]
        head = writer.head

    reader = JournalReader(tmp_path / "j.db")
    assert gids == [1, 2, 3]
    assert list(reader.records()) == [record for group in groups for record in group.records]
    assert list(reader.intents()) == [intent for group in groups for intent in group.intents]
    rows = list(reader.groups())
    assert [(row.gid, row.epoch, row.first_seq, row.last_seq) for row in rows] == [
        (1, 1, 1, 3),
        (2, 1, 4, 4),
        (3, 2, 5, 14),
    ]
    assert reader.run() == {"run_id": "test", "schema_version": "1", "first_seq": "1"}
    assert reader.count == 14
    assert reader.head() == head == rows[-1].hash
    assert [row.gid for row in reader.groups(-1)] == [0, 1, 2, 3]


def test_sealed_journal_is_one_file_and_its_sums(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db", prezero_mb=1) as writer:
        writer.append(make_group(1))

    assert sorted(item.name for item in tmp_path.iterdir()) == ["j.db", "j.db.sum"]
    report = verify(tmp_path / "j.db")
    assert (report.ok, report.faults, report.groups, report.records) == (True, [], 1, 3)


def test_prezeroed_log_does_not_grow_with_the_first_groups(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db", prezero_mb=1) as writer:
        before = (tmp_path / "j.db-wal").stat().st_size
        for at in range(10):
            writer.append(make_group(1 + 3 * at)).result()

        assert (tmp_path / "j.db-wal").stat().st_size == before > 1_000_000


def test_records_are_filtered_by_seq_kind_and_round(tmp_path: Path) -> None:
    other = b"round-0000000002"
    with make_writer(tmp_path / "j.db") as writer:
        writer.append(
            Group(1, [Record(1, 7, ROUND, b"a"), Record(2, 8, ROUND, b"b"), Record(3, 7, other, b"c")])
        )

    reader = JournalReader(tmp_path / "j.db")
    assert [record.seq for record in reader.records(after_seq=1)] == [2, 3]
    assert [record.seq for record in reader.records(kinds={7})] == [1, 3]
    assert [record.seq for record in reader.records(kinds=())] == []
    assert [record.seq for record in reader.records(round=ROUND)] == [1, 2]
    assert [record.seq for record in reader.records(1, {7}, other)] == [3]


def test_duplicate_intent_is_refused_and_its_batch_commits(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db") as writer:
        writer.append(make_group(1, cid=b"a")).result()
        hold = threading.Event()

        def wait(gid: int, error: JournalError | None) -> None:
            hold.wait()

        writer.post(make_group(4, 1), wait)  # so that the next ones are one batch
        futures = [
            writer.append(make_group(5, cid=b"b")),
            writer.append(make_group(8, cid=b"a")),
            writer.append(make_group(11, cid=b"c")),
            writer.append(make_group(14, cid=b"c")),
            writer.append(make_group(17)),
        ]
        hold.set()
        writer.flush()

    assert [futures[at].result() for at in (0, 2, 4)] == [3, 4, 5]
    for at in (1, 3):
        with pytest.raises(DuplicateIntent, match="table intents: cid and iid must be new"):
            futures[at].result()
    reader = JournalReader(tmp_path / "j.db")
    assert [intent.cid for intent in reader.intents()] == [b"a", b"b", b"c"]
    assert [record.seq for record in reader.records()] == [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 17, 18, 19]
    assert verify(tmp_path / "j.db").ok


def test_intent_id_alone_is_unique_too(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db") as writer:
        record = Record(1, 1, b"", b"x")
        twice = [IntentRow(b"a", b"same", 1), IntentRow(b"b", b"same", 1)]

        with pytest.raises(DuplicateIntent):
            writer.append(Group(1, [record], twice)).result()
    assert list(JournalReader(tmp_path / "j.db").intents()) == []
    assert JournalReader(tmp_path / "j.db").count == 0


@pytest.mark.parametrize(
    ("group", "text"),
    [
        (Group(1, [Record(1, 1, b"short", b"x")]), "round must be 16 or no bytes, was b'short'"),
        (Group(1, [Record(1, -1, b"", b"x")]), "kind must be an int of at least 0, was -1"),
        (Group(1, [Record(1, 1, b"", "x")]), "body must be bytes, was 'str'"),  # type: ignore[arg-type]
        (Group(1, [Record(1, 1, b"", b"x"), Record(3, 1, b"", b"x")]), "seq must be 2, was 3"),
        (
            Group(1, [Record(1, 1, b"", b"x")], [IntentRow(b"c", b"i", 9)]),
            "must be a record of its group 1..1",
        ),
        (Group(2**63, [Record(1, 1, b"", b"x")]), "epoch must be an int of at least 0"),
    ],
)
def test_malformed_group_is_refused_alone(tmp_path: Path, group: Group, text: str) -> None:
    with make_writer(tmp_path / "j.db") as writer:
        with pytest.raises(InvalidGroup, match=text):
            writer.append(group).result()
        epoch = max(1, group.epoch)
        gid = writer.append(make_group(writer.next_seq, epoch=1)).result() if epoch == 1 else 1

    assert gid == 1
    assert verify(tmp_path / "j.db").ok


def test_wrong_seq_and_lower_epoch_are_refused_at_once(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db") as writer:
        writer.append(make_group(1, epoch=3))

        with pytest.raises(InvalidGroup, match="first seq must be 4, was 1"):
            writer.append(make_group(1, epoch=3))
        with pytest.raises(InvalidGroup, match="epoch must be at least 3, was 2"):
            writer.append(make_group(4, epoch=2))
        assert writer.next_seq == 4


def test_lazy_groups_wait_for_the_next_durable_one(tmp_path: Path) -> None:
    with make_writer(tmp_path / "j.db", lazy_ms=60_000.0) as writer:
        lazy = [writer.append(make_group(1 + at, 1), lazy=True) for at in range(5)]
        durable = writer.append(make_group(6, 1))

        assert durable.result() == 6
        assert [future.result() for future in lazy] == [1, 2, 3, 4, 5]
        times = {row.t_commit for row in JournalReader(writer.path).groups()}
        assert len(times) == 1, "one transaction for all of them"


def test_lazy_groups_become_durable_by_number_time_flush_and_close(tmp_path: Path) -> None:
    with make_writer(tmp_path / "many.db", lazy_ms=60_000.0) as writer:
        futures = [writer.append(make_group(1 + at, 1), lazy=True) for at in range(256)]
        assert futures[-1].result() == 256
        flushed = writer.append(make_group(257), lazy=True)
        writer.flush()
        assert flushed.done()
        closed = writer.append(make_group(260), lazy=True)
    assert closed.result() == 258
    with make_writer(tmp_path / "time.db", lazy_ms=1.0) as writer:
        assert writer.append(make_group(1), lazy=True).result() == 1


def test_callback_gets_gid_or_error_and_may_raise(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []

    def note(gid: int, error: JournalError | None) -> None:
        seen.append((gid, type(error).__name__))
        raise RuntimeError("a bug in a callback")

    with make_writer(tmp_path / "j.db") as writer:
        writer.post(make_group(1, cid=b"a"), note)
        writer.post(make_group(4, cid=b"a"), note)
        writer.flush()
        assert writer.append(make_group(7)).result() == 2

    assert seen == [(1, "NoneType"), (0, "DuplicateIntent")]


def test_appends_of_many_threads_are_all_kept_in_order(tmp_path: Path) -> None:
    lock = threading.Lock()
    futures: list[Future[int]] = []

    with make_writer(tmp_path / "j.db") as writer:

        def work() -> None:
            for _ in range(100):
                with lock:  # seq is taken and used in one step
                    futures.append(writer.append(make_group(writer.next_seq, 2)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [future.result() for future in futures] == list(range(1, 401))
    assert [record.seq for record in JournalReader(tmp_path / "j.db").records()] == list(range(1, 801))


def test_snapshot_is_chained_and_the_newest_valid_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with make_writer(path) as writer:
        writer.append(make_group(1), lazy=True)
        assert writer.snapshot(3, b"state three").result() == 2
        writer.append(make_group(4)).result()
        assert writer.snapshot(6, b"state six" * 1000).result() == 4
        with pytest.raises(InvalidGroup, match="must be above the last snapshot 6 and at most 6, was 6"):
            writer.snapshot(6, b"again").result()
        with pytest.raises(InvalidGroup, match="at most 6, was 7"):
            writer.snapshot(7, b"ahead").result()

    newest = JournalReader(path).latest_snapshot()
    assert newest is not None
    assert (newest.seq, newest.gid, newest.state) == (6, 4, b"state six" * 1000)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE snapshots SET state = x'00' WHERE seq = 6")
    connection.close()
    older = JournalReader(path).latest_snapshot()
    assert older is not None
    assert (older.seq, older.state) == (3, b"state three")


def test_create_refuses_to_overwrite_a_journal_or_its_side_files(tmp_path: Path) -> None:
    make_writer(tmp_path / "j.db").close()
    before = (tmp_path / "j.db").read_bytes()
    (tmp_path / "k.db-wal").write_bytes(b"")

    with pytest.raises(JournalExists, match=r"j\.db' exists"):
        make_writer(tmp_path / "j.db")
    with pytest.raises(JournalExists, match=r"k\.db-wal' exists"):
        make_writer(tmp_path / "k.db")
    assert (tmp_path / "j.db").read_bytes() == before


def test_run_rows_must_be_text_and_leave_the_reserved_keys(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="schema_version"):
        JournalWriter.create(tmp_path / "j.db", {"schema_version": "9"})
    with pytest.raises(JournalError, match="text, was 'n': 3"):
        JournalWriter.create(tmp_path / "j.db", {"n": 3})  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


def test_resume_continues_chain_seq_and_uniqueness_of_a_sealed_file(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with make_writer(path) as writer:
        writer.append(make_group(1, cid=b"a"))
        writer.append(make_group(4))
        writer.snapshot(6, b"state").result()
        head = writer.head

    with JournalWriter.resume(path, prezero_mb=0, check_groups=2) as writer:
        assert (writer.next_seq, writer.head) == (7, head)
        assert not (tmp_path / "j.db.sum").exists()
        with pytest.raises(DuplicateIntent):
            writer.append(make_group(7, epoch=2, cid=b"a")).result()
        assert writer.append(make_group(10, epoch=2, cid=b"b")).result() == 4

    assert verify(path).ok
    assert [row.epoch for row in JournalReader(path).groups()] == [1, 1, 1, 2]


def test_rotated_file_repeats_the_old_head_and_client_order_ids(tmp_path: Path) -> None:
    with make_writer(tmp_path / "1.db") as writer:
        writer.append(make_group(1, cid=b"a")).result()
        head = writer.head
    carried = list(JournalReader(tmp_path / "1.db").intents())

    run = {"previous_head": head.hex()}
    with JournalWriter.create(tmp_path / "2.db", run, first_seq=4, prezero_mb=0) as writer:
        writer.snapshot(3, b"state").result()
        writer.append(Group(1, [], carried)).result()
        with pytest.raises(DuplicateIntent):
            writer.append(make_group(4, cid=b"a")).result()

    reader = JournalReader(tmp_path / "2.db")
    assert next(reader.groups(-1)).prev_hash == head
    assert verify(tmp_path / "2.db").ok


def test_resume_refuses_a_damaged_tail_another_version_and_other_files(tmp_path: Path) -> None:
    for name, sql in (
        ("tail.db", "UPDATE records SET body = x'00' WHERE seq = 2"),
        ("version.db", "PRAGMA user_version = 7"),
        ("other.db", "PRAGMA application_id = 7"),
        ("table.db", "CREATE TABLE more (x)"),
    ):
        with make_writer(tmp_path / name) as writer:
            writer.append(make_group(1))
        with sqlite3.connect(tmp_path / name) as connection:
            connection.execute(sql)
        connection.close()
    (tmp_path / "text.db").write_bytes(b"no database at all" * 100)

    with pytest.raises(JournalCorrupt, match="group gid=1"):
        JournalWriter.resume(tmp_path / "tail.db")
    with pytest.raises(JournalVersionError, match="schema version 7, expected 1"):
        JournalWriter.resume(tmp_path / "version.db")
    with pytest.raises(JournalVersionError, match="schema version 7, expected 1"):
        JournalReader(tmp_path / "version.db")
    for name in ("other.db", "table.db", "text.db"):
        with pytest.raises(JournalCorrupt):
            JournalWriter.resume(tmp_path / name)
        with pytest.raises(JournalCorrupt):
            JournalReader(tmp_path / name)
    for missing in (JournalWriter.resume, JournalReader):
        with pytest.raises(FileNotFoundError):
            missing(tmp_path / "missing.db")


def test_reader_sees_whole_groups_while_the_writer_runs(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with make_writer(path) as writer:
        futures = [writer.append(make_group(1 + 7 * at, 7)) for at in range(300)]
        reader = JournalReader(path)
        counts = [reader.count]
        while not futures[-1].done():
            counts.append(reader.count)
        report = verify(path)
        assert report.ok, report.faults
        part = iter(reader.records())
        assert next(part).seq == 1  # an iteration that is never finished does not keep the file from sealing

    assert counts == sorted(counts)
    assert {count % 7 for count in counts} == {0}
    assert len(list(part)) == 300 * 7 - 1
    assert verify(path).ok


def test_reader_that_holds_the_file_open_leaves_it_unsealed_but_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.journal.commit.SEAL_PATIENCE_S", 0.0)
    path = tmp_path / "j.db"
    writer = make_writer(path)
    writer.append(make_group(1)).result()
    other = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    other.execute("SELECT count(*) FROM records").fetchone()

    with pytest.raises(JournalError, match="a reader holds it open"):
        writer.close()
    other.close()
    JournalWriter.resume(path, prezero_mb=0).close()
    assert verify(path).ok


def test_nobody_takes_a_journal_up_while_its_sums_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j.db"
    said: list[str] = []

    def another_process_tries(_: Path) -> None:
        take = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
        done = subprocess.run([sys.executable, "-c", take], capture_output=True, text=True, check=False)
        said.append(done.stderr.strip().rpartition("\n")[2])

    writer = make_writer(path)
    writer.append(make_group(1)).result()
    monkeypatch.setattr("runtime.journal.sums.sync_directory", another_process_tries)
    writer.close()

    assert said == ["sqlite3.OperationalError: database is locked"]
    assert verify(path).ok


def test_journal_taken_up_as_its_writer_leaves_is_sealed_by_the_successor_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j.db"
    leave = Committer._leave_wal
    left = [False]

    def leave_and_be_followed(committer: Committer) -> bool:
        is_out = leave(committer)
        if not left[0]:
            left[0] = True
            with JournalWriter.resume(path, prezero_mb=0) as successor:
                successor.append(make_group(4))
        return is_out

    writer = make_writer(path)
    writer.append(make_group(1)).result()
    monkeypatch.setattr(Committer, "_leave_wal", leave_and_be_followed)
    with pytest.raises(JournalError, match="has group 2, this writer's last one is 1"):
        writer.close()

    report = verify(path)
    assert (report.ok, report.groups) == (True, 2), report.faults


def test_closed_writer_refuses_and_closes_again(tmp_path: Path) -> None:
    writer = make_writer(tmp_path / "j.db")
    writer.close()
    writer.close()

    with pytest.raises(JournalError, match="it is closed"):
        writer.append(make_group(1))


def test_checkpoints_keep_the_log_small_under_steady_load(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with make_writer(path, durable=False) as writer:
        for at in range(900):
            writer.append(Group(1, [Record(1 + at, 1, b"", bytes(20_000))])).result()

        wal = (tmp_path / "j.db-wal").stat().st_size
        assert wal < 12_000_000, "18 MB were written, the log is reused after about 1,000 pages"
    assert verify(path).ok


def test_groups_committed_by_the_caller_keep_their_place_among_queued_ones(tmp_path: Path) -> None:
    caller = threading.get_ident()
    order: list[int] = []
    threads: set[bool] = set()

    def done(gid: int, error: JournalError | None) -> None:
        assert error is None
        order.append(gid)
        threads.add(threading.get_ident() == caller)

    with make_writer(tmp_path / "j.db") as writer:
        seq = 1
        for n in range(300):
            group = make_group(seq, 1 + n % 3, cid=b"c%d" % n)
            seq += len(group.records)
            if n % 3 == 0:
                writer.post(group, done, lazy=True)
            elif n % 7 == 0:
                writer.post(group, done)
            else:
                writer.post_now(group, done)

    assert order == list(range(1, 301))
    assert True in threads  # most were committed here, or the test shows nothing
    assert verify(tmp_path / "j.db").ok
    assert [record.seq for record in JournalReader(tmp_path / "j.db").records()] == list(range(1, seq))


def test_a_repeated_intent_committed_by_the_caller_is_refused_alone(tmp_path: Path) -> None:
    outcomes: list[object] = []
    with make_writer(tmp_path / "j.db") as writer:
        for n in range(2):
            writer.post_now(
                make_group(1 + 3 * n, cid=b"same"), lambda gid, error: outcomes.append(error or gid)
            )
        writer.flush()
        writer.post_now(make_group(7, cid=b"other"), lambda gid, error: outcomes.append(error or gid))
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], DuplicateIntent)
    assert outcomes[2] == 2
    assert verify(tmp_path / "j.db").ok
