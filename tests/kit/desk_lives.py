"""A run whose desk is killed and started again by the test: real exchange, gateway, hub; a desk's many lives.

Not here: what a run that `parley run` keeps up does about a killed desk (`runtime.supervisor`).

Invariant: when the context ends, no process of the run is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from parley.messages import KIND_OF, Decision, Intent, decode, decode_envelope
from runtime import launch
from runtime.agent_process import AgentProcess
from runtime.book_check import check_books
from runtime.journal import JournalReader
from runtime.launch import Layout, Market
from runtime.recorded_market import recorded_market
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from runtime.supervisor import Supervisor
from tests.kit.forked import ROOT, Child, desks

DYING = "tests.kit.dying_desk"
PATIENCE_S = 60.0


@dataclass
class Life:
    """One life of a desk: ``how`` it was ended, ``exit`` code, wall times in ns, and its JSON lines."""

    how: str
    exit: int = 0
    t_start: int = 0
    t_end: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: str = ""


class Lives:
    """The run, and every life its desk had."""

    def __init__(self, layout: Layout, supervisor: Supervisor, config: Path) -> None:
        self.layout = layout
        self.supervisor = supervisor
        self.lives: list[Life] = []
        self.config = config

    @property
    def journal(self) -> Path:
        return self.layout.journal

    def live(
        self, die: str = "", kill_after_s: float | None = None, kill_when: Callable[[], bool] | None = None
    ) -> Life:
        """Run the desk until it ends: by itself, at the place ``die``, or killed.

        Killed is it a time after it is ready, or as soon as ``kill_when`` says so.
        """
        life = Life(how=die or ("" if kill_after_s is None else f"after {kill_after_s:.3f} s"))
        life.t_start = time.time_ns()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            desk = desks().start(
                DYING if die else "runtime.desk", "--config", str(self.config), cwd=ROOT,
                env=os.environ | {"DIE": die}, out=out.fileno(), err=errors.fileno(),
            )  # fmt: skip
            try:
                if kill_after_s is not None:
                    _until_ready(desk, out)
                    with contextlib.suppress(TimeoutError):
                        desk.wait(kill_after_s)
                    desk.kill()
                elif kill_when is not None:
                    _until(kill_when)
                    desk.kill()
                life.exit = desk.wait(PATIENCE_S)
            finally:
                desk.kill()
                desk.wait(PATIENCE_S)
            out.seek(0)
            errors.seek(0)
            life.lines = [json.loads(line) for line in out.read().splitlines()]
            life.errors = errors.read().decode()
        life.t_end = time.time_ns()
        self.lives.append(life)
        return life

    @property
    def kills(self) -> int:
        return sum(1 for life in self.lives if life.exit == -9)

    @property
    def end(self) -> dict[str, Any]:
        """What the last life counted."""
        counted: dict[str, Any] = next(line["end"] for line in self.lives[-1].lines if "end" in line)
        return counted

    def books(self) -> dict[str, Any]:
        """Let the stand-alone script compare journal and exchange; only after the exchange ended."""
        return check_books(self.layout.truth, self.journal)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)


def _until_ready(desk: Child, out: IO[bytes]) -> None:
    """Wait until a desk has said that it is ready, or ended."""
    while not os.fstat(out.fileno()).st_size:
        with contextlib.suppress(TimeoutError):
            desk.wait(0.002)
            return


@contextlib.contextmanager
def desk_lives(
    home: Path,
    options: Mapping[str, object],
    *,
    apart: bool = False,
    hostility: Mapping[str, object] | None = None,
) -> Iterator[Lives]:
    """Start exchange, gateway and hub for a desk the caller lets live and die.

    Its agents are in it, or ``apart``, at the other end of sockets: then they live in this process, each with
    a thread that dials the desk again whenever it is gone. ``hostility`` are switches of the exchange.
    """
    settings = load_settings(None, {**options, "home": home})
    market = recorded_market(settings)
    with lives_of(settings, market, launch.make_run, apart=apart, hostility=hostility) as lives:
        yield lives


@contextlib.contextmanager
def lives_of(
    settings: Settings,
    market: Market,
    compose: Callable[[Settings, Market, str], RunConfig],
    *,
    apart: bool = False,
    hostility: Mapping[str, object] | None = None,
) -> Iterator[Lives]:
    """As `desk_lives`, of a desk that is composed otherwise."""
    layout = launch.make_layout(settings)
    run = compose(settings, market, layout.run_id)
    supervisor = Supervisor(layout.logs)
    keys = ("key", "secret")
    agents: list[AgentProcess] = []
    try:
        exchange = launch.write_sandbox(layout, settings, market, keys)
        if hostility is not None:
            exchange.write_text(json.dumps(json.loads(exchange.read_text()) | {"hostility": hostility}))
        venue = supervisor.start("sandbox", "venues.sandbox", exchange)
        access = launch.sandbox_access(layout, keys, str(venue["rest"]), str(venue["ws"]))
        gateway = launch.write_gateway(layout, settings, market, access)
        supervisor.start("gateway", "runtime.gateway", gateway)
        supervisor.start("hub", "runtime.hub", launch.write_hub(layout, settings, market, access))
        address = layout.socket("agents") if apart else ""
        for spec in run.agents if apart else ():
            agents.append(AgentProcess(address, spec.id, str(layout.folder / "lives")))
            agents[-1].start()
        yield Lives(layout, supervisor, launch.write_desk(layout, run, address))
    finally:
        for agent in agents:
            agent.stop()
        supervisor.stop()
        launch.sweep(layout)


def decisions(journal: Path) -> dict[bytes, bytes]:
    """Return the body of every decision by round."""
    found = {}
    for record in JournalReader(journal).records(kinds=[KIND_OF["Decision"]]):
        body = decode_envelope(record.body).body
        decision = decode(body)
        assert isinstance(decision, Decision)
        assert decision.round not in found, "a round was decided twice"
        found[decision.round] = body
    return found


def intents(journal: Path) -> list[Intent]:
    """Return every order of a journal, in order."""
    found = []
    for record in JournalReader(journal).records(kinds=[KIND_OF["Intent"]]):
        message = decode(decode_envelope(record.body).body)
        assert isinstance(message, Intent)
        found.append(message)
    return found
