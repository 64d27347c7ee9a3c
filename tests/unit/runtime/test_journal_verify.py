"""Damage in a journal file is found and located."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runtime.journal import Group, IntentRow, JournalWriter, Record, verify

BLOCK = 65536
TABLES = ("run", "groups", "records", "intents", "snapshots")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sealed") / "j.db"
    rng = random.Random(5)
    with JournalWriter.create(
        path, {"run_id": "damage", "tenant": "t1", "code": "1.2"}, prezero_mb=0
    ) as writer:
        for gid in range(60):
            seq = writer.next_seq
            records = [Record(seq + at, at, rng.randbytes(16), rng.randbytes(150)) for at in range(8)]
            intents = [IntentRow(rng.randbytes(20), rng.randbytes(16), seq + 7)] if gid % 2 else []
            writer.append(Group(1 + gid // 30, records, intents)).result()
            if gid in (20, 50):
                writer.snapshot(seq + 7, rng.randbytes(9000)).result()
    return path


def copy_of(sealed: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("j.db", "j.db.sum"):
        shutil.copyfile(sealed.with_name(name), folder / name)
    return folder / "j.db"


def rows_of(path: Path) -> list[object]:
    """Everything SQLite gives out, with types; an unreadable table differs from any rows."""
    rows: list[object] = []
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.text_factory = lambda raw: ("text", raw)
            for table in TABLES:
                order = "gid" if table == "groups" else "key" if table == "run" else "rowid"
                rows += connection.execute(f"SELECT '{table}', * FROM {table} ORDER BY {order}").fetchall()
    except sqlite3.Error as error:
        rows.append(str(error))
    return rows


def test_sealed_file_of_the_fixture_is_intact(sealed: Path) -> None:
    report = verify(sealed)

    assert (report.ok, report.groups, report.records) == (True, 62, 480), report.faults
    assert sealed.stat().st_size > 2 * BLOCK


def test_random_byte_flips_are_all_found_and_located(sealed: Path, tmp_path: Path) -> None:
    rng = random.Random(14)
    original = {name: sealed.with_name(name).read_bytes() for name in ("j.db", "j.db.sum")}
    path = copy_of(sealed, tmp_path / "flips")

    for turn in range(400):
        name = "j.db.sum" if turn % 10 == 9 else "j.db"
        data = bytearray(original[name])
        at = rng.randrange(len(data))
        data[at] ^= rng.randrange(1, 256)
        (path.with_name(name)).write_bytes(data)
        report = verify(path)
        (path.with_name(name)).write_bytes(original[name])

        assert not report.ok, (name, at)
        places = [fault.where for fault in report.faults]
        expected = ".sum" if name == "j.db.sum" else f"block {at // BLOCK} (offset {at // BLOCK * BLOCK}.."
        assert any(place.startswith(expected) for place in places), (name, at, report.faults)


def test_without_sums_the_chain_finds_every_flip_that_changes_a_row(sealed: Path, tmp_path: Path) -> None:
    rng = random.Random(15)
    original = sealed.read_bytes()
    rows = rows_of(sealed)
    path = copy_of(sealed, tmp_path / "flips")
    path.with_name("j.db.sum").unlink()
    found = changed = 0

    for _ in range(400):
        data = bytearray(original)
        at = rng.randrange(len(data))
        data[at] ^= rng.randrange(1, 256)
        path.write_bytes(data)
        report = verify(path)
        others = [fault for fault in report.faults if fault.where != ".sum"]
        found += bool(others)
        if rows_of(path) != rows:
            changed += 1
            assert others, f"the flip at {at} changes a row and is not found"

    assert changed > 100
    print(f"without .sum: {found} of 400 flips found, {changed} changed a row, all of those found")


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("UPDATE run SET value = 't2' WHERE key = 'tenant'", "run, or groups gid=0"),
        ("UPDATE run SET key = 'tenanu' WHERE key = 'tenant'", "run, or groups gid=0"),
        ("DELETE FROM run WHERE key = 'code'", "run, or groups gid=0"),
        ("UPDATE groups SET gid = 900 WHERE gid = 9", "groups gid=10"),
        ("UPDATE groups SET epoch = 2 WHERE gid = 9", "group gid=9"),
        ("UPDATE groups SET first_seq = first_seq + 1 WHERE gid = 9", "group gid=9"),
        ("UPDATE groups SET last_seq = last_seq + 1 WHERE gid = 9", "group gid=9"),
        ("UPDATE groups SET last_seq = 1 << 60 WHERE gid = 9", "group gid=9"),
        ("UPDATE groups SET t_commit = t_commit + 1 WHERE gid = 9", "group gid=9"),
        ("UPDATE groups SET prev_hash = zeroblob(32) WHERE gid = 9", "groups gid=9 column prev_hash"),
        ("UPDATE groups SET hash = zeroblob(32) WHERE gid = 9", "groups gid=9 column hash"),
        ("UPDATE groups SET hash = zeroblob(32) WHERE gid = 62", "group gid=62"),
        ("UPDATE groups SET hash = 'text' WHERE gid = 9", "groups gid=9"),
        ("DELETE FROM groups WHERE gid = 9", "groups gid=10"),
        ("UPDATE records SET seq = 9000 WHERE seq = 80", "group gid=10"),
        ("UPDATE records SET gid = 3 WHERE seq = 80", "records seq=80 column gid"),
        ("UPDATE records SET gid = 33 WHERE seq = 75", "records seq=75 column gid"),
        ("UPDATE records SET kind = 99 WHERE seq = 80", "group gid=10"),
        ("UPDATE records SET kind = 7.5 WHERE seq = 80", "group gid=10"),
        ("UPDATE records SET round = zeroblob(16) WHERE seq = 80", "group gid=10"),
        ("UPDATE records SET body = CAST(body AS TEXT) WHERE seq = 80", "group gid=10"),
        ("UPDATE records SET body = x'00' WHERE seq = 480", "group gid=62"),
        ("DELETE FROM records WHERE seq = 80", "group gid=10"),
        ("INSERT INTO records VALUES (481, 62, 1, x'', x'')", "group gid=62"),
        ("INSERT INTO records VALUES (900, 99, 1, x'', x'')", "records seq=900"),
        ("UPDATE intents SET cid = x'00' WHERE seq = 80", "group gid=10"),
        ("UPDATE intents SET iid = x'00' WHERE seq = 80", "group gid=10"),
        ("UPDATE intents SET seq = 79 WHERE seq = 80", "group gid=10"),
        ("UPDATE intents SET gid = 11 WHERE seq = 80", "group gid=10"),
        ("DELETE FROM intents WHERE seq = 80", "group gid=10"),
        ("UPDATE snapshots SET seq = 169 WHERE seq = 168", "group gid=22"),
        ("UPDATE snapshots SET gid = 23 WHERE seq = 168", "group gid=22"),
        ("UPDATE snapshots SET state_hash = zeroblob(32) WHERE seq = 168", "group gid=22"),
        ("UPDATE snapshots SET state = zeroblob(9000) WHERE seq = 168", "snapshots seq=168 column state"),
        ("DELETE FROM snapshots WHERE seq = 168", "group gid=22"),
        ("PRAGMA user_version = 7", "header"),
        ("DROP TABLE snapshots", "header"),
    ],
)
def test_changed_row_is_found_by_the_chain_alone(sealed: Path, tmp_path: Path, sql: str, where: str) -> None:
    path = copy_of(sealed, tmp_path)
    path.with_name("j.db.sum").unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount in (1, -1)

    report = verify(path)

    assert not report.ok
    assert where in [fault.where for fault in report.faults], report.faults
    assert len(report.faults) < 16, "one change makes no flood: a lost group row leaves its rows"


def test_other_version_is_told_from_damage(sealed: Path, tmp_path: Path) -> None:
    path = copy_of(sealed, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")

    assert "schema version 7, expected 1" in [fault.detail for fault in verify(path).faults]


def test_missing_sums_of_a_sealed_file_are_reported(sealed: Path, tmp_path: Path) -> None:
    path = copy_of(sealed, tmp_path)
    path.with_name("j.db.sum").unlink()

    assert [(fault.where, fault.detail) for fault in verify(path).faults] == [
        (".sum", "expected beside a sealed journal, there is none")
    ]


def test_file_cut_at_a_page_or_elsewhere_is_reported(sealed: Path, tmp_path: Path) -> None:
    path = copy_of(sealed, tmp_path)
    whole = path.read_bytes()

    for size in (0, 50, 4096, len(whole) - 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        report = verify(path)
        assert not report.ok
        assert "file size" in [fault.where for fault in report.faults]


@pytest.mark.parametrize(
    "content", [b"", b"no database", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(8192), bytes(99999)]
)
def test_garbage_gives_a_report_not_an_exception(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.db"
    path.write_bytes(content)
    (tmp_path / "garbage.db.sum").write_bytes(content)

    assert not verify(path).ok


def test_random_garbage_in_pages_and_log_gives_a_report(sealed: Path, tmp_path: Path) -> None:
    rng = random.Random(16)
    path = copy_of(sealed, tmp_path)
    whole = path.read_bytes()

    for turn in range(60):
        data = bytearray(whole)
        start = rng.randrange(len(data))
        noise = rng.randbytes(rng.choice((8, 100, 4096)))
        data[start : start + len(noise)] = noise
        path.write_bytes(data)
        wal = path.with_name("j.db-wal")
        if turn % 3 == 0:
            wal.write_bytes(rng.randbytes(8000))
        assert turn % 3 == 0 or not verify(path).ok
        verify(path)
        wal.unlink(missing_ok=True)
        path.with_name("j.db-shm").unlink(missing_ok=True)


def test_missing_file_and_folder_are_reported(tmp_path: Path) -> None:
    assert not verify(tmp_path / "none.db").ok
    assert not verify(tmp_path).ok


def test_file_in_wal_mode_without_its_log_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with JournalWriter.create(path, {}, prezero_mb=0) as writer:
        writer.append(Group(1, [Record(1, 1, b"", b"x")])).result()
        (tmp_path / "lost").mkdir()
        shutil.copyfile(path, tmp_path / "lost" / "j.db")

    report = verify(tmp_path / "lost" / "j.db")
    assert "not sealed and without its -wal file: committed groups may be missing" in [
        fault.detail for fault in report.faults
    ]
