"""One bout: an exchange, a hub, a gateway and a desk of their own, beaten until the market ends.

All four are the real processes over real sockets and journals; only their birth is a fork. What is done to
them, and when they said that they serve, is written to ``events.jsonl`` beside their own files, which is
all that the judge (tools/chaos) reads.

Not here: what is done (`plan`, `places`), who judges, counting bouts (`campaign`).

Invariant: a bout ends with everybody told: the last life of the desk heard all that its gateway knows.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime import kill_file, launch
from runtime.understudy_keeper import STATUS, read_status
from tests.chaos import places, stage
from tests.chaos.line import OPEN, set_mood
from tests.chaos.mutants import MUTANTS
from tests.chaos.nursery import Child, Nursery, until
from tests.chaos.plan import Blow, Plan, blow_of, fuse_of
from tests.chaos.unsettled import Unsettled

EVENTS: Final = "events.jsonl"
_START_S: Final = 90.0
_END_S: Final = 60.0
_TERM_S: Final = 30.0
_QUIET_S: Final = 90.0
_LOOK_S: Final = 0.05
_MOST_STRANGE: Final = 5
_UNDERSTUDY_DIES: Final = 0.1  # before a blow
_KEPT: Final = re.compile(r"desk_comes_back kept_seq=[1-9]")
_SECOND_WRITER: Final = "UNIQUE constraint failed"
_FULL_DISK: Final = "disk_full"
_NOTICES_S: Final = 1.0  # in which a unit meets its full disk, if it has anything to write
# How a unit may end that nobody hit: because another one went, or the venue takes nobody for a while.
_COLLATERAL: Final = (
    "the gateway is gone", "the hub is gone", "cannot reach the socket", "cannot reach the gateway",
    "cannot be used: ",
)  # fmt: skip


@dataclass
class Outcome:
    """What was done: kills by "unit place", other signals, and ends that nobody can explain.

    ``spent_s`` is what the bout's time went into, ``cpu_s`` the processor's, by unit; both s.
    """

    kills: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    lives: int = 0
    seconds: float = 0.0
    spent_s: Counter[str] = field(default_factory=Counter)
    cpu_s: Counter[str] = field(default_factory=Counter)


class Bout:
    """One bout in a folder."""

    def __init__(self, plan: Plan, folder: Path, mutant: str = "") -> None:
        self.plan = plan
        self.folder = folder
        self.outcome = Outcome()
        self._mutate: Callable[[], None] = MUTANTS[mutant] if mutant else _as_it_is
        self._dice = plan.dice("blows")
        self._fuses = plan.dice("fuses")
        self._armed: dict[int, places.Fuse | None] = {}
        self._hit: set[int] = set()
        self._rivals: set[int] = set()  # desks that took over: who wrote first decides which of two has to go
        self._is_over = False
        self._is_halted = False
        self._has_had_a_hub = False
        self._understudy: Child | None = None
        self._layout: launch.Layout
        self._nursery: Nursery
        self._sandbox: Child
        self._gateway: Child
        self._hub: Child
        self._desk: Child

    def fight(self) -> Outcome:
        """Run the bout to its end."""
        began = time.monotonic()
        for part in ("config", "logs"):
            (self.folder / part).mkdir(parents=True)
        with Nursery(self.folder / "logs") as self._nursery:
            with self._spending("opening"):
                self._open()
            while sum(self.outcome.kills.values()) < self.plan.kills and not (self._is_over or self._is_lost):
                self._round()
            with self._spending("ending"):
                self._close()
        for child in self._nursery.children:
            self.outcome.cpu_s[child.unit] += child.cpu_s
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    @contextmanager
    def _spending(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.outcome.spent_s[what] += time.monotonic() - began

    @property
    def _is_lost(self) -> bool:
        """Whether so much went wrong that nobody gets up any more."""
        return len(self.outcome.strange) >= _MOST_STRANGE

    # ------------------------------------------------------------------ start and end

    def _open(self) -> None:
        plan = self.plan
        self._layout = stage.layout_of(plan, self.folder)
        self._sandbox = self._nursery.start("sandbox", stage.write_exchange(plan, self._layout))
        self._until_ready(self._sandbox)
        told = self._sandbox.lines[0]
        rest, ws = str(told["rest"]), str(told["ws"])
        near = rest, ws
        if plan.has_line:
            line = self._nursery.start("line", stage.write_line(self._layout, rest))
            self._until_ready(line)
            near = stage.through(int(line.lines[0]["port"]), rest), stage.through(line.lines[0]["port"], ws)
        stage.write_others(plan, self._layout, (rest, ws), near)
        self._note(
            "bout", seed=plan.seed, hostility=plan.hostility, window_ms=plan.window_ms,
            position_cap=plan.position_cap, venue=plan.venue, line=plan.has_line,
        )  # fmt: skip
        self._gateway = self._born("gateway", None)
        self._until_ready(self._gateway)
        self._hub = self._born("hub", None)
        self._until_ready(self._hub)
        self._desk = self._born("desk", None)
        if plan.has_understudy:
            self._understudy = self._nursery.start("understudy", stage.write_understudy(self._layout))

    def _close(self) -> None:
        """Let nothing new be sent, play the market to its end, and let everybody hear how it ended.

        Whoever stands at the end must stand: a fuse that nobody passed yet would burn when the last desk asks
        what became of its orders, and who is left then knows less than who died.
        """
        self._halt()
        for child in (self._desk, self._gateway):
            if child.is_alive and self._armed.get(child.pid) is not None:
                self._kill([child], "the end")
        if not until(self._is_played, _QUIET_S):
            self.outcome.strange.append("the market did not come to its end")
        left = Unsettled(self.folder / "gateway.journal")
        if not until(lambda: self._is_quiet(left), _QUIET_S):
            self.outcome.strange.append(f"the gateway has orders in doubt after {_QUIET_S:.0f} s")
        if self.plan.is_deaf and self._gateway.is_alive:
            # what the stream never told is found by whoever starts: it looks at each of its orders
            self._end([self._gateway])
            until(lambda: self._is_quiet(left), _QUIET_S)
        self._desk = self._born("desk", None)
        if self._desk.wait(_START_S) != 0:
            self.outcome.strange.append(
                f"the last desk ended with {self._desk.exit}: {self._last(self._desk)}"
            )
        log = self.folder / "logs" / "desk.log"
        self.outcome.signals["desk went on from what was kept"] += len(_KEPT.findall(log.read_text()))
        problem = read_status(self.folder / STATUS).get("problem", "")
        if "does not replay" in problem:  # a file that a full disk or a kill left half is no news to it
            self.outcome.strange.append(f"the understudy: {problem}")
        for child in (self._hub, self._gateway, self._sandbox):
            child.send(signal.SIGTERM)
            if child.wait(_END_S) != 0:
                self.outcome.strange.append(f"{child.unit} ended with {child.exit}: {self._last(child)}")

    def _is_played(self) -> bool:
        """Whether a desk has heard the end of the market; keeps everybody alive until then."""
        self._keep_gateway(fused=False)
        self._keep_hub()
        if not self._desk.is_alive:
            self._explain(self._desk)
            if not self._is_over:
                self._desk = self._born("desk", None)
        return self._is_over or self._is_lost

    def _is_quiet(self, left: Unsettled) -> bool:
        """Whether a gateway stands that, by its journal, knows the fate of every order it tried to send."""
        self._keep_gateway(fused=False)
        is_quiet = left.look() == 0 and self._gateway.is_ready
        if not is_quiet:
            time.sleep(_LOOK_S)
        return is_quiet

    # ------------------------------------------------------------------ lives

    def _born(self, unit: str, fuse: places.Fuse | None) -> Child:
        def prepare() -> None:
            if unit == "gateway":
                self._mutate()
            elif unit == "desk":
                places.tell_ready(self.folder / EVENTS)
            if fuse is not None:
                places.lay(fuse)

        again = ("--again",) if unit == "hub" and self._has_had_a_hub else ()
        self._has_had_a_hub |= unit == "hub"
        child = self._nursery.start(unit, self._layout.config(unit), prepare, *again)
        self._armed[child.pid] = fuse
        self.outcome.lives += 1
        self._note("born", unit=unit, pid=child.pid, fuse=fuse.place if fuse else "")
        return child

    def _keep_gateway(self, *, fused: bool) -> None:
        """Start the gateway until it serves; a fuse may burn before."""
        while not (self._gateway.is_alive or self._is_lost):
            self._explain(self._gateway)
            self._gateway = self._born("gateway", fuse_of(self._fuses, "gateway") if fused else None)
            self._until_ready(self._gateway)

    def _keep_hub(self) -> None:
        """Start the hub if it is dead; nobody waits for it."""
        if not self._hub.is_alive:
            self._explain(self._hub)
            self._hub = self._born("hub", None)

    def _keep_alive(self) -> None:
        """Start what is dead, until desk and gateway serve or the market is over; fuses may burn before."""
        while not (self._is_over or self._is_lost):
            self._keep_gateway(fused=True)
            self._keep_hub()
            if not self._desk.is_alive:
                self._explain(self._desk)
                if not self._is_over:
                    self._desk = self._born("desk", fuse_of(self._fuses, "desk"))
            elif self._desk.is_ready:
                return
            else:
                self._until_ready(self._desk)

    def _until_ready(self, child: Child) -> None:
        with self._spending("starting"):
            self._wait_for(child)

    def _wait_for(self, child: Child) -> None:
        if not until(lambda: child.is_ready or not child.is_alive, _START_S):
            self.outcome.strange.append(f"{child.unit} was not ready after {_START_S:.0f} s")
            child.send(signal.SIGKILL)
            child.wait(_END_S)
            self._hit.add(child.pid)
        if child.is_ready:
            took = time.monotonic() - child.began
            self._note("ready", unit=child.unit, pid=child.pid, took_s=round(took, 3))

    def _explain(self, child: Child) -> None:
        """Count how a child ended, once."""
        child.read()
        if child.pid in self._hit:
            return
        self._hit.add(child.pid)
        fuse = self._armed.get(child.pid)
        if child.exit == -signal.SIGKILL and fuse is not None:
            self._count(child, fuse.place if not fuse.delay_us else f"after {fuse.place}")
        elif fuse is not None and fuse.place in places.FAILING and places.BROKEN_DISK in self._log(child):
            self.outcome.signals[f"{child.unit} {fuse.place}"] += 1
        elif child.exit == 0 and any(line.get("end", {}).get("feed") for line in child.lines):
            self._is_over = True
        elif child.pid in self._rivals and _SECOND_WRITER in self._log(child):
            self.outcome.signals["desk gave way to a zombie"] += 1
        elif not any(why in self._log(child) for why in _COLLATERAL):
            said = self._last(child)
            self.outcome.strange.append(f"{child.unit} ended with {child.exit}, nobody hit it: {said}")

    def _count(self, child: Child, place: str) -> None:
        self.outcome.kills[f"{child.unit} {place}"] += 1
        self._note("killed", unit=child.unit, pid=child.pid, place=place)

    # ------------------------------------------------------------------ blows

    def _round(self) -> None:
        self._keep_alive()
        if self._is_over or self._is_lost:
            return
        if self.plan.halts_at and sum(self.outcome.kills.values()) >= self.plan.halts_at:
            self._halt()
        if self._understudy is not None and self._dice.random() < _UNDERSTUDY_DIES:
            self._understudy.send(signal.SIGKILL)
            self._understudy.wait(_END_S)
            self._understudy = self._nursery.start("understudy", self._layout.config("understudy"))
        blow = blow_of(self._dice, has_line=self.plan.has_line, hits_hub=self.plan.is_by_the_clock)
        for child in (self._gateway, self._desk):
            fuse = self._armed[child.pid]
            if fuse is not None and fuse.place == "sealing":
                blow = Blow("term", (child.unit,), blow.after_s)
        with self._spending("trading"):
            is_burnt = until(lambda: not (self._gateway.is_alive and self._desk.is_alive), blow.after_s)
        with self._spending("dying"):
            if is_burnt:
                until(lambda: not self._desk.is_alive, 0.0 if self._gateway.is_alive else _END_S)
            else:
                self._strike(blow)

    def _strike(self, blow: Blow) -> None:
        victims = [getattr(self, f"_{unit}") for unit in blow.victims]
        match blow.what:
            case "kill":
                self._kill(victims, "random")
            case "term":
                self._end(victims)
            case "stop":
                self._stop(victims, blow.pause_s)
                self._signal(victims, signal.SIGCONT)
            case "stop_kill":
                self._stop(victims, blow.pause_s)
                self._kill(victims, "stopped")
            case "zombie":
                self._raise_zombie(blow.pause_s)
            case "disk_full":
                self._fill_the_disk_of(victims)
            case "cut" | "slow" | "mute" | "deaf":
                self._break_the_line(blow)
        if not self._gateway.is_alive and not until(lambda: not self._desk.is_alive, _END_S):
            self.outcome.strange.append("the desk outlives its gateway")
            self._kill([self._desk], "random")

    def _kill(self, victims: list[Child], place: str) -> None:
        for child in victims:
            if child.is_alive:
                self._hit.add(child.pid)
                self._count(child, place)
                child.send(signal.SIGKILL)
        for child in victims:
            child.wait(_END_S)

    def _end(self, victims: list[Child]) -> None:
        self._signal(victims, signal.SIGTERM)
        for child in victims:
            if child.wait(_TERM_S) is None:
                self.outcome.strange.append(f"{child.unit} did not end at SIGTERM")
                self._kill([child], "random")
            elif child.exit == 0 and not any(line.get("end", {}).get("feed") for line in child.lines):
                self._hit.add(child.pid)
                self.outcome.signals[f"{child.unit} ended in order"] += 1
            else:
                self._explain(child)

    def _stop(self, victims: list[Child], pause_s: float) -> None:
        self._signal(victims, signal.SIGSTOP)
        time.sleep(pause_s)

    def _signal(self, victims: list[Child], number: signal.Signals) -> None:
        for child in victims:
            if child.is_alive:
                self.outcome.signals[f"{child.unit} {number.name}"] += 1
                self._note("signal", unit=child.unit, pid=child.pid, signal=number.name)
                child.send(number)

    def _raise_zombie(self, pause_s: float) -> None:
        """Stop the desk, let another one take over, and wake the first: it must end by itself."""
        zombie = self._desk
        self._signal([zombie], signal.SIGSTOP)
        self._desk = self._born("desk", None)
        until(lambda: self._desk.is_ready or not self._desk.is_alive, 3.0)
        time.sleep(pause_s)
        self._signal([zombie], signal.SIGCONT)
        self.outcome.signals["desk zombie"] += 1
        if zombie.wait(_END_S) is None:
            self.outcome.strange.append("a desk that was replaced goes on")
            self._kill([zombie], "random")
        self._hit.add(zombie.pid)
        self._rivals.add(self._desk.pid)
        self._note("zombie", pid=zombie.pid, exit=zombie.exit, said=self._last(zombie))

    def _fill_the_disk_of(self, victims: list[Child]) -> None:
        """Let nothing more be written behind the first page of any file: the unit has to end by itself."""
        for child in victims:
            if child.is_alive:
                self._hit.add(child.pid)
                self.outcome.signals[f"{child.unit} {_FULL_DISK}"] += 1
                self._note("disk_full", unit=child.unit, pid=child.pid)
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        for child in victims:
            if child.wait(_NOTICES_S) is None:
                self._hit.discard(child.pid)
                self._kill([child], _FULL_DISK)

    def _break_the_line(self, blow: Blow) -> None:
        """Let the line between gateway and exchange be bad for a while, and a person look after it."""
        self.outcome.signals[f"line {blow.what}"] += 1
        self._note("line", mood=blow.what)
        set_mood(self.folder / stage.MOOD, blow.what)
        until(lambda: not (self._gateway.is_alive and self._desk.is_alive), blow.pause_s)
        set_mood(self.folder / stage.MOOD, OPEN)
        path = self.folder / stage.HALT
        if not self._is_halted:
            kill_file.write(path, "release", ["firm"], by="chaos", reason="the line is back")

    def _halt(self) -> None:
        """Set the halt flag: from now on nothing may be sent."""
        path = self.folder / stage.HALT
        if self._is_halted:
            return
        self._is_halted = True
        if path.exists():
            kill_file.write(path, "kill", ["firm"], mode="block", by="chaos", reason="the end")
        else:
            path.touch()  # a file nobody can read stops everything
        self._note("halt")

    # ------------------------------------------------------------------ evidence

    def _note(self, what: str, **fields: object) -> None:
        with (self.folder / EVENTS).open("a") as file:
            file.write(json.dumps({"wall_ns": time.time_ns(), "what": what, **fields}) + "\n")

    def _log(self, child: Child) -> str:
        """What the process itself said on standard error."""
        path = self.folder / "logs" / f"{child.unit}.log"
        return path.read_bytes()[child.log_from :].decode(errors="replace") if path.exists() else ""

    def _last(self, child: Child) -> str:
        return next((line for line in reversed(self._log(child).splitlines()) if line.strip()), "")


def _as_it_is() -> None:
    pass
