"""The shipper and its database, killed at random while a journal grows: nothing is lost, nothing doubled.

The journal's writer is a process of its own, which must not notice. Killed at a random moment, so also
while starting, in the middle of a transaction, and during its commit. What must come out is the journal,
row for row.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.journal import verify
from runtime.postgres import Database
from runtime.postgres.migrate import make_database, migrate
from tests.kit.database import discard, fresh_database, new_server, rows
from tests.kit.figures import keep_figures, runs_so_far
from tests.kit.shipping import ShipperProcess, differences, last_seq

pytestmark = pytest.mark.kill

LOAD_S = 3600.0  # the test ends it
FIGURES = "kill_shipper.json"


@contextmanager
def growing_journal(folder: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Start the writer and give its journal, which has its first records by then."""
    path = folder / "desk.journal"
    command = [sys.executable, "-m", "tests.kit.journal_load", str(path), str(LOAD_S)]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        yield path, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def shipped(database: Database) -> int:
    found = rows(database, "cursors", "seq")
    return found[0][0] if found else 0


def wait_for_commit(database: Database, before: int, shipper: ShipperProcess) -> None:
    deadline = time.monotonic() + 30
    while shipped(database) <= before:
        assert time.monotonic() < deadline
        assert shipper.running.poll() is None, shipper.log.read_text()
        time.sleep(0.01)


def kill_shipper(folder: Path, kills: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    begun = time.monotonic()
    database = fresh_database()
    with growing_journal(folder) as (path, writer):
        shipper = ShipperProcess(folder, database, path, batch=100)
        at_work = 0
        for _ in range(kills):
            before = shipped(database)
            shipper.start()
            if chance.random() < 0.8:  # else at any point of its start
                wait_for_commit(database, before, shipper)
            time.sleep(chance.uniform(0.0, 0.4))
            shipper.kill()
            at_work += shipped(database) > before
        assert writer.poll() is None
        writer.terminate()
        assert writer.wait(30) == 0
        shipper.start().wait_shipped(path)
        assert shipper.stop() == 0
    assert at_work > kills // 2  # or the kills proved nothing
    assert verify(path).ok
    found = differences(database, path)
    assert found == []
    seconds = round(time.monotonic() - begun, 1)
    return {
        "kills": kills, "behind_a_commit": at_work, "records": last_seq(path), "differences": len(found),
        "seconds": seconds, "seed": seed,
    }  # fmt: skip


def kill_database(folder: Path, kills: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    begun = time.monotonic()
    server = new_server()
    server.start()
    try:
        database = make_database(server)
        migrate(database)
        with growing_journal(folder) as (path, writer):
            shipper = ShipperProcess(folder, database, path, of=server, batch=200).start()
            for _ in range(kills):
                shipper.wait_until(lambda status: status.database == "up" and status.shipped > 0)
                time.sleep(chance.uniform(0.0, 0.3))
                pid = server.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                time.sleep(chance.uniform(0.0, 0.5))
                server.start()
            assert writer.poll() is None  # the desk's part of it never stopped
            writer.terminate()
            assert writer.wait(30) == 0
            last = shipper.wait_shipped(path)
            assert shipper.stop() == 0
        found = differences(database, path)
        assert found == []
        seconds = round(time.monotonic() - begun, 1)
        return {
            "kills": kills, "lost_connections": last.restarts, "records": last_seq(path),
            "differences": len(found), "seconds": seconds, "seed": seed,
        }  # fmt: skip
    finally:
        discard(server)


def test_killed_shipper_neither_loses_nor_doubles(tmp_path: Path) -> None:
    kill_shipper(tmp_path, kills=10, seed=1)


def test_killed_database_loses_no_record(tmp_path: Path) -> None:
    kill_database(tmp_path, kills=5, seed=2)


@pytest.mark.long
def test_shipper_killed_200_times(tmp_path: Path) -> None:
    found = kill_shipper(tmp_path, kills=200, seed=3 + 2 * runs_so_far(FIGURES, "shipper"))
    keep_figures(FIGURES, "shipper", total="kills", **found)


@pytest.mark.long
def test_database_killed_20_times(tmp_path: Path) -> None:
    found = kill_database(tmp_path, kills=20, seed=4 + 2 * runs_so_far(FIGURES, "postgres"))
    keep_figures(FIGURES, "postgres", total="kills", **found)
