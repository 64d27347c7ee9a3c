"""The journal after SIGKILL, power loss and a full disk: always a prefix of whole groups."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.journal import Group, IntentRow, JournalReader, JournalWriter, Record, verify

ROOT = Path(__file__).parents[3]
GROUPS = 12
FRAME = 24 + 4096

# Group gid has records 5 * gid - 4 .. 5 * gid, so that a test can tell what has to be in the file.
GROUP_SOURCE = """
import os, signal, sys
from runtime.journal import Group, IntentRow, JournalFailed, JournalWriter, Record

def group(gid):
    seq = 5 * gid - 4
    records = [Record(seq + at, at, b"r" * 16, b"%d " % (seq + at) * 20) for at in range(5)]
    return Group(1, records, [IntentRow(b"cid %d" % gid, b"iid %d" % gid, seq)])
"""
CRASHED = (
    GROUP_SOURCE
    + """
writer = JournalWriter.create(sys.argv[1], {"run_id": "crash"}, prezero_mb=0)
for gid in range(1, int(sys.argv[2]) + 1):
    writer.append(group(gid)).result()
os.kill(os.getpid(), signal.SIGKILL)
"""
)
APPENDING = (
    GROUP_SOURCE
    + """
import threading
writer = JournalWriter.create(sys.argv[1], {"run_id": "kill"}, prezero_mb=1)
window = threading.Semaphore(int(sys.argv[2]))
def acknowledge(gid, error):
    os.write(1, gid.to_bytes(8, "big"))
    window.release()
gid = 0
while True:
    gid += 1
    window.acquire()
    writer.post(group(gid), acknowledge, lazy=gid % 3 == 0)
"""
)
FULL_DISK = (
    GROUP_SOURCE
    + """
import json, resource, threading
fatal = []
stopped = threading.Event()
def on_fatal(error):
    fatal.append((type(error).__name__, threading.current_thread() is not threading.main_thread()))
    stopped.set()
writer = JournalWriter.create(sys.argv[1], {"run_id": "full"}, prezero_mb=0, on_fatal=on_fatal)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
futures, gid = [], 0
while not stopped.is_set():
    gid += 1
    futures.append(writer.append(group(gid)))
    if gid % 8 == 0:
        futures[-1].exception()
stopped.wait()
late = writer.append(group(gid + 1))
names = [type(future.exception()).__name__ for future in futures]
try:
    writer.close()
    closing = "nothing"
except JournalFailed:
    closing = "JournalFailed"
acknowledged = [future.result() for future in futures if future.exception() is None]
print(json.dumps({"fatal": fatal, "names": names, "acknowledged": acknowledged, "closing": closing,
                  "late": type(late.exception()).__name__}), flush=True)
os._exit(0)
"""
)


def make_group(gid: int) -> Group:
    seq = 5 * gid - 4
    records = [Record(seq + at, at, b"r" * 16, b"%d " % (seq + at) * 20) for at in range(5)]
    return Group(1, records, [IntentRow(b"cid %d" % gid, b"iid %d" % gid, seq)])


def content_of(count: int) -> tuple[list[Record], list[IntentRow]]:
    groups = [make_group(gid) for gid in range(1, count + 1)]
    return [row for group in groups for row in group.records], [
        row for group in groups for row in group.intents
    ]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose process was killed with all its groups still in the log."""
    path = tmp_path_factory.mktemp("crashed") / "j.db"
    done = subprocess.run([sys.executable, "-c", CRASHED, str(path), str(GROUPS)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    return path


def commit_ends(wal: bytes) -> list[int]:
    """Offsets behind the commit frames of the log's current generation, read by the file format alone."""
    ends = []
    salts = wal[16:24]
    for start in range(32, len(wal) - FRAME + 1, FRAME):
        _, database_size = struct.unpack_from(">II", wal, start)
        if wal[start + 8 : start + 16] != salts:
            break
        if database_size:
            ends.append(start + FRAME)
    return ends


def damage(wal: bytes, at: int, mode: str, rng: random.Random) -> bytes:
    match mode:
        case "cut":
            return wal[:at]
        case "zero":
            return wal[:at] + bytes(len(wal) - at)
        case "garble":
            return (
                wal[:at]
                + bytes(byte ^ rng.randrange(1, 256) for byte in wal[at : at + 300])
                + wal[at + 300 :]
            )
        case _:  # the rest is what an earlier generation of the log had there
            return wal[:at] + wal[32 : 32 + len(wal) - at]


def check_torn(crashed: Path, folder: Path, wal: bytes, at: int, mode: str) -> None:
    path = folder / "j.db"
    for name in ("j.db-shm", "j.db-wal"):
        path.with_name(name).unlink(missing_ok=True)
    shutil.copyfile(crashed, path)
    path.with_name("j.db-wal").write_bytes(damage(wal, at, mode, random.Random(at)))

    reader = JournalReader(path)
    survivors = len(list(reader.groups()))
    durable = sum(end <= at for end in commit_ends(wal))
    assert survivors >= durable, f"{mode} at {at} lost a group that was complete before it"
    # Equal bytes may have been written over, so more can survive, but only as far as the log goes.
    assert survivors <= GROUPS
    assert (list(reader.records()), list(reader.intents())) == content_of(survivors), (mode, at)
    report = verify(path)
    assert report.ok, (mode, at, report.faults)


def tail_of(wal: bytes) -> tuple[int, int]:
    ends = commit_ends(wal)
    assert len(ends) == GROUPS
    return ends[-3], ends[-1]


MODES = ("cut", "zero", "garble", "stale")


@pytest.mark.parametrize("mode", MODES)
def test_torn_log_gives_a_prefix_of_groups(crashed: Path, tmp_path: Path, mode: str) -> None:
    wal = crashed.with_name("j.db-wal").read_bytes()
    start, end = tail_of(wal)
    rng = random.Random(9)
    frames = range(start, end, FRAME)
    near = {frame + offset for frame in frames for offset in (-1, 0, 4, 8, 16, 24)}
    positions = near | {rng.randrange(start, end) for _ in range(30)} | {0, 8, 31, 32, 33}

    for at in sorted(positions):
        check_torn(crashed, tmp_path, wal, at, mode)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
def test_log_torn_at_every_byte_gives_a_prefix_of_groups(crashed: Path, tmp_path: Path, mode: str) -> None:
    wal = crashed.with_name("j.db-wal").read_bytes()
    start, end = tail_of(wal)

    for at in range(start, end):
        check_torn(crashed, tmp_path, wal, at, mode)


def test_resume_after_a_torn_log_continues_behind_the_prefix(crashed: Path, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    wal = crashed.with_name("j.db-wal").read_bytes()
    shutil.copyfile(crashed, path)
    path.with_name("j.db-wal").write_bytes(wal[: commit_ends(wal)[-1] - 1])

    with JournalWriter.resume(path, prezero_mb=0) as writer:
        assert writer.next_seq == 5 * GROUPS - 4
        assert writer.append(make_group(GROUPS)).result() == GROUPS

    assert list(JournalReader(path).records()) == content_of(GROUPS)[0]
    assert verify(path).ok


def test_reading_a_crashed_journal_leaves_its_log_alone(crashed: Path, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for name in ("j.db", "j.db-wal"):
        shutil.copyfile(crashed.with_name(name), tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in ("j.db", "j.db-wal")}

    assert JournalReader(path).count == 5 * GROUPS
    assert verify(path).ok
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.kill
@pytest.mark.parametrize(("acknowledgements", "window"), [(1, 1), (30, 1), (700, 64), (1500, 500)])
def test_sigkill_loses_no_acknowledged_group(tmp_path: Path, acknowledgements: int, window: int) -> None:
    path = tmp_path / "j.db"
    command = [sys.executable, "-c", APPENDING, str(path), str(window)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = child.stdout.read(8 * acknowledgements)
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.read()
    gids = [int.from_bytes(told[at : at + 8], "big") for at in range(0, len(told) // 8 * 8, 8)]

    assert gids == list(range(1, len(gids) + 1))
    reader = JournalReader(path)
    count = len(list(reader.groups()))
    assert count >= len(gids) >= acknowledgements
    assert (list(reader.records()), list(reader.intents())) == content_of(count)
    assert verify(path).ok
    with JournalWriter.resume(path, prezero_mb=0) as writer:
        writer.append(make_group(count + 1)).result()
    assert verify(path).ok


def test_full_disk_stops_the_journal_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    told = json.loads(done.stdout)

    assert told["fatal"] == [["JournalFailed", True]], "called once, from the commit thread"
    assert told["late"] == told["closing"] == "JournalFailed"
    acknowledged = len(told["acknowledged"])
    assert acknowledged >= 8
    assert told["names"] == ["NoneType"] * acknowledged + ["JournalFailed"] * (
        len(told["names"]) - acknowledged
    )
    reader = JournalReader(path)
    count = len(list(reader.groups()))
    assert count >= acknowledged
    assert list(reader.records()) == content_of(count)[0]
    with JournalWriter.resume(path, prezero_mb=0) as writer:
        writer.append(make_group(count + 1)).result()
    assert verify(path).ok


HALF = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=DELETE")
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE groups SET epoch = 99")
connection.execute("CREATE TABLE half AS SELECT seq, zeroblob(4000) FROM records")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_left_half_outside_the_log_is_rolled_back_before_it_is_read(tmp_path: Path) -> None:
    """A kill while SQLite changes from one kind of journal to the other leaves a rollback journal."""
    path = tmp_path / "desk.journal"
    writer = JournalWriter.create(path, {"run_id": "half"}, prezero_mb=0)
    for gid in range(1, GROUPS + 1):
        records = [Record(5 * gid - 4 + at, at, b"r" * 16, b"x" * 60) for at in range(5)]
        writer.append(Group(1, records, [IntentRow(b"cid %d" % gid, b"iid %d" % gid, 5 * gid - 4)])).result()
    writer.close()
    subprocess.run([sys.executable, "-c", HALF, str(path)], check=False)
    left = path.with_name(path.name + "-journal")
    assert left.stat().st_size > 0

    assert [record.seq for record in JournalReader(path).records()] == list(range(1, 5 * GROUPS + 1))
    assert {record.body for record in JournalReader(path).records()} == {b"x" * 60}
    assert not left.exists()
    assert verify(path).ok
    JournalWriter.resume(path).close()
