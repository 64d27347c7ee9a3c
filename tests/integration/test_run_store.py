"""A run with a database: whatever of it is killed comes back, trading goes on, and nothing is lost or left.

Not here: the shipper by itself (`contract/test_store_shipper`), killed many times (`kill/test_shipper_kill`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from parley.messages import Intent, MarketBatch, Strain
from runtime.backlog import read_status
from runtime.history import entries, kinds, open_journal
from runtime.journal import JournalReader, verify
from runtime.postgres import Database, EmbeddedServer
from runtime.postgres.database import reach
from runtime.postgres.migrate import make_database, migrate
from tests.kit.database import discard, new_server
from tests.kit.shipping import ShipperProcess, differences

pytestmark = pytest.mark.timeout(240)
PATIENCE_S = 60.0


class RunWithStore:
    """A `parley run --database` of the made-up market, in a process of its own."""

    started: ClassVar[list[RunWithStore]] = []

    def __init__(self, home: Path, folder: Path, *options: object, **environment: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_") and k != "DATABASE_URL"}
        self.home = home
        self.started.append(self)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "run", "--database", "--json", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=kept | {"PARLEY_HOME": str(home), "PARLEY_DATABASE__FOLDER": str(folder)} | environment,
        )  # fmt: skip

    def eventually(self, what: Callable[[], object]) -> object:
        """Wait until something holds while the run lasts."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := what()):
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        return found

    @property
    def journal(self) -> Path | None:
        return next(self.home.glob("runs/*/desk.journal"), None)

    def unit(self, name: str) -> int | None:
        """Return a process by its name in what `parley status` reads."""
        try:
            units = json.loads(next(self.home.glob("runs/*/processes.json")).read_text())["units"]
        except (StopIteration, ValueError):
            return None
        pid = units.get(name)
        return pid if pid and psutil.pid_exists(pid) else None

    def shipped(self) -> int:
        """Return up to which record the desk's journal is shipped."""
        status = next((read_status(path) for path in self.home.glob("runs/*/shipper.status")), None)
        return max((j.seq for j in status.journals if j.stream == "desk"), default=0) if status else 0

    def behind_s(self) -> float:
        """Return how old the desk's oldest unshipped record is, s; `inf` while that is not known."""
        status = next((read_status(path) for path in self.home.glob("runs/*/shipper.status")), None)
        for each in status.journals if status else ():
            if each.stream == "desk" and each.is_known:
                return (time.time_ns() - each.oldest_ns) / 1e9 if each.oldest_ns else 0.0
        return inf

    def records(self) -> int:
        return 0 if self.journal is None else open_journal(self.journal).count

    def end(self) -> dict:
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        told: dict = json.loads(out)
        return told


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    made = new_server()
    yield made
    for run in RunWithStore.started:  # of a test that failed: it would start its server again
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()
    RunWithStore.started.clear()
    discard(made)


def compare(server: EmbeddedServer, run: RunWithStore) -> list[str]:
    """Compare the read model with both journals of a run that ended."""
    assert run.journal is not None
    server.start()
    return differences(Database.embedded(server), run.journal, run.journal.with_name("gateway.journal"))


def kill_units(run: RunWithStore, names: Sequence[str]) -> None:
    """Kill units of a run one after the other, each when the last one is back and has caught up."""
    for name in names:
        pid = run.eventually(lambda name=name: run.unit(name))  # type: ignore[misc]
        assert isinstance(pid, int)
        before = run.records()
        os.kill(pid, signal.SIGKILL)
        run.eventually(lambda name=name, pid=pid: run.unit(name) not in (None, pid))  # type: ignore[misc]
        run.eventually(lambda before=before: run.records() > before)  # type: ignore[misc]  # the desk goes on
        at = run.records()
        run.eventually(lambda at=at: run.shipped() >= at)  # type: ignore[misc]


def test_killed_database_and_shipper_come_back_and_nothing_is_lost(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    run = RunWithStore(tmp_path / "home", server.folder)
    run.eventually(lambda: run.shipped() > 100)
    kill_units(run, ("postgres", "shipper", "postgres"))
    units = [run.unit(name) for name in ("postgres", "shipper", "desk", "gateway")]

    told = run.end()

    assert told["database"]["restarts"] == {"postgres": 2, "shipper": 1}
    assert told["database"]["unshipped"] is None
    assert told["ledger_equals_exchange"] is True
    assert [pid for pid in units if pid and psutil.pid_exists(pid)] == []
    assert server.pid is None
    assert compare(server, run) == []
    assert verify(Path(told["journal"])).ok


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_desk_never_reduces_while_its_database_is_killed_20_times(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    run = RunWithStore(tmp_path / "home", server.folder)
    run.eventually(lambda: run.shipped() > 100)
    kill_units(run, ("postgres", "shipper") * 20)

    told = run.end()

    print(f"{told['rounds']} rounds, {told['database']}")
    assert told["database"]["restarts"] == {"postgres": 20, "shipper": 20}
    reader = open_journal(Path(told["journal"]))
    assert [e for e in strains_of(reader) if e[1]] == []
    assert told["ledger_equals_exchange"] is True
    assert compare(server, run) == []


def strains_of(reader: JournalReader) -> list[tuple[int, int]]:
    """Return (seq, level) of what the watch of the backlog said."""
    return [
        (each.seq, each.message.level)
        for each in entries(reader, kinds("Strain"))
        if isinstance(each.message, Strain) and each.message.source == "backlog"
    ]


def test_killed_run_takes_database_and_shipper_with_it_and_the_next_one_ships_the_rest(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    run = RunWithStore(tmp_path / "home", server.folder)
    run.eventually(lambda: run.shipped() > 100)
    pids = [run.unit(name) for name in ("postgres", "shipper")]
    shipper = pids[1]
    assert shipper is not None
    os.kill(shipper, signal.SIGSTOP)  # so that something is left to ship
    at = run.records()
    run.eventually(lambda: run.records() > at + 100)

    run.process.kill()
    os.kill(shipper, signal.SIGCONT)
    run.process.communicate()

    _, alive = psutil.wait_procs([psutil.Process(p) for p in pids if p and psutil.pid_exists(p)], timeout=30)
    assert alive == []
    after = RunWithStore(tmp_path / "home", server.folder, "--duration", "3")
    _, err = after.process.communicate(timeout=PATIENCE_S)
    assert after.process.returncode == 0, err
    paths = sorted((tmp_path / "home").glob("runs/*/*.journal"))
    assert len(paths) == 4
    server.start()
    assert differences(Database.embedded(server), *paths) == []


def test_desk_reduces_when_nothing_is_shipped_and_opens_again_when_it_is(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    run = RunWithStore(tmp_path / "home", server.folder, PARLEY_DATABASE__BACKLOG_S="4")
    run.eventually(lambda: run.shipped() > 100)
    shipper = run.unit("shipper")
    assert shipper is not None
    assert run.journal is not None

    journal = run.journal

    def strains() -> list[tuple[int, int]]:
        return strains_of(open_journal(journal))

    run.eventually(lambda: not strains() or strains()[-1][1] == 0)  # a start may take longer than the limit
    run.eventually(lambda: run.behind_s() < 1.0)  # on a busy machine it may lag close to the limit
    before = len(strains())
    stopped = time.monotonic()
    os.kill(shipper, signal.SIGSTOP)
    run.eventually(lambda: len(strains()) > before)
    # not before its limit of 4 s; a status is written four times a second
    assert time.monotonic() - stopped > 2.0
    reducing = run.records()
    run.eventually(lambda: run.records() > reducing + 200)  # it goes on, it only opens nothing
    os.kill(shipper, signal.SIGCONT)
    run.eventually(lambda: len(strains()) > before + 1)
    told = run.end()

    (first, level), (second, again) = strains()[before : before + 2]
    assert (level, again) == (3, 0)
    reader = open_journal(Path(told["journal"]))
    between = [
        each.message for each in entries(reader, kinds("Intent", "MarketBatch")) if first < each.seq < second
    ]
    assert [each for each in between if isinstance(each, MarketBatch)]
    assert [each for each in between if isinstance(each, Intent) and not each.reduce_only] == []
    assert told["database"]["unshipped"] is None
    assert compare(server, run) == []


def test_backup_of_a_trading_desk_is_restored_elsewhere(tmp_path: Path, server: EmbeddedServer) -> None:
    run = RunWithStore(tmp_path / "home", server.folder)
    elsewhere = new_server()
    try:
        run.eventually(lambda: run.shipped() > 500)
        parley(tmp_path / "home", "backup", tmp_path / "saved", "--database", server.folder)
        at = run.records()
        run.eventually(lambda: run.shipped() > at)  # the desk and its database went on
        run.end()

        parley(tmp_path / "other", "restore", tmp_path / "saved", "--database", elsewhere.folder)

        copies = sorted((tmp_path / "other").glob("runs/*/*.journal"))
        assert [path.name for path in copies] == ["desk.journal", "gateway.journal"]
        assert [verify(path).ok for path in copies] == [True, True]
        elsewhere.start()
        restored = Database.embedded(elsewhere)
        shipper = ShipperProcess(tmp_path, restored, *copies, of=elsewhere).start()
        shipper.wait_shipped(*copies)
        assert shipper.stop() == 0
        assert differences(restored, *copies) == []
    finally:
        discard(elsewhere)


def parley(home: Path, *arguments: object) -> None:
    """Call a command on a home."""
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=os.environ | {"PARLEY_HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- what keeps a run from starting


def refused(home: Path, folder: Path, *options: object, **environment: str) -> str:
    """Return the one line a run that cannot be started says; nothing of it is left."""
    run = RunWithStore(home, folder, "--duration", "2", *options, **environment)
    out, err = run.process.communicate(timeout=PATIENCE_S)
    said = [line for line in err.splitlines() if line.startswith("parley: ")]
    assert run.process.returncode in (1, 2), err
    assert (out, len(said)) == ("", 1), err
    assert "Traceback" not in err
    assert "s3cret" not in err
    assert [path for path in home.rglob("*") if path.name != "runs"] == []
    return said[0]


def test_server_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, nobody else gets it
        url = f"postgresql://u:s3cret@127.0.0.1:{closed.getsockname()[1]}/p"
        said = refused(tmp_path, tmp_path, PARLEY_DATABASE__URL=url)

    assert "the database cannot be reached" in said


def test_database_that_is_newer_than_the_code_is_one_line(tmp_path: Path, server: EmbeddedServer) -> None:
    server.start()
    database = make_database(server)
    migrate(database)
    with reach(database.admin, "test") as connection:
        connection.execute("UPDATE parley.alembic_version SET version_num = '9999'")
    server.stop()

    said = refused(tmp_path, server.folder)

    assert "is not one this Parley knows" in said
    assert "9999" in said
    assert server.pid is None  # started for it, and stopped again


def test_server_whose_socket_folder_is_somebody_elses_is_one_line(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    server.sockets.mkdir(parents=True, mode=0o777)
    server.sockets.chmod(0o777)

    said = refused(tmp_path, server.folder)

    assert "must belong to PostgreSQL alone, mode 0700" in said


def test_taken_port_of_the_exchange_stops_the_database_too(tmp_path: Path, server: EmbeddedServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused(tmp_path, server.folder, "--port", taken.getsockname()[1])

    assert "address already in use" in said
    assert server.pid is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_full_disk_is_one_line(tmp_path: Path, server: EmbeddedServer) -> None:
    small = server.folder.parent / "small"
    small.mkdir(mode=0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=711", "tmpfs", str(small)], check=True)
    try:
        said = refused(tmp_path, small / "pg")
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert "No space left on device" in said
