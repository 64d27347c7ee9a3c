"""Child processes of one run: start in order, know that they serve, stop in the opposite order, leave none.

Problem: a run is several processes, and whatever ends first, the user, an error, a child or this process, no
other may stay behind. Every child gets a group of its own, so that Ctrl-C reaches only this process, which
then ends them one after the other; each also asks the kernel to end it with its parent.

Not here: what the children are (`launch`).

Invariant: after `stop` none of the started pids runs. Only pids that were started here are signalled.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ParleyError, UserError

READY_PATIENCE_S: Final = 60.0
GRACE_S: Final = 10.0
SETTLE_S: Final = 2.0
_POLL_S: Final = 0.02
_USER_MISTAKE: Final = 2
_TAIL_LINES: Final = 8
Line = dict[str, object]


class Stopped(Exception):
    """The user asked to stop before everything ran."""


class ChildFailed(ParleyError):
    """A child ended although it should run; the text says which, how and its last words."""


class Child:
    """One process: its JSON lines, its log file, its highest memory."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self.peak_memory_mb = 0.0
        self._process = process
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def line(self, key: str) -> Line | None:
        """Return the first line it wrote that has a key, or None so far."""
        with self._changed:
            return next((line for line in self._lines if key in line), None)

    def wait_for(self, key: str, timeout_s: float, stopping: threading.Event) -> Line | None:
        """Wait until it wrote a line with a key; None at its end, too late, or when `stopping` is set."""
        deadline = time.monotonic() + timeout_s
        while (found := self.line(key)) is None and time.monotonic() < deadline:
            if stopping.is_set() or (self.code is not None and not self._reader.is_alive()):
                return self.line(key)
            with self._changed:
                self._changed.wait(_POLL_S)
        return found

    def sample_memory(self) -> None:
        """Note the highest resident memory so far, MB; Linux only, elsewhere it stays 0."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peak_memory_mb = max(self.peak_memory_mb, int(line.split()[1]) / 1024)

    def words(self) -> list[str]:
        """Return the last lines it wrote to standard error."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]

    def failure(self, doing: str) -> ParleyError:
        """Make the error for an end that was not asked for."""
        said = self.words()
        if self.code == _USER_MISTAKE and said:
            return UserError(said[-1].removeprefix("error: "))
        how = "did not answer" if self.code is None else f"ended with {self.code}"
        last = f": {said[-1]}" if said else ""
        return ChildFailed(f"the {self.name} {how} while {doing}{last} (log: {self.log})")

    def end(self, grace_s: float) -> None:
        """Ask it to end, then make it; returns when it is gone."""
        self.sample_memory()
        if self.code is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join(SETTLE_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        for raw in stream:
            try:
                line = msgspec.json.decode(raw, type=Line)
            except msgspec.MsgspecError:
                continue
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()


class Supervisor:
    """The children of one run, in the order they were started; setting `stopping` ends every wait."""

    def __init__(self, logs: Path) -> None:
        self.children: list[Child] = []
        self.stopping = threading.Event()
        self._logs = logs

    def start(self, name: str, module: str, config: Path) -> Line:
        """Start ``python -m module --config FILE`` and wait for its ready line.

        Raises
        ------
        UserError
            When the child says the user made a mistake (exit code 2).
        ChildFailed
            When it ends otherwise, or is not ready within 60 s.
        Stopped
            When `stopping` was set meanwhile.
        """
        log = self._logs / f"{name}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", module, "--config", str(config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, process_group=0,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        ready = child.wait_for("ready", READY_PATIENCE_S, self.stopping)
        if self.stopping.is_set():
            raise Stopped
        if ready is None:
            raise child.failure("starting")
        return ready

    def child(self, name: str) -> Child:
        """Return a started child by name."""
        return next(child for child in self.children if child.name == name)

    def watch(self, main: str, *, poll_s: float, each: Callable[[], bool]) -> None:
        """Wait until the main child ends, `stopping` is set, or `each`, called between polls, says to stop.

        Raises
        ------
        ChildFailed
            When another child ends before it, or the main one with an error.
        """
        chief = self.child(main)
        while chief.code is None:
            for child in self.children:
                child.sample_memory()
                if child is not chief and child.code is not None and chief.code is None:
                    time.sleep(SETTLE_S / 4)  # the main one may be ending for the same reason
                    if chief.code is None:
                        raise child.failure("running")
            if not each() or self.stopping.wait(poll_s):
                return
        if chief.code != 0:
            raise chief.failure("running")

    def end(self, name: str) -> None:
        """End one child in order."""
        self.child(name).end(GRACE_S)

    def stop(self) -> None:
        """End every child, the last started first."""
        for child in reversed(self.children):
            child.end(GRACE_S)

    def memory_mb(self) -> dict[str, float]:
        """Return each child's highest memory, MB."""
        return {child.name: round(child.peak_memory_mb, 1) for child in self.children}


def running(pids: Sequence[int]) -> list[int]:
    """Name those of some pids that still run."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]
