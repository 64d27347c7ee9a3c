"""What a killed command line leaves goes with the next start; nothing that lives or was recorded does."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.errors import UserError
from runtime import launch
from runtime.leftovers import CLAIM, RESTORING, claim, is_claimed, release, remove_runs, remove_sockets
from runtime.settings import Settings

# Claims a folder and waits to be killed.
HOLD = "import sys; from pathlib import Path; from runtime.leftovers import claim; claim(Path(sys.argv[1]))\n"
HOLD += "print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def dead() -> int:
    """The number of a process that ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def bind(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    return path


@pytest.fixture
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


@pytest.mark.parametrize("name", ["0a1b2c-{}-control", "0a1b2c-{}-gateway", "0a1b2c-{}-hub", "doctor-{}"])
def test_socket_of_a_dead_process_is_removed(sockets: Path, dead: int, name: str) -> None:
    stale = bind(sockets / f"{name.format(dead)}.sock")

    assert remove_sockets(sockets) == [stale]
    assert not stale.exists()


def test_socket_of_a_live_process_and_of_somebody_else_stay(sockets: Path, dead: int) -> None:
    bind(sockets / f"0a1b2c-{os.getppid()}-control.sock")
    bind(sockets / f"0a1b2c-{dead}-other.sock")
    bind(sockets / "own.sock")
    (sockets / f"0a1b2c-{dead}-hub.sock").write_text("a file, no socket")

    assert remove_sockets(sockets) == []
    assert len(list(sockets.iterdir())) == 4


def test_socket_of_an_earlier_process_of_this_number_is_stale(sockets: Path) -> None:
    stale = bind(sockets / f"0a1b2c-{os.getpid()}-control.sock")

    assert remove_sockets(sockets) == [stale]


class Holder:
    """Another process that claims a run's folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    holder = Holder(tmp_path / "runs" / "20260101T000000-aaaaaa")
    yield holder
    if holder.process.poll() is None:
        holder.kill()


def test_folder_of_a_run_that_starts_just_now_stays(holder: Holder) -> None:
    assert remove_runs(holder.folder.parent) == []
    assert (holder.folder / CLAIM).read_text() == f"{holder.process.pid}\n"


def test_folder_of_a_run_killed_at_its_start_is_removed(holder: Holder) -> None:
    (holder.folder / "logs").mkdir()
    (holder.folder / "truth.jsonl").write_text("{}\n")
    holder.kill()

    assert remove_runs(holder.folder.parent) == [holder.folder]
    assert list(holder.folder.parent.iterdir()) == []


def test_killed_run_that_recorded_something_stays(holder: Holder) -> None:
    (holder.folder / "desk.journal").write_bytes(b"x")
    holder.kill()

    assert remove_runs(holder.folder.parent) == []


@pytest.mark.parametrize("content", ["{}", "no json"])
def test_folder_whose_desk_cannot_be_understood_stays(holder: Holder, content: str) -> None:
    (holder.folder / "config").mkdir()
    (holder.folder / "config" / "desk.json").write_text(content)
    holder.kill()

    assert remove_runs(holder.folder.parent) == []


def test_run_with_a_journal_elsewhere_is_judged_by_that(holder: Holder, tmp_path: Path) -> None:
    (holder.folder / "config").mkdir()
    elsewhere = tmp_path / "own.journal"
    elsewhere.write_bytes(b"x")
    (holder.folder / "config" / "desk.json").write_text(f'{{"journal": "{elsewhere}", "run": {{}}}}')
    holder.kill()

    assert remove_runs(holder.folder.parent) == []
    elsewhere.unlink()
    assert remove_runs(holder.folder.parent) == [holder.folder]


def test_folder_without_a_claim_stays(tmp_path: Path) -> None:
    (tmp_path / "runs" / "older").mkdir(parents=True)
    empty = tmp_path / "runs" / "beginning"
    empty.mkdir()
    (empty / CLAIM).touch()

    assert remove_runs(tmp_path / "runs") == []


def test_claim_is_taken_back_at_the_end(tmp_path: Path) -> None:
    held = claim(tmp_path)
    release(tmp_path, held)

    assert list(tmp_path.iterdir()) == []
    release(tmp_path, claim(tmp_path))  # the lock is free again


def test_look_at_a_claim_does_not_keep_anybody_from_making_it(tmp_path: Path) -> None:
    (tmp_path / CLAIM).touch()
    looking = os.open(tmp_path / CLAIM, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    closing = threading.Timer(0.1, os.close, (looking,))
    closing.start()

    held = claim(tmp_path)

    closing.join()
    assert is_claimed(tmp_path / CLAIM)
    release(tmp_path, held)
    assert is_claimed(tmp_path / CLAIM) is False


def test_next_start_removes_what_killed_runs_left(
    holder: Holder, dead: int, sockets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(launch, "private_folder", lambda: sockets)
    stale = bind(sockets / f"0a1b2c-{dead}-control.sock")
    holder.kill()

    layout = launch.make_layout(Settings(home=tmp_path))

    assert not stale.exists()
    assert list((tmp_path / "runs").iterdir()) == [layout.folder]
    assert (layout.folder / CLAIM).exists()
    launch.sweep(layout)
    assert sorted(path.name for path in layout.folder.iterdir()) == ["config", "logs"]


def test_no_run_begins_in_a_home_whose_restore_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / RESTORING).mkdir()

    with pytest.raises(UserError, match="run 'parley restore' again"):
        launch.make_layout(Settings(home=tmp_path))

    assert not (tmp_path / "runs").exists()
