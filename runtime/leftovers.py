"""What a killed run leaves behind, found and removed by the next start.

Problem: a command line that is killed outright cleans nothing up. Its sockets stay in the user's socket
folder, and a run that never came to trade stays a folder that looks like a run.

Not here: a run's own end, in order (`launch.sweep`, `launch.discard`).

Invariant: nothing of a live run is touched, and no folder of a run that recorded anything: what it wrote
until it was killed is evidence.
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from runtime.history import JOURNAL_NAME

# In a run's folder; locked while its command line lives. The kernel lets go of the lock with the process,
# whatever ends it, and unlike a number of a process the lock is never somebody else's.
CLAIM: Final = "running"
RESTORING: Final = ".restoring"  # folder of a home, as long as a restore into it is not through
_CLAIM_TRIES: Final = 50
_CLAIM_WAIT_S: Final = 0.01
_SOCKET: Final = re.compile(
    r"(?:[0-9a-f]{6}-(\d+)-(?:control|gateway|kill|hub|agents|ray)|doctor-(\d+))\.sock"
)


class _Desk(msgspec.Struct):
    """The one thing of a desk's configuration that is asked here."""

    journal: str


def claim(folder: Path) -> int:
    """Say that a run lives in a folder, until the returned descriptor is closed or the process ends."""
    descriptor = os.open(folder / CLAIM, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for tries_left in reversed(range(_CLAIM_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:  # somebody just looks, see `is_claimed`
            if not tries_left:
                os.close(descriptor)
                raise
            time.sleep(_CLAIM_WAIT_S)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def release(folder: Path, descriptor: int) -> None:
    """Take the claim back at the end of a run."""
    (folder / CLAIM).unlink(missing_ok=True)
    os.close(descriptor)


def is_claimed(held: Path) -> bool | None:
    """Whether a living process holds a claim; None when that cannot be told."""
    try:
        descriptor = os.open(held, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def desk_journal(folder: Path) -> Path:
    """Return where the run of a folder writes its desk's journal, which may be anywhere.

    Raises
    ------
    OSError, msgspec.MsgspecError
        When the folder cannot be read.
    """
    usual = folder / JOURNAL_NAME
    if usual.exists():
        return usual
    try:
        raw = (folder / "config" / "desk.json").read_bytes()
    except FileNotFoundError:
        return usual
    return Path(msgspec.json.decode(raw, type=_Desk).journal)


def remove_sockets(folder: Path) -> list[Path]:
    """Remove sockets of this user's runs whose process is gone; return what was removed."""
    removed = []
    for path in sorted(folder.glob("*.sock")):
        named = _SOCKET.fullmatch(path.name)
        if named is None or not path.is_socket() or _lives(int(named[1] or named[2])):
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


def remove_runs(runs: Path) -> list[Path]:
    """Remove folders of runs that were killed before they recorded anything; return what was removed."""
    removed = []
    for held in sorted(runs.glob(f"*/{CLAIM}")):
        folder = held.parent
        # An empty claim may be one that is just being made.
        if is_claimed(held) is not False or _is_empty(held) or _recorded(folder):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder)
    return removed


def _lives(pid: int) -> bool:
    # Before it made its own sockets, this process is not the one that a socket of its number was made by.
    return pid != os.getpid() and Path(f"/proc/{pid}").exists()


def _is_empty(held: Path) -> bool:
    try:
        return held.stat().st_size == 0
    except OSError:
        return True


def _recorded(folder: Path) -> bool:
    try:
        return desk_journal(folder).exists()
    except (OSError, msgspec.MsgspecError):
        return True
