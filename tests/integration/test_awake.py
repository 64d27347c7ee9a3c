"""Processes that keep cores awake: they yield to everybody, sit on their cores, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parley.errors import UserError
from runtime.awake import CoresAwake

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="needs Linux")
PATIENCE_S = 20.0
PARENT = """
import sys, time
from runtime.awake import CoresAwake
awake = CoresAwake()
awake.start()
print(*awake.pids, flush=True)
time.sleep(60)
"""


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def eventually(condition: object) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if callable(condition) and condition():
            return True
        time.sleep(0.02)
    return False


def test_each_core_gets_one_that_yields_to_everybody() -> None:
    cores = sorted(os.sched_getaffinity(0))
    with CoresAwake() as awake:
        pids = awake.pids

        assert len(pids) == len(cores)
        assert eventually(lambda: all(os.sched_getscheduler(pid) == os.SCHED_IDLE for pid in pids))
        assert eventually(lambda: [os.sched_getaffinity(pid) for pid in pids] == [{core} for core in cores])

    assert all(is_gone(pid) for pid in pids)
    assert awake.pids == ()


def test_they_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            pids = [int(word) for word in parent.stdout.readline().split()]
            assert pids
            assert eventually(lambda: all(os.sched_getscheduler(pid) == os.SCHED_IDLE for pid in pids))
        finally:
            parent.send_signal(signal.SIGKILL)

    assert eventually(lambda: all(is_gone(pid) for pid in pids))


def test_a_system_without_such_a_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "SCHED_IDLE")

    with pytest.raises(UserError, match="SCHED_IDLE"):
        CoresAwake()
