"""Children by fork from a parent that has imported everything: a restart costs a fork, not an import.

Problem: a gateway that imports ccxt needs seconds to start, and a campaign of ten thousand kills cannot pay
them. The parent here is one thread without an event loop; a child is the unit's own `main`, with its own
configuration, standard output and log, as if it had been started by name.

Not here: what is started when (`bout`), what a child does to itself (`places`, `mutants`).

Invariant: no child outlives its `Nursery`: what is left at its end is killed and waited for.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import agents.capital
import agents.execution
import agents.meta
import agents.risk
import agents.strategy  # what a desk would load after its birth
from runtime import desk, gateway, hub, understudy
from tests.chaos import busy, line
from venues.sandbox import __main__ as sandbox

MAINS: dict[str, Callable[[], int]] = {
    "sandbox": sandbox.main,
    "gateway": gateway.main,
    "hub": hub.main,
    "desk": desk.main,
    "line": line.main,
    "understudy": understudy.main,
}
LOADED = (agents, busy)
Prepare = Callable[[], None]
POLL_S: Final = 0.004  # several bouts poll beside each other; a start takes twenty times as long
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG


def _nothing() -> None:
    pass


@dataclass
class Child:
    """A process of a unit; ``lines`` it wrote to standard output, ``exit`` as subprocess has it.

    ``log_from`` is where in its unit's log it begins; ``cpu_s`` it took, known at its end.
    """

    unit: str
    pid: int
    out: int
    began: float
    log_from: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    exit: int | None = None
    cpu_s: float = 0.0
    _rest: bytes = b""

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended; reaps it."""
        if self.exit is None:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.exit = os.waitstatus_to_exitcode(status)
                self.cpu_s = used.ru_utime + used.ru_stime
        return self.exit is None

    @property
    def is_ready(self) -> bool:
        """Whether it said that it serves."""
        self.read()
        return any("ready" in line for line in self.lines)

    def read(self) -> None:
        """Take what it has written."""
        while self.out >= 0 and select.select([self.out], [], [], 0)[0]:
            data = os.read(self.out, 65536)
            if not data:
                os.close(self.out)
                self.out = -1
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.lines += [json.loads(line) for line in lines]

    def send(self, number: int) -> None:
        """Send a signal, if it is there to get one."""
        if self.is_alive:
            os.kill(self.pid, number)

    def wait(self, patience_s: float) -> int | None:
        """Wait for its end; None when it did not come."""
        until = time.monotonic() + patience_s
        while self.is_alive and time.monotonic() < until:
            self.read()
            time.sleep(POLL_S)
        self.read()
        return self.exit


class Nursery:
    """Starts children and ends them; ``logs`` is where their standard error goes."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.children: list[Child] = []

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            child.send(signal.SIGKILL)
        for child in self.children:
            child.wait(10.0)
            if child.out >= 0:
                os.close(child.out)
                child.out = -1

    def start(self, unit: str, config: Path, prepare: Prepare = _nothing, *more: str) -> Child:
        """Fork a unit; ``prepare`` runs in the child before its main, which gets ``more`` words."""
        sys.stdout.flush()
        sys.stderr.flush()
        out, inner = os.pipe()
        log = self._logs / f"{unit}.log"
        log_from = log.stat().st_size if log.exists() else 0
        pid = os.fork()
        if pid == 0:
            os.close(out)
            self._live(unit, [unit, "--config", str(config), *more], inner, prepare)
        os.close(inner)
        child = Child(unit, pid, out, time.monotonic(), log_from)
        self.children.append(child)
        return child

    def _live(self, unit: str, words: list[str], out: int, prepare: Prepare) -> None:
        """Be the unit until the end of this process."""
        code = 70
        try:
            # whoever ends the bout's process ends the bout: a unit that is stopped, too
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            log = os.open(self._logs / f"{unit}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(out, 1)
            os.dup2(log, 2)
            os.closerange(3, 256)
            sys.argv = words
            gc.freeze()
            prepare()
            code = MAINS[unit]()
            sys.stdout.flush()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 70
        except BaseException:  # noqa: BLE001 - the edge of a process
            traceback.print_exc()
        finally:
            os._exit(code)


def until(holds: Callable[[], object], patience_s: float) -> bool:
    """Poll until something holds; False when it did not."""
    end = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
