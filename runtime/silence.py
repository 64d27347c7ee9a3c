"""Whether a unit that runs has fallen silent: measured by how often somebody looked in vain, not by a clock.

Problem: a unit that hangs is not gone, and has to be ended before another one takes its place. Whoever was
stopped together with it, with the machine perhaps, must accuse nobody: so a long pause between two looks
counts as a short one.

Not here: what a unit writes (`heartbeat`), who takes its place (`standby`, `supervisor`).

Invariant: a unit whose heartbeat changed between two looks is left alone.
"""

import time
from pathlib import Path
from typing import Final

from runtime.child import Child

SILENT_S: Final = 5.0
START_S: Final = 120.0  # it may wait for `parley kill`, and asks the venue before it serves
_LOOK_COUNTS_S: Final = 0.5  # at most: a longer pause between two looks was our own


class Silence:
    """Of the unit that beats in a file; belongs to one thread."""

    def __init__(self, heartbeat: Path) -> None:
        self._heartbeat = heartbeat
        self._beat = b""
        self._silent_s = 0.0
        self._looked_at = time.monotonic()

    @property
    def is_long(self) -> bool:
        """Whether it has lasted so long that a unit that serves is ended for it."""
        return self._silent_s >= SILENT_S

    def look(self, active: Child) -> None:
        """End a unit that runs if it has been silent too long."""
        if active.code is not None:
            return
        now = time.monotonic()
        waited, self._looked_at = min(now - self._looked_at, _LOOK_COUNTS_S), now
        beat = self._read()
        if beat != self._beat:
            self._beat, self._silent_s = beat, 0.0
            return
        self._silent_s += waited
        if self._silent_s >= (SILENT_S if active.line("ready") is not None else START_S):
            active.kill()

    def how(self, last: Child) -> str:
        """Say how one ended that was listened to."""
        return f"was silent for {SILENT_S:.0f} s and was ended" if self.is_long else last.how()

    def forget(self) -> None:
        """Begin anew, with another life of the unit."""
        self._beat, self._silent_s = b"", 0.0

    def _read(self) -> bytes:
        try:
            return self._heartbeat.read_bytes()
        except OSError:
            return b""
