"""A spare takes the place of a unit that ends or falls silent, after its end, under seals of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import silence, standby
from runtime.child import Child
from runtime.process_tree import look
from runtime.restarts import Restarts
from runtime.seals import key_for
from runtime.supervisor import ChildFailed, Supervisor, running

UNIT, KEYED = "tests.kit.spare_unit", "tests.kit.keyed_unit"
PATIENCE_S = 60.0


class Run:
    """A gateway that a spare follows, and its desk."""

    def __init__(self, folder: Path) -> None:
        self.supervisor = Supervisor(folder)
        self.config = folder / "gateway.json"
        self.lives: list[tuple[int, bool, str]] = []

    def start(self, *turns: dict[str, object], most: int = 5) -> None:
        self.config.write_text(json.dumps(turns))
        self.supervisor.introduce("desk", to="gateway")
        self.supervisor.start("gateway", UNIT, self.config)
        self.supervisor.start("desk", KEYED, self.config)
        self.supervisor.keep_spare("gateway", UNIT, Path(f"{self.config}.beats"), Restarts(most=most))

    @property
    def gateway(self) -> Child:
        return self.supervisor.child("gateway")

    @property
    def turns(self) -> list[int]:
        return [int(pid) for pid in Path(f"{self.config}.turns").read_text().split()]

    def heard(self) -> list[object]:
        """What the last gateway was told: itself, its desk, the key of the line between them."""
        with contextlib.suppress(OSError, ValueError):
            told: list[object] = json.loads(Path(f"{self.config}.heard").read_text())
            return told
        return []

    def watch(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S

        def on_life(child: Child) -> None:
            self.lives.append((child.life, child.line("ready") is not None, child.follows))

        self.supervisor.watch(
            "desk", poll_s=0.01, each=lambda: not until() and time.monotonic() < deadline,
            restarts=Restarts(), on_life=on_life,
        )  # fmt: skip
        assert until()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    spare = run.supervisor.spare
    pids = [child.pid for child in run.supervisor.children] + ([spare.pid] if spare is not None else [])
    run.supervisor.stop()
    assert running(pids) == []


def test_spare_follows_a_gateway_that_died_and_another_spare_is_made(run: Run) -> None:
    run.start()
    first, spare = run.gateway.pid, run.supervisor.spare
    assert spare is not None
    os.kill(first, signal.SIGKILL)

    run.watch(lambda: (2, True, "was ended by SIGKILL") in run.lives and run.supervisor.spare is not None)

    assert run.gateway is spare
    assert run.lives == [(2, False, "was ended by SIGKILL"), (2, True, "was ended by SIGKILL")]
    assert run.turns == [first, spare.pid], "the next one waits"
    assert run.supervisor.spare is not spare
    assert [child.name for child in run.supervisor.children] == ["gateway", "desk"]
    desk = run.supervisor.child("desk")
    assert desk.life == 1
    told = str((desk.line("ready") or {})["told"])
    wait_for(lambda: run.heard()[:1] == [spare.pid])
    assert run.heard() == [spare.pid, desk.pid, key_for(bytes.fromhex(told), spare.pid).hex()]
    assert key_for(bytes.fromhex(told), first) != key_for(bytes.fromhex(told), spare.pid)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_spare_that_dies_while_idle_is_replaced_and_nobody_has_a_turn(run: Run) -> None:
    run.start()
    spare = run.supervisor.spare
    assert spare is not None
    os.kill(spare.pid, signal.SIGKILL)

    run.watch(lambda: run.supervisor.spare not in (None, spare))

    assert run.turns == [run.gateway.pid]
    assert run.lives == []


def test_gateway_that_is_stopped_is_ended_before_its_spare_has_a_turn(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_S", 0.5)
    run.start()
    stopped = run.gateway.pid
    ended_first: list[bool] = []
    relieve = standby.Standby.relieve

    def seen(self: standby.Standby, last: Child, told: list[bytes]) -> Child:
        ended_first.append(look(stopped) is None)
        return relieve(self, last, told)

    monkeypatch.setattr(standby.Standby, "relieve", seen)
    os.kill(stopped, signal.SIGSTOP)

    run.watch(lambda: any(is_ready for _, is_ready, _ in run.lives))

    with pytest.raises(ProcessLookupError):
        os.kill(stopped, signal.SIGCONT)
    assert ended_first == [True]
    assert {follows for *_, follows in run.lives} == {"was silent for 0 s and was ended"}


def test_gateway_that_beats_is_left_alone_however_long_nobody_looked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was stopped itself, with the rest of the machine, accuses nobody of silence."""
    monkeypatch.setattr(silence, "SILENT_S", 1.0)
    run.start()
    first, looks = run.gateway.pid, 0

    def three_late_looks() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            os.kill(first, signal.SIGSTOP)
            time.sleep(1.5)
            os.kill(first, signal.SIGCONT)
        return looks > 100

    run.watch(three_late_looks)

    assert run.gateway.pid == first


def test_gateway_that_dies_again_and_again_ends_the_run_with_the_reason(run: Run) -> None:
    run.start(most=2)

    def kill_it_again() -> bool:
        if run.gateway.line("ready") is not None and run.gateway.code is None:
            os.kill(run.gateway.pid, signal.SIGKILL)
        return False

    with pytest.raises(ChildFailed) as caught:
        run.watch(kill_it_again)

    text = str(caught.value)
    assert text.startswith("the gateway was ended by SIGKILL while running; it said nothing (log: ")
    assert text.endswith("it was not started again: it ended 3 times within 60 s of service")
    assert len(run.turns) == 3


def test_gateway_that_says_it_is_a_mistake_is_not_followed(run: Run) -> None:
    run.start({"serves_s": 2.0, "exit": 2})

    with pytest.raises(ChildFailed, match="it says that this is a mistake in what it was given"):
        run.watch(lambda: False)

    assert len(run.turns) == 1


def test_spare_of_a_run_that_is_stopped_ends_without_a_turn(run: Run) -> None:
    run.start()
    spare = run.supervisor.spare
    assert spare is not None

    run.supervisor.stop()

    assert running([spare.pid]) == []
    assert run.turns == [run.gateway.pid]
