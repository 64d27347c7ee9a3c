"""However a run ends, by the user, a crash or a start that failed, no process and no half file stays."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(180)
UNITS = {"venues.sandbox", "runtime.gateway", "runtime.hub", "runtime.desk"}


class Running:
    """A `parley run` of the made-up market in a process of its own."""

    def __init__(self, home: Path, *options: object) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "run", "--json", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=environment | {"PARLEY_HOME": str(home)},
        )  # fmt: skip
        self.children: dict[str, psutil.Process] = {}

    def wait_until_trading(self) -> None:
        """Wait until all units run and the journal holds something."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()
            for child in psutil.Process(self.process.pid).children():
                try:
                    unit = next((word for word in child.cmdline() if word in UNITS), None)
                except psutil.Error:
                    continue  # it is between its start and its program, or ended
                if unit:
                    self.children[unit] = child
            if set(self.children) == UNITS and list(self.home.glob("runs/*/desk.journal")):
                time.sleep(1.0)
                return
            time.sleep(0.1)
        raise AssertionError(f"not all units came up: {sorted(self.children)}")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def left(self, patience_s: float) -> list[str]:
        """Name the units that still run after at most some seconds."""
        _, alive = psutil.wait_procs(list(self.children.values()), timeout=patience_s)
        return [unit for unit, child in self.children.items() if child in alive]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    run = Running(tmp_path / "home")
    run.wait_until_trading()
    yield run
    for child in run.children.values():
        if child.is_running():
            child.kill()
    if run.process.poll() is None:
        run.process.kill()
        run.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_by_signal_accounts_for_the_run_and_leaves_no_process(
    running: Running, number: signal.Signals
) -> None:
    running.process.send_signal(number)
    code, out, err = running.end()

    assert code == 0, err
    told = json.loads(out)
    assert told["ledger_equals_exchange"] is True
    assert told["rounds"] > 0
    assert running.left(5) == []


def test_killed_parent_takes_every_unit_with_it(running: Running) -> None:
    running.process.kill()
    running.process.communicate()

    assert running.left(20) == []


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_killed_unit_is_blamed_whoever_noticed_first(running: Running, unit: str) -> None:
    running.children[unit].kill()

    blame = blame_of(running, unit)

    assert "was ended by SIGKILL while running; it said nothing" in blame
    if unit in ("runtime.gateway", "runtime.hub"):
        assert "because of it: the desk (ended with exit code 1: desk: " in blame


@pytest.mark.parametrize("unit", sorted(UNITS - {"runtime.desk"}))
def test_unit_that_ends_in_order_too_early_is_blamed(running: Running, unit: str) -> None:
    """It hangs up first and tidies for a while, so the kernel sees the desk's end before its own."""
    running.children[unit].terminate()

    blame = blame_of(running, unit)

    assert "ended with exit code 0 while running" in blame
    assert "the desk (ended with exit code 1: desk: " in blame


def blame_of(running: Running, unit: str) -> str:
    """Check what holds however a unit ended; return the one line that says which one it was."""
    code, out, err = running.end()
    lines = [line for line in err.splitlines() if line.startswith("parley: ")]
    name = unit.rpartition(".")[2]

    assert (code, out) == (1, "")
    assert len(lines) == 1, err
    assert lines[0].startswith(f"parley: the {name} ")
    log = Path(lines[0].partition("(log: ")[2].partition(")")[0])
    assert log == next(running.home.glob(f"runs/*/logs/{name}.log"))
    assert "Traceback" not in err
    assert running.left(5) == []
    assert list(running.home.glob("runs/*/desk.journal")), "what was recorded until then stays"
    return lines[0]


def test_taken_port_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = Running(tmp_path / "home", "--port", taken.getsockname()[1], "--duration", "5")
        code, out, err = run.end()

    assert (code, out) == (2, "")
    assert "address already in use" in err
    assert len([line for line in err.splitlines() if line]) == 1
    assert list((tmp_path / "home").rglob("*.*")) == []


def test_disk_without_room_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", "run", "--duration", "5"],
        capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PARLEY_HOME": str(home)},
        # no file may grow beyond this: the nearest to a full disk that needs no rights
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"parley: cannot write to '{home}/runs/")
    assert done.stderr.endswith(": File too large; a run needs at least 16 MB\n")
    assert [path for path in home.rglob("*") if path.name != "runs"] == []


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = Running(tmp_path / "file" / "home", "--duration", "5")
    code, out, err = run.end()

    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("parley: cannot make the run's folder ")
    assert err.endswith(": Not a directory\n")


def test_wrong_parameter_of_an_agent_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    config = tmp_path / "desk.toml"
    config.write_text('[agents."strategy/trend"]\nshrae = 0.5\n')
    run = Running(tmp_path / "home", "--config", config)
    code, out, err = run.end()

    assert (code, out) == (2, "")
    assert "did you mean 'share'?" in err
    assert list((tmp_path / "home").rglob("*.*")) == []


def test_run_of_limited_duration_ends_by_itself(tmp_path: Path) -> None:
    run = Running(tmp_path / "home", "--duration", "4", "--journal", tmp_path / "own.journal")
    code, out, err = run.end()

    assert code == 0, err
    told = json.loads(out)
    assert told["journal"] == str(tmp_path / "own.journal")
    assert (tmp_path / "own.journal").is_file()
