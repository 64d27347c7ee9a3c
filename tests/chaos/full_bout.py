"""One bout of the full stack: everything of a run is hit, and whoever keeps it starts it again.

What was done is written to ``events.jsonl`` as in a light bout (`bout`), so that the same judge reads it.
When a desk began to trade is read from its journal: when its `Started` was durable.

Not here: the processes (`stack`), the judge (tools/chaos).

Invariant: a bout ends with everybody told: nothing new is sent, no order is in doubt, and a last life of the
run, which nobody hits, goes on with its journals and ends well.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from runtime import kill_file
from runtime.replay import replay
from tests.chaos.bout import EVENTS, Outcome
from tests.chaos.line import MOODS, OPEN, set_mood
from tests.chaos.stack import BEGIN_S, END_S, Exchange, Run, begin, until
from tests.chaos.stage import MOOD, through
from tests.chaos.unsettled import Unsettled
from tools.chaos import evidence

# How often who is hit: most of what the run brings back by itself, since that is quick.
VICTIMS: Final = {
    "agent": 12, "desk": 5, "shipper": 5, "postgres": 4, "ray_head": 1, "raylet": 1, "gateway": 1.5,
    "spare": 0.5, "hub": 2.5, "ray": 0.15, "cli": 0.2,
}  # fmt: skip
# Live, the market has the clock's pace; candles of Bybit and OKX last a minute at least, of which a bout
# would see few. Those two are in the light harness.
VENUE: Final = "binance"
_DEADLY: Final = ("ray", "cli")  # whose end is the end of the run's life
_HOSTILE: Final[tuple[dict[str, object], ...]] = (
    {},
    {"lost": 0.1, "failed": 0.05, "late": 0.05, "late_ms": 900, "dropped": 0.05, "throttled": 0.02},
    {
        "cancels": {"lost": 0.1, "failed": 0.1, "late": 0.05, "dropped": 0.1},
        "private": {"duplicated": 0.1, "swapped": 0.1}, "page_limit": 20, "clock_skew_ms": -150,
        "lookup_lag_ms": 200,
    },
)  # fmt: skip
JUDGED: Final = "judged"  # the folder below a bout's that the judge reads
_BACK_S: Final = 2.5  # then whoever runs is hit, also while the rest still comes back
_ENDS_S: Final = 30.0
_SETTLE_S: Final = 90.0
_LAST_LIFE_S: Final = 15
_MOST_STARTS: Final = 4
_FULL_DISK: Final = "disk_full"


@dataclass(frozen=True)
class FullPlan:
    """One bout, drawn from its seed."""

    seed: int
    kills: int
    venue: str
    hostility: dict[str, object] = field(default_factory=dict)


def plan_of(seed: int, kills: int) -> FullPlan:
    """Draw a bout."""
    dice = random.Random(f"full/{seed}")
    return FullPlan(seed, kills, VENUE, dict(dice.choice(_HOSTILE)))


def kills_so_far(folder: Path) -> int:
    """How many were killed in a bout that is still fought."""
    try:
        return (folder / JUDGED / EVENTS).read_text().count('"what": "killed"')
    except OSError:
        return 0


class FullBout:
    """One bout in a folder."""

    def __init__(self, plan: FullPlan, folder: Path) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self.judged = folder / JUDGED
        self._folder = folder
        self._dice = random.Random(f"full blows/{plan.seed}")
        self._run: Run
        self._exchange: Exchange
        self._is_cut_off = False

    def fight(self, deadline: float = float("inf")) -> Outcome:
        """Run the bout to its end; hits nobody any more after ``deadline``, monotonic s."""
        began = time.monotonic()
        self.judged.mkdir(parents=True)
        mood = self._folder / MOOD
        set_mood(mood, OPEN)
        plan = self.plan
        self._exchange = exchange = Exchange(self._folder, plan.venue, plan.seed, plan.hostility)
        host, _, port = exchange.rest.rpartition("/")[2].partition(":")
        told = self._folder / "line.json"
        told.write_text(json.dumps({"host": host, "port": int(port.partition("/")[0]), "mood": str(mood)}))
        line, ready = begin("tests.chaos.line", told, self._folder / "line.log")
        near = [through(int(ready["port"]), each) for each in (exchange.rest, exchange.ws)]
        self._run = Run(self._folder, plan.venue, exchange, *near)
        self._note("bout", seed=plan.seed, hostility=plan.hostility, position_cap=0, venue=plan.venue)
        try:
            self._keep()
            while not self._is_enough(deadline):
                self._hit()
                self._keep()
            self._close()
        finally:
            self._run.discard()
            line.terminate()
            line.wait(END_S)
            exchange.end()
        self._gather()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def cut_short(self) -> None:
        """Hit nobody any more."""
        self._is_cut_off = True

    def _is_enough(self, deadline: float) -> bool:
        is_enough = sum(self.outcome.kills.values()) >= self.plan.kills or time.monotonic() > deadline
        return is_enough or self._is_cut_off or bool(self.outcome.strange)

    # ------------------------------------------------------------------ lives

    def _keep(self) -> None:
        """Wait until it trades; begin the run's next life where it ended, as a service manager."""
        began, starts = time.monotonic(), 0
        while not self._run.serves():
            if self._run.is_alive:
                if not until(lambda: self._run.serves() or not self._run.is_alive, BEGIN_S):
                    running = sorted(self._run.units())
                    self.outcome.strange.append(f"after {BEGIN_S:.0f} s only {running} run")
                    return
                continue
            if self._run.lives:
                self.outcome.signals[f"run ended: {_cause(self._run.said())}"] += 1
                self._note("run_ended", code=self._run.code, said=self._run.said())
            if starts >= _MOST_STARTS:
                self.outcome.strange.append(f"the run does not begin any more: {self._run.said()}")
                return
            starts += 1
            self._begin()
        self._run.remember()
        self.outcome.spent_s["starting"] += time.monotonic() - began
        if starts:
            took = round(time.monotonic() - began, 3)
            for unit in ("gateway", "desk"):
                self._note("ready", unit=unit, took_s=took)

    def _begin(self, *more: str) -> None:
        self.outcome.lives += 1
        self._note("born", unit="run")
        self._run.begin(*more)

    # ------------------------------------------------------------------ blows

    def _hit(self) -> None:
        """Hit one to three of what runs, then let the run notice it."""
        time.sleep(self._dice.uniform(0.1, 1.2))
        roll = self._dice.random()
        if roll < 0.04:
            self._break_the_line()
            return
        victims = self._victims()
        began = time.monotonic()
        if roll < 0.72:
            self._kill(victims, "random")
        elif roll < 0.80:
            self._pause(victims, signal.SIGCONT)
        elif roll < 0.92:
            self._pause(victims, signal.SIGKILL)
        elif roll < 0.96:
            self._fill_a_disk()
        else:
            self._signal(victims, signal.SIGTERM)
        self._notices([unit for unit, _ in victims])
        self.outcome.spent_s["dying"] += time.monotonic() - began

    def _victims(self) -> list[tuple[str, psutil.Process]]:
        running = self._run.units()
        names = [unit for unit in VICTIMS if unit in running]
        if not names:
            return []
        weights = [VICTIMS[unit] for unit in names]
        drawn = self._dice.choices(names, weights, k=self._dice.randint(1, 3))
        found: dict[int, tuple[str, psutil.Process]] = {}
        for unit in drawn:
            process = self._dice.choice(running[unit])
            found[process.pid] = (unit, process)
        return list(found.values())

    def _kill(self, victims: list[tuple[str, psutil.Process]], place: str) -> None:
        for unit, process in victims:
            with suppress(psutil.Error):
                process.kill()
                self.outcome.kills[f"{unit} {place}"] += 1
                self._note("killed", unit=unit, pid=process.pid, place=place)

    def _signal(self, victims: list[tuple[str, psutil.Process]], number: signal.Signals) -> None:
        for unit, process in victims:
            with suppress(psutil.Error):
                process.send_signal(number)
                self.outcome.signals[f"{unit} {number.name}"] += 1
                self._note("signal", unit=unit, pid=process.pid, signal=number.name)

    def _pause(self, victims: list[tuple[str, psutil.Process]], after: signal.Signals) -> None:
        if self._dice.random() < 0.25:
            self._pause_exchange()
        self._signal(victims, signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.1, 1.5))
        if after is signal.SIGKILL:
            self._kill(victims, "stopped")
        else:
            self._signal(victims, after)

    def _pause_exchange(self) -> None:
        process = [("sandbox", psutil.Process(self._exchange.process.pid))]
        self._signal(process, signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.1, 1.5))
        self._signal(process, signal.SIGCONT)

    def _fill_a_disk(self) -> None:
        """Let a process write nothing more behind the first page of any file: it has to end by itself."""
        running = self._run.units()
        unit = self._dice.choice(("desk", "desk", "desk", "shipper", "shipper", "gateway"))
        for process in running.get(unit, ()):
            with suppress(psutil.Error, ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
                self.outcome.signals[f"{unit} {_FULL_DISK}"] += 1
                self._note(_FULL_DISK, unit=unit, pid=process.pid)
                _, alive = psutil.wait_procs([process], timeout=5.0)
                self._kill([(unit, each) for each in alive], _FULL_DISK)

    def _break_the_line(self) -> None:
        mood = self._dice.choice(MOODS)
        self.outcome.signals[f"line {mood}"] += 1
        self._note("line", mood=mood)
        set_mood(self._folder / MOOD, mood)
        time.sleep(self._dice.uniform(0.2, 2.5))
        set_mood(self._folder / MOOD, OPEN)

    def _notices(self, units: list[str]) -> None:
        """Give the run time to see who is gone: its end if that was vital, else somebody new."""
        patience_s = _ENDS_S if any(unit in _DEADLY for unit in units) else _BACK_S
        until(lambda: not self._run.is_alive or self._run.is_whole(), patience_s)

    # ------------------------------------------------------------------ the end

    def _close(self) -> None:
        """Let nothing new be sent, wait for every doubt, and let a last life hear how all ended."""
        began = time.monotonic()
        kill_file.write(
            self._run.home / kill_file.NAME, "kill", ["firm"], mode="cancel", by="chaos", reason="the end"
        )
        self._note("halt")
        folder = self._run.folder
        if folder is None:
            self.outcome.strange.append("there is no journal")
            return
        left = Unsettled(folder / "gateway.journal")
        self._keep()
        if not until(lambda: not self._run.is_alive or left.look() == 0, _SETTLE_S, 0.5):
            said = f"the gateway has {left.look()} orders in doubt after {_SETTLE_S:.0f} s"
            self.outcome.strange.append(said)
        if self._run.ask_to_end() is None:
            self.outcome.strange.append("the run did not end at SIGTERM")
        code: int | None = 1
        for _ in range(_MOST_STARTS):  # a busy machine may not have Ray up in time; nothing traded then
            self._begin("--duration", str(_LAST_LIFE_S))
            code = self._run.wait(BEGIN_S + _LAST_LIFE_S)
            if not (code and "while starting" in self._run.said()):
                break
        self._note("ready", unit="gateway", took_s=0.0)
        if code != 0:
            self.outcome.strange.append(f"the last life ended with {code}: {self._run.said()}")
        elif self._run.told().get("ledger_equals_exchange") is not True:
            self.outcome.strange.append(f"the last life's books: {self._run.told().get('ledger_check')}")
        if names := [each.name() for each in self._run.left(10.0)]:
            self.outcome.strange.append(f"left behind: {names}")
        again = replay(folder / "desk.journal")
        if not again.ok:
            said = f"the replay differs: {again.identical} of {again.envelopes} are equal"
            self.outcome.strange.append(said)
        self.outcome.spent_s["ending"] += time.monotonic() - began

    def _gather(self) -> None:
        """Put what the judge reads into one folder, with when each life of the desk had started."""
        folder = self._run.folder
        if folder is None:
            return
        for path in (*folder.glob("*.journal*"), self._exchange.truth):
            shutil.copyfile(path, self.judged / path.name)
        journal = evidence.read_journal(self.judged / "desk.journal", enveloped=True)
        events = [json.loads(line) for line in (self.judged / EVENTS).read_text().splitlines()]
        # the first life missed nothing; its first order may be handed over before its start is committed
        events += [
            {
                "wall_ns": each.t_commit if nth else 0,
                "what": "trades",
                "epoch": each.message[evidence.STARTED_EPOCH],
            }
            for nth, each in enumerate(journal.of(evidence.STARTED))
        ]
        events.sort(key=lambda each: int(each["wall_ns"]))
        (self.judged / EVENTS).write_text("".join(json.dumps(each) + "\n" for each in events))

    def _note(self, what: str, **fields: object) -> None:
        with (self.judged / EVENTS).open("a") as file:
            file.write(json.dumps({"wall_ns": time.time_ns(), "what": what, **fields}) + "\n")


def _cause(said: str) -> str:
    """The beginning of what a run said of its end: who went first and how."""
    return said.partition(";")[0].partition(" (log")[0][:90]
