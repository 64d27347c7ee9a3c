"""Numbers the lives of each agent's process, so that a desk knows which of two is the later one.

Problem: a name in Ray is no fence; a process that was declared dead may go on. So each life of an agent takes
the next number from a file in the desk's runtime folder, and the desk keeps the highest only. Beside it lies
the mark of a paused agent, which has to outlive the process.

Not here: comparing the numbers (`socket_transport`).

Invariant: no number is given twice, however a process ends while it takes one.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

_WIDTH: Final = 20


def next_incarnation(folder: Path, agent: str) -> int:
    """Take the next number of an agent, from 1."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(_file(folder, agent, "life"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        number = int(os.pread(descriptor, _WIDTH, 0) or b"0") + 1
        # One write of a fixed width: a process that is killed leaves the old number or the new one.
        os.pwrite(descriptor, f"{number:0{_WIDTH}d}\n".encode(), 0)
        return number
    finally:
        os.close(descriptor)


def is_paused(folder: Path, agent: str) -> bool:
    """Say whether an agent was told to be silent, by this process or one before it."""
    return _file(folder, agent, "paused").exists()


def set_paused(folder: Path, agent: str, paused: bool) -> None:
    """Remember whether an agent shall be silent."""
    mark = _file(folder, agent, "paused")
    if paused:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch(mode=0o600)
    else:
        mark.unlink(missing_ok=True)


def _file(folder: Path, agent: str, kind: str) -> Path:
    return folder / f"{agent.replace('/', '~')}.{kind}"
