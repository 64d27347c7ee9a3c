"""The kit's forks say and end as what an interpreter starts, and none outlives a test run that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.kit.forked import ROOT, looks

KEEPER = """
import os, sys, tempfile, time
from pathlib import Path
from tests.kit.forked import ROOT, Server
server = Server("http.server")
with tempfile.TemporaryFile() as none:
    child = server.start("http.server", "0", cwd=ROOT, env=os.environ, out=none.fileno(), err=none.fileno())
print(server.pid, child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "words",
    [("--version",), ("nonsense",), (), ("status",), ("replay", "--journal", "nowhere"), ("run", "-h")],
)
def test_command_that_is_forked_says_and_ends_as_one_that_is_started(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    environment = os.environ | {"PARLEY_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    begun = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *words], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip

    forked = looks().run("runtime.cli", *words, cwd=tmp_path, env=environment, timeout=60)

    assert (forked.returncode, forked.stdout, forked.stderr) == (
        begun.returncode, begun.stdout, begun.stderr,
    )  # fmt: skip
    assert forked.stdout or forked.stderr


def test_fork_that_is_killed_ends_by_its_signal_and_one_that_runs_is_waited_for(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as none:
        fd = none.fileno()
        child = looks().start("http.server", "0", cwd=tmp_path, env=os.environ, out=fd, err=fd)
    with pytest.raises(TimeoutError):
        child.wait(0.1)
    assert psutil.Process(child.pid).cwd() == str(tmp_path)

    child.kill()

    assert child.wait(10) == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)


def test_nothing_that_was_forked_outlives_a_killed_test_run() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as keeper:
        assert keeper.stdout is not None
        pids = [int(word) for word in keeper.stdout.readline().split()]
        keeper.kill()

    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and not _is_zombie(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


PROBE = """\
import importlib.util, time
print(time.strftime("%Z", time.localtime(0)))
print(importlib.util.find_spec("tests") is not None)
"""


def test_fork_has_the_time_zone_it_is_given_and_finds_no_more_than_a_real_interpreter(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    env = {"PATH": os.environ["PATH"], "TZ": "Asia/Tokyo"}
    forked = looks().run("probe", cwd=tmp_path, env=env, timeout=60)
    real = subprocess.run(
        [sys.executable, "-m", "probe"], cwd=tmp_path, env=env, text=True, capture_output=True, check=True
    )
    assert forked.stdout == real.stdout == "JST\nFalse\n"
