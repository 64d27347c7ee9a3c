"""A unit that is kept is started again when it ends or falls silent, beside whoever else comes back.

Not here: one that a spare follows (test_standby.py), what a hub does with its next life.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import silence
from runtime.child import Child
from runtime.restarts import Restarts
from runtime.supervisor import ChildFailed, Supervisor, running

UNIT, BRIEF = "tests.kit.beating_unit", "tests.kit.brief_unit"
PATIENCE_S = 60.0
LONG: dict[str, object] = {"serves_s": 60}


class Run:
    """A hub that is kept, and a desk; before them an exchange if a test wants one."""

    def __init__(self, folder: Path) -> None:
        self.supervisor = Supervisor(folder)
        self.lives: list[tuple[str, int, bool, str]] = []
        self._folder = folder
        self._hub = folder / "hub.json"

    def start(
        self, *hubs: dict[str, object], most: int = 5, exchange: dict[str, object] | None = None
    ) -> None:
        if exchange is not None:
            self._begin("sandbox", BRIEF, exchange)
        self._hub.write_text(json.dumps(hubs))
        self.supervisor.start("hub", UNIT, self._hub)
        self._begin("desk", BRIEF, LONG, LONG)
        self.supervisor.keep("hub", Path(f"{self._hub}.beats"), Restarts(most=most))

    def _begin(self, name: str, module: str, *lives: dict[str, object]) -> None:
        config = self._folder / f"{name}.json"
        config.write_text(json.dumps(lives))
        self.supervisor.start(name, module, config)

    def pid(self, name: str) -> int:
        return self.supervisor.child(name).pid

    @property
    def told(self) -> list[list[str]]:
        """What each life of the hub was told besides its configuration."""
        return [line.split()[1:] for line in Path(f"{self._hub}.lives").read_text().splitlines()]

    def watch(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S

        def on_life(child: Child) -> None:
            self.lives.append((child.name, child.life, child.line("ready") is not None, child.follows))

        self.supervisor.watch(
            "desk", poll_s=0.01, each=lambda: not until() and time.monotonic() < deadline,
            restarts=Restarts(), on_life=on_life,
        )  # fmt: skip
        assert until()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    pids = [child.pid for child in run.supervisor.children]
    run.supervisor.stop()
    assert running(pids) == []


def test_hub_that_is_killed_is_started_again_and_told_so(run: Run) -> None:
    run.start()
    desk = run.pid("desk")
    os.kill(run.pid("hub"), signal.SIGKILL)

    run.watch(lambda: len(run.lives) == 2)

    how = "was ended by SIGKILL"
    assert run.lives == [("hub", 2, False, how), ("hub", 2, True, how)]
    assert run.told == [[], ["--again"]]
    assert [child.name for child in run.supervisor.children] == ["hub", "desk"]
    assert run.pid("desk") == desk


@pytest.mark.parametrize("code", [0, 1])
def test_hub_that_ends_by_itself_while_it_serves_is_started_again(run: Run, code: int) -> None:
    run.start({"serves_s": 1.5, "exit": code})

    run.watch(lambda: any(is_ready for _, _, is_ready, _ in run.lives))


def test_hub_that_hangs_is_ended_and_started_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENT_S", 0.5)
    run.start()
    stopped = run.pid("hub")
    os.kill(stopped, signal.SIGSTOP)

    run.watch(lambda: any(is_ready for _, _, is_ready, _ in run.lives))

    with pytest.raises(ProcessLookupError):
        os.kill(stopped, signal.SIGCONT)
    assert {how for *_, how in run.lives} == {"was silent for 0 s and was ended"}


def test_hub_and_desk_that_are_killed_together_both_come_back(run: Run) -> None:
    run.start()
    os.kill(run.pid("hub"), signal.SIGKILL)
    os.kill(run.pid("desk"), signal.SIGKILL)

    run.watch(lambda: len(run.lives) == 4)

    assert sorted((name, life) for name, life, is_ready, _ in run.lives if is_ready) == [
        ("desk", 2), ("hub", 2),
    ]  # fmt: skip


def test_hub_that_falls_again_and_again_ends_the_run_with_the_reason(run: Run) -> None:
    run.start(*[{"serves_s": 1.5, "exit": 1, "says": "hub: Fatal: out of luck"}] * 4, most=3)

    with pytest.raises(ChildFailed) as caught:
        run.watch(lambda: False)

    text = str(caught.value)
    assert text.startswith("the hub ended with exit code 1 while running; its last words: hub: Fatal: out of")
    assert text.endswith("it was not started again: it ended 4 times within 60 s of service")


def test_hub_that_lost_its_exchange_is_not_started_again_and_the_exchange_is_blamed(run: Run) -> None:
    lost = {"serves_s": 1.7, "exit": 1, "says": "hub: Fatal: the sandbox closed its socket"}
    run.start(lost, exchange={"serves_s": 1.5, "tidies_s": 0.7, "exit": 1, "says": "sandbox: broken"})

    with pytest.raises(ChildFailed, match="the sandbox ended with exit code 1 while running"):
        run.watch(lambda: False)

    assert run.lives == []
