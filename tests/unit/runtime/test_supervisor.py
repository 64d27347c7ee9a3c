"""A run's processes: the main one comes back when it falls alone, and who fell first is blamed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.child import Child
from runtime.restarts import Restarts
from runtime.seals import key_for
from runtime.supervisor import ChildFailed, Supervisor, running

UNIT = "tests.kit.brief_unit"
KEYED = "tests.kit.keyed_unit"
LONG = {"serves_s": 60}
KILLED = {"serves_s": 0.05, "exit": -9}


class Run:
    """A supervisor with units whose lives are planned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supervisor = Supervisor(folder)
        self.lives: list[tuple[int, bool]] = []

    def start(self, name: str, *lives: dict[str, object]) -> None:
        config = self.folder / f"{name}.json"
        config.write_text(json.dumps(lives))
        self.supervisor.start(name, UNIT, config)

    def watch(self, goes_on: Callable[[], bool] = lambda: True, restarts: Restarts | None = None) -> None:
        def on_life(child: Child) -> None:
            self.lives.append((child.life, child.line("ready") is not None))

        self.supervisor.watch(
            "desk", poll_s=0.01, each=goes_on, restarts=restarts or Restarts(), on_life=on_life
        )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def run(tmp_path: Path):  # type: ignore[no-untyped-def]
    run = Run(tmp_path)
    yield run
    pids = [child.pid for child in run.supervisor.children]
    run.supervisor.stop()
    assert running(pids) == []


def test_desk_that_is_killed_is_started_again_and_both_moments_are_told(run: Run) -> None:
    run.start("gateway", LONG)
    run.start("desk", KILLED, KILLED, {"serves_s": 0.3})

    run.watch()

    assert run.lives == [(2, False), (2, True), (3, False), (3, True)]
    desk = run.supervisor.child("desk")
    assert (desk.life, desk.code, desk.line("ready")) == (3, 0, {"ready": True, "life": 3})
    assert [child.name for child in run.supervisor.children] == ["gateway", "desk"]
    assert (run.folder / "desk-3.log").exists()


def test_run_is_followed_while_its_desk_is_away(run: Run) -> None:
    """The screen goes on, and so does the time after which the run ends."""
    run.start("desk", KILLED, {"ready": False, "serves_s": 60})
    polls = 0

    def five_more() -> bool:
        nonlocal polls
        polls += bool(run.lives)
        return polls < 5

    run.watch(five_more)

    assert run.lives == [(2, False)]
    assert run.supervisor.child("desk").line("ready") is None


def test_without_leave_to_restart_the_first_end_is_the_last(run: Run) -> None:
    run.start("desk", KILLED)

    with pytest.raises(ChildFailed, match="the desk was ended by SIGKILL while running; it said nothing"):
        run.supervisor.watch("desk", poll_s=0.01, each=lambda: True)


def test_desk_that_falls_again_and_again_ends_the_run_with_the_reason(run: Run) -> None:
    fallen = {"exit": 1, "says": "desk: Fatal: out of luck"}
    run.start("desk", *[fallen] * 4)

    with pytest.raises(ChildFailed) as caught:
        run.watch(restarts=Restarts(most=3))

    text = str(caught.value)
    assert "the desk ended with exit code 1 while running; its last words: desk: Fatal: out of luck" in text
    assert "desk-4.log)" in text
    assert text.endswith("it was not started again: it ended 4 times within 60 s of service")


def test_desk_that_cannot_go_on_is_not_tried_again(run: Run) -> None:
    run.start("desk", KILLED, {"ready": False, "exit": 1, "says": "desk: DoesNotReplay: seq 7"})

    with pytest.raises(ChildFailed, match=r"seq 7 .*; it was not started again: it could not go on"):
        run.watch()

    assert run.supervisor.child("desk").life == 2


def test_mistake_of_the_user_is_not_tried_again(run: Run) -> None:
    run.start("desk", {"exit": 2, "says": "desk: wrong"})

    with pytest.raises(ChildFailed, match="it was not started again: it says that this is a mistake"):
        run.watch()

    assert run.supervisor.child("desk").life == 1


def test_desk_that_lost_its_gateway_is_not_to_blame_and_not_tried_again(run: Run) -> None:
    go = run.folder / "go"
    run.start("gateway", {"until": str(go), "exit": -9})
    run.start("desk", {"until": str(go), "exit": 1, "says": "desk: Fatal: the gateway is gone: EOF"})

    def both_end() -> bool:
        go.touch()
        wait_until(lambda: all(child.code is not None for child in run.supervisor.children))
        return True

    with pytest.raises(ChildFailed) as caught:
        run.watch(both_end)

    assert str(caught.value).startswith("the gateway was ended by SIGKILL while running")
    assert "because of it: the desk (ended with exit code 1" in str(caught.value)
    assert run.supervisor.child("desk").life == 1


def test_gateway_that_hung_up_and_still_tidies_is_waited_for(run: Run) -> None:
    """Else the desk would be started again, find nobody there, and be blamed."""
    go = run.folder / "go"
    run.start("gateway", {"until": str(go), "tidies_s": 1.5})
    run.start("desk", {"until": str(go), "exit": 1, "says": "desk: Fatal: the gateway is gone: EOF"}, LONG)

    def desk_ends() -> bool:
        go.touch()
        wait_until(lambda: run.supervisor.child("desk").code is not None)
        return True

    with pytest.raises(ChildFailed, match="the gateway ended with exit code 0 while running"):
        run.watch(desk_ends)

    assert run.supervisor.child("desk").life == 1


def test_unit_that_falls_while_the_desk_is_away_ends_the_run(run: Run) -> None:
    go = run.folder / "go"
    run.start("hub", {"until": str(go), "exit": -9})
    run.start("desk", {"exit": -9}, {"ready": False, "serves_s": 60})

    def hub_ends() -> bool:
        if run.lives:
            go.touch()
        return True

    with pytest.raises(ChildFailed, match="the hub was ended by SIGKILL"):
        run.watch(hub_ends)


def test_user_who_stops_while_the_desk_is_away_ends_the_run_in_order(run: Run) -> None:
    run.start("desk", KILLED, {"ready": False, "serves_s": 60})

    def stops() -> bool:
        if run.lives:
            run.supervisor.stopping.set()
        return True

    run.watch(stops)

    assert run.supervisor.child("desk").code is None


def test_a_process_that_ended_does_not_run_although_nobody_has_collected_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)

    assert running([child.pid, os.getpid()]) == [os.getpid()]
    child.wait()
    assert running([child.pid]) == []


def test_each_life_of_a_desk_has_a_key_of_its_own_that_nobody_else_can_see(run: Run) -> None:
    heard = run.folder / "heard.json"
    run.supervisor.introduce("desk", to="gateway")
    run.supervisor.start("gateway", KEYED, heard)
    run.supervisor.start("desk", KEYED, run.folder / "desk.json")
    run.start("hub", LONG)  # which is told nothing, and would not know its flags
    first = _key(run, heard)

    os.kill(run.supervisor.child("desk").pid, 9)
    run.watch(lambda: (2, True) not in run.lives)

    assert _key(run, heard) != first


def _key(run: Run, heard: Path) -> str:
    """The key of the desk that lives, once the gateway knows it as well."""
    desk = run.supervisor.child("desk")
    line = desk.line("ready")
    assert line is not None
    assert line["seen"] is False
    key = key_for(bytes.fromhex(str(line["told"])), run.supervisor.child("gateway").pid).hex()
    wait_until(lambda: heard.exists() and key in heard.read_text())
    assert json.loads(heard.read_text()) == [desk.pid, key]
    return key
