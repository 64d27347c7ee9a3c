"""A process that stands beside a run and is started again whenever it is gone.

Problem: what a run can do without (the shipper, the API) must not be able to end it, yet a mistake in what
it was given has to be said before anything trades. So its first start is strict, and every later end is
followed by another life, at once at first and then less and less often.

Not here: the processes a run cannot do without (`supervisor`), one of several that are looked after together
(`store_keeper`).

Invariant: no two lives at once; after `end` none.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.errors import ParleyError, UserError
from runtime.child import Child, Line
from runtime.restarts import Pauses

_USER_MISTAKE: Final = 2
_GRACE_S: Final = 10.0
_POLL_S: Final = 0.2
Say = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """What is started: ``python -m module --config config``; ``name`` is in its logs, ``called`` is said."""

    name: str
    called: str
    module: str
    config: Path
    logs: Path
    environment: Mapping[str, str]


class KeptChild:
    """One such process; `look` belongs to one thread."""

    def __init__(self, standing: Standing, say: Say) -> None:
        self.restarts = 0
        self._standing = standing
        self._say = say
        self._pauses = Pauses()
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Of the life that runs, None when none does."""
        child = self._child
        return child.pid if child is not None and child.code is None else None

    def begin(self) -> None:
        """Start the first life without waiting for it."""
        self._child = self._spawn(1)

    def ready(self, patience_s: float) -> Line:
        """Wait until the first life says that it is ready, and return its line.

        Raises
        ------
        UserError, ParleyError
            When it does not; the text says why.
        """
        child, standing = self._child, self._standing
        if child is None:
            raise ParleyError(f"{standing.called} was not begun")
        line = child.wait_for("ready", patience_s, lambda: child.code is not None)
        if line is not None:
            return line
        said = child.last_words()
        if child.code == _USER_MISTAKE and said:
            raise UserError(said.removeprefix(f"{standing.name}: "))
        raise ParleyError(f"{standing.called} {child.how()} while starting: {said or 'it said nothing'}")

    def look(self) -> bool:
        """Start another life if the last one ended and it is time; tell whether one was started."""
        last = self._child
        if last is None or last.code is None or not self._pauses.are_over():
            return False
        self._pauses.begin(last.served_s or 0.0)
        # Only who ends by itself in error says why; whoever is killed said something else before.
        said = last.last_words() if (last.code or 0) > 0 else ""
        last.end(0.0)
        called = self._standing.called
        try:
            self._child = self._spawn(last.life + 1)
        except OSError as error:
            self._say(f"{called} {last.how()} and could not be started again: {error}")
            return False
        self.restarts += 1
        self._say(f"{called} {last.how()} and was started again{f': {said}' if said else ''}")
        return True

    def end(self) -> None:
        """End it in order, or by force; returns when it is gone."""
        if self._child is not None:
            self._child.end(_GRACE_S)

    def _spawn(self, life: int) -> Child:
        standing = self._standing
        log = standing.logs / (f"{standing.name}.log" if life == 1 else f"{standing.name}-{life}.log")
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", standing.module, "--config", str(standing.config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, process_group=0,
                env=dict(standing.environment),
            )  # fmt: skip
        return Child(standing.name, process, log, life)


class KeptAlive:
    """A `KeptChild` and the thread that looks after it from `keep` on; `close` may be called more than once.

    ``each`` is called in that thread at every look.
    """

    def __init__(self, standing: Standing, say: Say, each: Callable[[], None] = lambda: None) -> None:
        self._name = standing.name
        self._each = each
        self._child = KeptChild(standing, say)
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._look, name=standing.name, daemon=True)

    def begin(self) -> None:
        """Start it without waiting for it."""
        self._child.begin()

    def ready(self, patience_s: float) -> Line:
        """Wait until it says that it is ready, and return its line; raises as `KeptChild.ready`."""
        return self._child.ready(patience_s)

    def keep(self) -> None:
        """Look after it from now on."""
        self._thread.start()

    def units(self) -> dict[str, int]:
        """Return the process by name, as it is now."""
        pid = self._child.pid
        return {} if pid is None else {self._name: pid}

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._child.restarts

    def changed(self) -> bool:
        """Whether the process was replaced since this was last asked."""
        found = self._changed.is_set()
        self._changed.clear()
        return found

    def close(self) -> list[int]:
        """End it; return its pid if it still runs."""
        pids = list(self.units().values())
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._child.end()
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    def _look(self) -> None:
        while not self._stop.wait(_POLL_S):
            if self._child.look():
                self._changed.set()
            self._each()
        self._child.end()  # the thread's last act: with it would end what it started
