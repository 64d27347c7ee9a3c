"""However a run ends, by the user, a crash or a start that failed, no process and no half file stays."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.running import UNITS, Running

pytestmark = pytest.mark.timeout(180)

# desk and hub come back, and a gateway is followed by its spare
ENDING = sorted(UNITS - {"runtime.desk", "runtime.gateway", "runtime.hub"})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    run = Running(tmp_path / "home")
    run.wait_until_trading()
    yield run
    run.kill()


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


@pytest.mark.parametrize("unit", ENDING)
def test_killed_unit_is_blamed_whoever_noticed_first(running: Running, unit: str) -> None:
    running.children[unit].kill()

    blame = blame_of(running, unit)

    assert "was ended by SIGKILL while running; it said nothing" in blame


@pytest.mark.parametrize("unit", ENDING)
def test_unit_that_ends_in_order_too_early_is_blamed(running: Running, unit: str) -> None:
    """It hangs up first and tidies for a while, so the kernel sees the hub's end before its own."""
    running.children[unit].terminate()

    blame = blame_of(running, unit)

    assert "ended with exit code 0 while running" in blame
    assert "the hub (ended with exit code 1: hub: " in blame


@pytest.mark.parametrize("name", ["gateway", "hub"])
def test_unit_that_ends_in_order_is_followed_and_the_run_goes_on(running: Running, name: str) -> None:
    unit = running.children[f"runtime.{name}"]
    unit.terminate()
    unit.wait(20)

    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(8)
    running.process.send_signal(signal.SIGTERM)
    code, out, err = running.end()

    assert code == 0, err
    told = json.loads(out)
    assert told[f"{name}_lives"] == 2
    assert told["ledger_equals_exchange"] is True
    assert running.left(5) == []


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


def test_second_desk_of_a_home_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = Running(
        tmp_path,
    )
    first.wait_until_trading()
    try:
        code, out, err = Running(tmp_path, "--duration", "2").end()

        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert f"a desk runs in {str(tmp_path)!r} already, pid {first.process.pid}, run 2" in err
        assert len(list(tmp_path.glob("runs/*"))) == 1
    finally:
        first.process.kill()
        first.end()

    code, _, err = Running(tmp_path, "--duration", "2").end()
    assert code == 0, err
    assert list(tmp_path.glob("*.lead")) == []


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
    run = Running(tmp_path / "home", "--duration", "2", "--journal", tmp_path / "own.journal")
    code, out, err = run.end()

    assert code == 0, err
    told = json.loads(out)
    assert told["journal"] == str(tmp_path / "own.journal")
    assert (tmp_path / "own.journal").is_file()
