"""Ray's own folder: private, short, with its token and the record of its processes; swept by later drivers.

Problem: a driver that is killed cannot end what it started. So it writes down, once a second, which
processes there are, and holds a lock on its folder; the next driver of this user ends what is left in every
folder whose lock nobody holds.

Not here: which processes descend from a driver (`process_tree`).

Invariant: no process of a driver that lives is touched, and none that only has the number of a recorded one.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError
from runtime.process_tree import descendants, end_recorded
from runtime.unit import private_folder

PREFIX: Final = "ray-"
_LOCK: Final = "driver.lock"
_RECORD: Final = "processes.json"
_REMOVALS, _REMOVAL_PAUSE_S = 20, 0.05


class RayFolder:
    """One driver's folder, from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def open(self) -> list[int]:
        """Make the folder and its token after ending what dead drivers left; return those pids.

        Raises
        ------
        UserError
            When another driver uses it, or the folder above it is not this user's alone.
        """
        private_folder(self.path.parent)
        swept = sweep(self.path.parent)
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._lock = _claim(self.path)
        if self._lock < 0:
            raise UserError(f"another driver keeps Ray in {str(self.path)!r}")
        token = os.open(self.path / "token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(token, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        return swept

    def record(self) -> None:
        """Write down which processes there are now."""
        found = [(each.pid, each.started) for each in descendants() if not each.is_zombie]
        fresh = self.path / f"{_RECORD}.new"
        fresh.write_bytes(msgspec.json.encode(found))
        fresh.replace(self.path / _RECORD)

    def close(self) -> None:
        """Remove the folder and let go of it."""
        _remove(self.path)
        os.close(self._lock)


def sweep(above: Path) -> list[int]:
    """End what is left of drivers that were killed, and remove their folders."""
    ended: list[int] = []
    for folder in sorted(above.glob(f"{PREFIX}*")):
        lock = _claim(folder)
        if lock < 0:
            continue
        try:
            ended += end_recorded(_recorded(folder))
            _remove(folder)
        finally:
            os.close(lock)
    return ended


def _remove(folder: Path) -> None:
    # What was killed a moment ago may still have put a file into a folder that was just being emptied.
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_REMOVAL_PAUSE_S)


def _claim(folder: Path) -> int:
    descriptor = -1
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _recorded(folder: Path) -> list[tuple[int, int]]:
    try:
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=list[tuple[int, int]])
    except (OSError, msgspec.MsgspecError):
        return []
