"""A desk whose agents are Ray actors, on the real exchange, for tests that end some of its processes.

Exchange, gateway, hub, Ray and desk are children of the test, as `parley run` starts them; the agents are
the real ones, each with a fuse (`tests.kit.mortal`).

Not here: what a person sees of such a run (tests/integration/test_spread.py).

Invariant: when the context ends, no process of the run is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from runtime import launch, placement
from runtime.book_check import check_books
from runtime.launch import Layout
from runtime.process_tree import descendants, is_running, look
from runtime.recorded_market import recorded_market
from runtime.settings import load_settings
from runtime.supervisor import Supervisor
from tests.kit.mortal import mortal
from tests.kit.sandbox import ROOT

PATIENCE_S: Final = 120.0
# Who is asked in every round, for agents whose own requests are rare: reviews, ballots.
SELDOM_S: Final = 2.0
ASKED_OFTEN: Final = "strategy/trend"
_BACK: Final = re.compile(r"agent_back agent=(\S+) incarnation=(\d+) pid=(\d+) away_ms=(\d+)")
T = TypeVar("T")


@dataclass(frozen=True)
class Death:
    """A killed process: whose, whether in an open round, and ms until it had caught up and is asked again."""

    agent: str
    in_round: bool
    back_ms: float
    seq: int = 0  # of the request it died of


class SpreadDesk:
    """A run, its agents' processes, and the deaths so far."""

    def __init__(self, layout: Layout, supervisor: Supervisor, fuses: Path) -> None:
        self.layout = layout
        self.deaths: list[Death] = []
        self._supervisor = supervisor
        self._fuses = fuses
        ready = supervisor.child("ray").line("ready") or {}
        agents: Any = ready["agents"]
        self.pids: dict[str, int] = {agent: said["pid"] for agent, said in agents.items()}
        self._backs = 0

    def _fallen(self) -> str:
        return "; ".join(child.fell() for child in self._supervisor.children if child.code is not None)

    @property
    def log(self) -> str:
        """What the desk's process wrote."""
        return (self.layout.logs / "desk.log").read_text()

    def until_ordered(self) -> None:
        """Wait for the first order."""

        def ordered() -> bool | None:
            with contextlib.closing(sqlite3.connect(f"file:{self.layout.journal}?mode=ro", uri=True)) as file:
                (count,) = file.execute("SELECT count(*) FROM intents").fetchone()
            return bool(count) or None

        self._until(ordered, "no order")

    def kill(self, agent: str) -> Death:
        """End an agent's process at any moment, and wait until it is asked again."""
        self._watch()
        t_kill = time.monotonic_ns()
        os.kill(self.pids[agent], signal.SIGKILL)
        return self._returns(agent, t_kill)

    def kill_in_round(self, agent: str) -> Death:
        """End an agent's process in an open round: while it is asked or, if that is seldom, another is."""
        self._watch()
        done = self._lay(agent, self.pids[agent])
        deadline = time.monotonic() + SELDOM_S
        self._until(lambda: done if done.exists() or time.monotonic() > deadline else None, "")
        with contextlib.suppress(FileNotFoundError):  # it burns
            done.with_suffix(".fuse").unlink()
            done = self._lay(ASKED_OFTEN, self.pids[agent])
        self._until(lambda: done if done.exists() else None, "nobody was asked anything")
        t_kill, seq = map(int, done.read_text().split())
        return self._returns(agent, t_kill, seq)

    def _lay(self, at: str, pid: int) -> Path:
        """Let an agent end a process with its next request; return the file that says when it did."""
        fuse = self._fuses / f"{at.replace('/', '~')}.fuse"
        done = fuse.with_suffix(".done")
        done.unlink(missing_ok=True)
        laid = fuse.with_suffix(".laid")
        laid.write_text(str(pid))
        laid.rename(fuse)
        return done

    def kill_ray(self, part: str) -> float:
        """End a part of Ray; return the seconds until every agent is asked again."""
        self._watch()
        began = time.monotonic()
        driver = self._supervisor.child("ray").pid
        victim = next(each for each in descendants(driver) if each.name == part)
        os.kill(victim.pid, signal.SIGKILL)
        before = dict(self.pids)
        self._until(lambda: self._all_new(before) or None, f"no new agents after {part} was killed")
        assert not is_running(victim.pid, victim.started)
        return time.monotonic() - began

    def end(self) -> dict[str, Any]:
        """Let the desk end in order, then the rest; return the comparison of journal and exchange."""
        self._supervisor.end("desk")
        counted: Any = (self._supervisor.child("desk").line("end") or {}).get("end")
        assert counted is not None, self.log
        self._supervisor.stop()
        return check_books(self.layout.truth, self.layout.journal)

    def _all_new(self, before: Mapping[str, int]) -> bool:
        self._watch()
        return all(self.pids[agent] != pid for agent, pid in before.items())

    def _returns(self, agent: str, t_kill: int, seq: int = 0) -> Death:
        killed = self.pids[agent]
        self._until(lambda: self._watch() or self.pids[agent] != killed or None, f"{agent} did not come back")
        death = Death(agent, bool(seq), (time.monotonic_ns() - t_kill) / 1e6, seq)
        self.deaths.append(death)
        return death

    def _watch(self) -> None:
        """Read who came back since."""
        backs = _BACK.findall(self.log)
        for agent, _, pid, _ in backs[self._backs :]:
            self.pids[agent] = int(pid)
        self._backs = len(backs)

    def _until(self, what: Callable[[], T | None], else_: str) -> T:
        deadline = time.monotonic() + PATIENCE_S
        while (found := what()) is None:
            assert all(child.code is None for child in self._supervisor.children), self._fallen()
            assert time.monotonic() < deadline, f"{else_}: {self.log[-2000:]}"
            time.sleep(0.005)
        return found


@contextlib.contextmanager
def spread_desk(home: Path, options: Mapping[str, object]) -> Iterator[SpreadDesk]:
    """Start the run; the caller ends it."""
    settings = load_settings(
        None, {**options, "home": home, "desk": {"placement": "spread", "dashboard": False}}
    )
    market = recorded_market(settings)
    layout = launch.make_layout(settings)
    run = launch.make_run(settings, market, layout.run_id)
    fuses = layout.folder / "fuses"
    fuses.mkdir()
    run = msgspec.structs.replace(run, agents=tuple(mortal(spec, fuses) for spec in run.agents))
    supervisor = Supervisor(layout.logs)
    keys = ("key", "secret")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # the agents' processes load the kit
    try:
        ray = supervisor.begin("ray", "runtime.ray_driver", placement.write_ray(layout, settings, run))
        venue = supervisor.start(
            "sandbox", "venues.sandbox", launch.write_sandbox(layout, settings, market, keys)
        )
        access = launch.sandbox_access(layout, keys, str(venue["rest"]), str(venue["ws"]))
        gateway = launch.write_gateway(layout, settings, market, access)
        supervisor.start("gateway", "runtime.gateway", gateway)
        supervisor.start("hub", "runtime.hub", launch.write_hub(layout, settings, market, access))
        supervisor.ready(ray)
        address = placement.agents_address(layout, settings)
        supervisor.start("desk", "runtime.desk", launch.write_desk(layout, run, address))
        yield SpreadDesk(layout, supervisor, fuses)
    finally:
        tree = [each for child in supervisor.children for each in descendants(child.pid)]
        supervisor.stop()
        launch.sweep(layout)
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
        left = [each for each in tree if is_running(each.pid, each.started)]
    assert not left, left
    assert all(look(child.pid) is None for child in supervisor.children)
