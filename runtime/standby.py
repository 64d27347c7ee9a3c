"""Who waits to take the place of a unit that ends or falls silent, and when that happens.

Problem: a unit that takes seconds to import is gone for seconds when it dies, and one that hangs is not gone
at all. So a second process of it is kept ready, and another one behind it when it is used.

Not here: what silence is (`silence`), what the spare does before its turn (`spare`), order and blame of ends
(`supervisor`).

Invariant: a silent unit is ended, never left beside its successor: the spare's turn comes after its end.
"""

import logging
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from runtime.child import Child
from runtime.gateway_door import TURN
from runtime.inheritance import inherited
from runtime.realtime import prefer_all
from runtime.restarts import Pauses, Restarts
from runtime.silence import Silence

log = logging.getLogger(__name__)


class Standby:
    """The spare of one unit; belongs to one thread. ``heartbeat`` is the file by which the unit lives.

    ``priority``: with which it goes before other processes once it has the unit's place (`realtime`); while
    it waits, and reads what it needs, it goes behind everybody who is at work.
    """

    def __init__(
        self, name: str, command: Sequence[str], logs: Path, heartbeat: Path, restarts: Restarts,
        priority: int | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.spare: Child | None = None
        self.peak_memory_mb = 0.0
        self._command = list(command)
        self._logs = logs
        self._priority = priority
        self._silence = Silence(heartbeat)
        self._restarts = restarts
        self._pauses = Pauses()
        self._made = 1  # the first one was started by somebody else
        self._begun = 0.0

    def look(self, active: Child | None = None) -> None:
        """Keep a spare ready, and end the ``active`` one if it has been silent too long."""
        spare = self.spare
        if spare is not None and spare.code is not None:
            spare.end(0.0)
            spare = self.spare = None
        if spare is None and self._pauses.are_over():
            self._pauses.begin(time.monotonic() - self._begun if self._begun else 0.0)
            self.spare = self._spawn()
        elif spare is not None:
            spare.sample_memory()
            self.peak_memory_mb = max(self.peak_memory_mb, spare.peak_memory_mb)
        if active is not None:
            self._silence.look(active)

    def why_not(self, last: Child) -> str:
        """Take note of an end, and say why nobody shall take the place; empty when the spare shall."""
        return self._restarts.why_not(last.code or 0, last.served_s)

    def candidate(self) -> Child:
        """The one whose turn is next, begun now if none waits."""
        if self.spare is None or self.spare.code is not None:
            self.spare = self._spawn()
        return self.spare

    def relieve(self, last: Child, told: Sequence[bytes]) -> Child:
        """Give the `candidate` its turn, after what it has to be ``told``; the one before must have ended."""
        life = self.spare or self.candidate()
        self.spare, self._pauses = None, Pauses()
        life.life = last.life + 1
        life.follows = self._silence.how(last)
        life.peak_memory_mb = max(last.peak_memory_mb, life.peak_memory_mb)
        if self._priority is not None:
            try:
                prefer_all(life.pid, self._priority)
            except OSError as error:  # it serves all the same; if it has ended, whoever watches it will see
                log.warning("not_preferred unit=%s pid=%d cause=%r", self.name, life.pid, error)
        life.tell(b"".join((*told, TURN)))
        self._silence.forget()
        return life

    def end(self) -> None:
        """End the spare."""
        if self.spare is not None:
            self.spare.kill()
            self.spare.end(0.0)
            self.spare = None

    def _spawn(self) -> Child:
        self._made += 1
        self._begun = time.monotonic()
        log = self._logs / f"{self.name}-{self._made}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, process_group=0,
                env=inherited(),
            )  # fmt: skip
        return Child(self.name, process, log)
