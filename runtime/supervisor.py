"""Child processes of one run: start in order, know that they serve, stop in the opposite order, leave none.

Problem: a run is several processes, and whatever ends first, the user, an error, a child or this process, no
other may stay behind. Every child gets a group of its own, so that Ctrl-C reaches only this process, which
then ends them one after the other; each also asks the kernel to end it with its parent. When one dies, the
others that needed it follow, and only the first may be blamed.

Not here: what the children are (`launch`), in which order they ended (`endings`).

Invariant: after `stop` none of the started pids runs. Only pids that were started here are signalled.
"""

import os
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
from runtime.endings import Endings

READY_PATIENCE_S: Final = 60.0
GRACE_S: Final = 10.0
SETTLE_S: Final = 2.0
_POLL_S: Final = 0.02
_USER_MISTAKE: Final = 2
# How a unit says of another that it lost it.
_LOST: Final = ("the {} is gone", "the {} closed")
# A disk with less room than this may have swallowed a process's last words.
_ROOM: Final = 1 << 16
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

    def wait_for(self, key: str, timeout_s: float, in_vain: Callable[[], bool]) -> Line | None:
        """Wait until it wrote a line with a key; None when that is too late or `in_vain`."""
        deadline = time.monotonic() + timeout_s
        while (found := self.line(key)) is None and time.monotonic() < deadline:
            if in_vain():
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

    def last_words(self) -> str:
        """Return the last line it wrote to standard error, empty if none."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")

    def how(self) -> str:
        """Say how it ended: an exit code or the name of a signal."""
        code = self.code
        if code is None:
            return "did not answer"
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"

    def fell(self) -> str:
        """Say in brackets how it ended and what it said last."""
        said = self.last_words()
        return f"the {self.name} ({self.how()}{': ' if said else ''}{said})"

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
        self._endings = Endings()

    def start(self, name: str, module: str, config: Path) -> Line:
        """Start ``python -m module --config FILE`` and wait for its ready line.

        Raises
        ------
        UserError
            When the child says the user made a mistake (exit code 2).
        ChildFailed
            When it or one before it ends otherwise, or it is not ready within 60 s.
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
        self._endings.watch(child.pid)
        ready = child.wait_for("ready", READY_PATIENCE_S, self._is_over)
        if self.stopping.is_set():
            raise Stopped
        if ready is None:
            raise self._refused_start(child)
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
        going = True
        while going and not self._endings.read():
            for child in self.children:
                child.sample_memory()
            going = each() and not self.stopping.wait(poll_s)
        chief = self.child(main)
        if self._endings.read() in ([], [chief.pid]) and chief.code in (None, 0):
            return
        self._settle(chief)
        if chief.code != 0 or any(child.code for child in self.children):
            raise self.blame("running")

    def blame(self, doing: str) -> ChildFailed:
        """Name the child that ended first, and those that ended because of it."""
        ended = [self._by_pid(pid) for pid in self._endings.order]
        cause = _cause(ended)
        text = f"the {cause.name} {cause.how()} while {doing}; {_said(cause)} (log: {cause.log})"
        if others := ", ".join(child.fell() for child in ended if child is not cause):
            text += f"; because of it: {others}"
        return ChildFailed(text)

    def end(self, name: str) -> None:
        """End one child in order."""
        self.child(name).end(GRACE_S)

    def stop(self) -> None:
        """End every child, the last started first."""
        for child in reversed(self.children):
            child.end(GRACE_S)
        self._endings.close()

    def memory_mb(self) -> dict[str, float]:
        """Return each child's highest memory, MB."""
        return {child.name: round(child.peak_memory_mb, 1) for child in self.children}

    def _is_over(self) -> bool:
        return self.stopping.is_set() or bool(self._endings.read())

    def _settle(self, chief: Child) -> None:
        """Give those that need the one that ended the time to notice it; the main one notices last."""
        deadline = time.monotonic() + SETTLE_S
        while len(self._endings.read(_POLL_S)) < len(self.children) and time.monotonic() < deadline:
            if chief.code is not None:
                deadline = min(deadline, time.monotonic() + SETTLE_S / 4)

    def _by_pid(self, pid: int) -> Child:
        return next(child for child in self.children if child.pid == pid)

    def _refused_start(self, child: Child) -> ParleyError:
        # Nothing of a run that could not be started stays, hence no word of its log.
        if self._endings.order:
            child = _cause([self._by_pid(pid) for pid in self._endings.order])
        if child.code == _USER_MISTAKE and (said := child.last_words()):
            return UserError(said.removeprefix("error: "))
        return ChildFailed(f"the {child.name} {child.how()} while starting; {_said(child)}")


def running(pids: Sequence[int]) -> list[int]:
    """Name those of some pids that still run."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def _cause(ended: Sequence[Child]) -> Child:
    # Who ends in order hangs up first and tidies after, so the kernel may see the end of who lost it before.
    cause, left = ended[0], list(ended[1:])
    while lost := next((c for c in left if any(t.format(c.name) in cause.last_words() for t in _LOST)), None):
        left.remove(lost)
        cause = lost
    return cause


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _said(child: Child) -> str:
    if said := child.last_words():
        return f"its last words: {said}"
    try:
        disk = os.statvfs(child.log.parent)
    except OSError:
        return "it said nothing"
    is_full = disk.f_bavail * disk.f_frsize < _ROOM
    return "it said nothing, or could not: the disk is full" if is_full else "it said nothing"
