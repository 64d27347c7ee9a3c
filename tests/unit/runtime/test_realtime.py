"""Processes that shall go first do so in every life, and nobody else does.

Not here: how much that helps (`make bench-orders`, `make bench-round`).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from parley.errors import ConfigError
from runtime import standby, supervisor
from runtime.agent_process import AgentProcess
from runtime.realtime import AGENT, PRIORITIES, prefer, prefer_all, refused
from runtime.settings import DeskSettings, load_settings
from tests.unit.runtime.test_standby import Run as SparedRun
from tests.unit.runtime.test_standby import run as spared
from tests.unit.runtime.test_supervisor import KILLED, LONG, Run, run

__all__ = ["run", "spared"]
allowed = pytest.mark.skipif(bool(refused()), reason=f"real-time scheduling: {refused()}")


def of(pid: int) -> tuple[int, int]:
    """Policy and priority of a thread."""
    return os.sched_getscheduler(pid), os.sched_getparam(pid).sched_priority


@allowed
def test_every_life_of_a_preferred_child_goes_first_and_no_other_child(run: Run) -> None:
    run.supervisor.prefer({"desk": 12})
    run.start("gateway", LONG)
    run.start("desk", KILLED, LONG)
    seen: list[tuple[int, int]] = []

    def look() -> bool:
        child = run.supervisor.child("desk")
        if child.life == 2 and child.line("ready") is not None:
            seen.append(of(child.pid))
        return not seen

    run.watch(look)
    assert seen == [(os.SCHED_RR, 12)]
    assert of(run.supervisor.child("gateway").pid) == (os.SCHED_OTHER, 0)


def test_spare_goes_first_when_it_has_the_place_and_not_while_it_waits(
    spared: SparedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(supervisor, "prefer", lambda pid, priority: asked.append((pid, priority)))
    monkeypatch.setattr(standby, "prefer_all", lambda pid, priority: asked.append((pid, priority)))
    spared.supervisor.prefer(PRIORITIES)
    spared.start()
    first, desk = spared.gateway.pid, spared.supervisor.child("desk").pid
    assert asked == [(first, PRIORITIES["gateway"]), (desk, PRIORITIES["desk"])]

    os.kill(first, 9)
    spared.watch(lambda: spared.gateway.life == 2 and spared.gateway.line("ready") is not None)
    assert asked[2:] == [(spared.gateway.pid, PRIORITIES["gateway"])]


def test_child_that_may_not_go_first_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def no(pid: int, priority: int) -> None:
        begun.append(pid)
        raise PermissionError("not here")

    monkeypatch.setattr(supervisor, "prefer", no)
    run.supervisor.prefer({"desk": 12})
    with pytest.raises(PermissionError):
        run.start("desk", LONG)
    assert [Path(f"/proc/{pid}").exists() for pid in begun] == [False]


@allowed
def test_threads_that_a_preferred_one_starts_go_first_too_and_this_one_does_not() -> None:
    found: list[tuple[int, int]] = []

    def first() -> None:
        prefer(0, 11)
        second = threading.Thread(target=lambda: found.append(of(0)))
        second.start()
        second.join()

    thread = threading.Thread(target=first)
    thread.start()
    thread.join()
    assert (found, of(0)) == ([(os.SCHED_RR, 11)], (os.SCHED_OTHER, 0))


@allowed
def test_threads_that_are_there_already_go_first_too(run: Run) -> None:
    run.start("gateway", LONG)
    pid = run.supervisor.child("gateway").pid
    prefer_all(pid, 13)
    assert {of(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()} == {(os.SCHED_RR, 13)}


@allowed
@pytest.mark.parametrize("realtime", [True, False])
def test_agents_process_goes_first_if_it_shall(tmp_path: Path, realtime: bool) -> None:
    before = set(threading.enumerate())
    process = AgentProcess(str(tmp_path / "nobody.sock"), "risk/main", str(tmp_path), realtime=realtime)
    process.start()
    try:
        (thread,) = set(threading.enumerate()) - before
        while process.health()["why"] == "not connected yet":  # it has tried to dial by then
            thread.join(0.01)
        assert of(thread.native_id or -1) == ((os.SCHED_RR, AGENT) if realtime else (os.SCHED_OTHER, 0))
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("rehearse = true", r"desk\.rehearse and desk\.realtime: expected one of them, was both"),
        ('nodes = {"risk/main" = "far"}', r"desk\.realtime: expected agents on this machine alone"),
    ],
)
def test_what_does_not_go_with_it_is_refused(tmp_path: Path, more: str, expected: str) -> None:
    settings = tmp_path / "desk.toml"
    settings.write_text(f"[desk]\nrealtime = true\n{more}\n")
    with pytest.raises(ConfigError, match=expected):
        load_settings(settings)
    assert DeskSettings().realtime is False
