"""One process of a run as its supervisor sees it: what it says, how much memory it takes, how it ended.

Not here: when to start it and what its end means (`supervisor`).

Invariant: only the process itself is signalled, and `end` returns when it is gone.
"""

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

SETTLE_S: Final = 2.0
POLL_S: Final = 0.02
_LAST_LINES_S: Final = 1.0
# How a unit says of another that it lost it.
_LOST: Final = ("the {} is gone", "the {} closed")
Line = dict[str, object]


class Child:
    """One process: its JSON lines, its log file, its highest memory; ``life`` counts from 1."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, life: int = 1) -> None:
        self.name = name
        self.log = log
        self.life = life
        self.follows = ""  # what became of the life before, in words
        self.peak_memory_mb = 0.0
        self._ready_at = 0.0
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

    @property
    def served_s(self) -> float | None:
        """Time since it said that it is ready; None before."""
        return None if self.line("ready") is None else time.monotonic() - self._ready_at

    def line(self, key: str) -> Line | None:
        """Return the first line it wrote that has a key, or None so far."""
        with self._changed:
            return next((line for line in self._lines if key in line), None)

    def wait_for(self, key: str, timeout_s: float, in_vain: Callable[[], bool]) -> Line | None:
        """Wait until it wrote a line with a key; None when that is too late or `in_vain`."""
        deadline = time.monotonic() + timeout_s
        while (found := self.line(key)) is None and time.monotonic() < deadline:
            if in_vain():
                if self.code is not None:
                    self._reader.join(_LAST_LINES_S)  # what it wrote before it ended may not be read yet
                return self.line(key)
            with self._changed:
                self._changed.wait(POLL_S)
        return found

    def tell(self, words: bytes) -> None:
        """Write to its standard input, if it has one and lives; a few words at a time fit without waiting."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(words)
                self._process.stdin.flush()

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

    def blames(self, other: "Child") -> bool:
        """Whether its last words say that it lost another one."""
        return any(text.format(other.name) in self.last_words() for text in _LOST)

    def fell(self) -> str:
        """Say in brackets how it ended and what it said last."""
        said = self.last_words()
        return f"the {self.name} ({self.how()}{': ' if said else ''}{said})"

    def kill(self) -> None:
        """End it at once, also while it is stopped; `end` is still to be called."""
        if self.code is None:
            self._process.kill()

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
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
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
                if "ready" in line:
                    self._ready_at = time.monotonic()
                self._lines.append(line)
                self._changed.notify_all()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
