"""Whether a desk still takes up what reaches it, told by a few bytes that it writes once a second.

Problem: a process that hangs is a process that runs: its number lives, its sockets stand. So the desk's own
loop says once a second that it waits for a message or took one up since it last said so. A loop that is
blocked, a message that is never finished and a process that was stopped all fall silent in the same way.

Not here: ending a desk whose agent does not return (`watchdog`), what follows from silence (`api`, `status`).

Invariant: silence, a foreign or unreadable file and a process that is gone are never life.
"""

import asyncio
import contextlib
import os
import struct
import time
from pathlib import Path
from typing import Final

from runtime.process_tree import look

NAME: Final = "desk.alive"  # in a run's folder
OF_GATEWAY: Final = "gateway.alive"
OF_HUB: Final = "hub.alive"
EVERY_S: Final = 1.0
SILENT_S: Final = 10.0  # as long as the watchdog lets an agent compute
_BEAT: Final = struct.Struct("<qq")  # pid, CLOCK_MONOTONIC ns, which all processes of a machine share
_NS: Final = 1_000_000_000


class Heartbeat:
    """Of the loop that runs; `rest` and `work` are called around every wait for a message."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn = 0
        self._told = -1
        self._is_resting = True
        self._file = -1
        self._next: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """Say that it waits from now on."""
        self._is_resting = True

    def work(self) -> None:
        """Say that it took up a message."""
        self._is_resting = False
        self._turn += 1

    def start(self) -> None:
        """Beat from now on, where there is a file to do so."""
        if self._path:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._beat()

    def stop(self) -> None:
        """Beat no more; without the file nobody takes the end for a silence."""
        if self._next is not None:
            self._next.cancel()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _beat(self) -> None:
        if self._is_resting or self._turn != self._told:
            self._told = self._turn
            with contextlib.suppress(OSError):  # a full disk silences it, and is said by others
                os.pwrite(self._file, _BEAT.pack(os.getpid(), time.monotonic_ns()), 0)
        self._next = asyncio.get_running_loop().call_later(EVERY_S, self._beat)


def why_silent(path: Path, now_ns: int | None = None, who: str = "desk") -> str:
    """Say why the desk of a heartbeat's file, or another unit, cannot be taken to work; empty when it does.

    Parameters
    ----------
    now_ns : CLOCK_MONOTONIC, ns; now by default
    """
    try:
        pid, at = _BEAT.unpack(path.read_bytes())
    except (OSError, struct.error):
        return f"the {who} does not run"
    found = look(pid)
    if found is None or found.is_zombie:
        return f"the {who}'s process {pid} is gone"
    age_s = ((time.monotonic_ns() if now_ns is None else now_ns) - at) / _NS
    if not 0 <= age_s <= SILENT_S:
        return f"the {who} took up nothing for {age_s:.0f} s, the limit is {SILENT_S:.0f} s"
    return ""
