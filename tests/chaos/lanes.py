"""Bouts side by side: each in a process of its own, forked from one that has imported everything.

Problem: most of a bout is waiting, for a doubt's window, for a start, for a pause to be over. Several beside
each other use the cores that one leaves idle. A process per bout also keeps the parent what a fork needs: one
thread, without a child of anybody else.

Not here: what a bout is (`bout`), which ones are fought (`campaign`).

Invariant: a bout that was begun ends with a result or is cut off as a whole; no process of it outlives it,
and its folder is removed.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_DISK_EVERY: Final = 2  # bouts on a real disk, where an fsync takes its time; the others in memory
_MEMORY: Final = Path("/dev/shm")
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG
Work = Callable[[int, Path], Any]
"""Fights the bout of a seed in a folder and returns its result."""


@dataclass
class Lane:
    """A bout that is being fought."""

    seed: int
    pid: int
    folder: Path
    told: int
    heard: bytes = b""


class Lanes:
    """At most ``most`` bouts at a time; ``work`` is done in the child."""

    def __init__(self, most: int, work: Work) -> None:
        self._most = most
        self._work = work
        self._lanes: list[Lane] = []

    @property
    def has_room(self) -> bool:
        """Whether another one may begin."""
        return len(self._lanes) < self._most

    @property
    def folders(self) -> list[Path]:
        """Where those that are being fought have their files."""
        return [each.folder for each in self._lanes]

    def __len__(self) -> int:
        return len(self._lanes)

    def begin(self, seed: int) -> None:
        """Begin the bout of a seed."""
        base = _MEMORY if _MEMORY.is_dir() and seed % _DISK_EVERY else None
        folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=base))
        out, inner = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(out)
            self._fight(seed, folder, inner)
        os.close(inner)
        self._lanes.append(Lane(seed, pid, folder, out))

    def ended(self, patience_s: float) -> list[tuple[int, Any]]:
        """Wait for the end of some, and return each as (seed, result); the result of a crash is its text."""
        readable, _, _ = select.select([each.told for each in self._lanes], [], [], patience_s)
        found = []
        for lane in [each for each in self._lanes if each.told in readable]:
            data = os.read(lane.told, 1 << 20)
            if data:
                lane.heard += data
                continue
            self._leave(lane)
            result = pickle.loads(lane.heard) if lane.heard else "its process ended without a result"
            found.append((lane.seed, result))
        return found

    def ask_to_end(self) -> None:
        """Let those that know what it means come to their end by SIGTERM."""
        for lane in self._lanes:
            os.kill(lane.pid, signal.SIGTERM)

    def stop(self) -> None:
        """Cut off what is being fought."""
        for lane in list(self._lanes):
            os.kill(lane.pid, signal.SIGKILL)
            self._leave(lane)

    def _leave(self, lane: Lane) -> None:
        os.waitpid(lane.pid, 0)
        os.close(lane.told)
        self._lanes.remove(lane)
        shutil.rmtree(lane.folder, ignore_errors=True)

    def _fight(self, seed: int, folder: Path, told: int) -> None:
        """Be a bout until the end of this process."""
        code = 0
        try:
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)  # Ctrl-C is the campaign's to answer
            try:
                result = self._work(seed, folder)
            except Exception:  # noqa: BLE001 - the edge of a process: told, and counted as unexplained
                result = traceback.format_exc()
            with os.fdopen(told, "wb") as pipe:
                pipe.write(pickle.dumps(result))
        except BaseException:  # noqa: BLE001 - a child may not go on as its parent
            code = 70
        finally:
            os._exit(code)
