"""One gateway works with a journal: a lock of the kernel's, and the name of the process that holds it.

Problem: two gateways on one API key are the worst case, and whoever takes over from one that does not answer
has to know which process to end and has to be sure that it has ended.

Not here: epochs of desks (the journal has them), who may take over (`kill_takeover`, `supervisor`).

Invariant: the lock is held as long as its holder lives, also while it is stopped, and what is written in it
was written by the holder; its epoch is durable before the holder does anything, and higher than any before.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError
from runtime.process_tree import end_recorded, look

_POLL_S: Final = 0.01
_BYTES: Final = 128  # longer than any name, so that a shorter one covers a longer one


class Holder(msgspec.Struct, frozen=True):
    """The process that holds a lock: its number and when it was started, in clock ticks since boot.

    ``epoch`` counts how often the lock was taken.
    """

    pid: int
    started: int
    epoch: int = 0


class GatewayLock:
    """The lock beside a gateway's journal, or another thing only one may work with (``what``)."""

    def __init__(self, journal: Path, what: str = "") -> None:
        self._path = journal.with_name(journal.name + ".lock")
        self._what = what or f"the journal of {str(self._path)!r}"
        self._handle = -1
        self.epoch = 0  # of this holding, 0: not held yet

    def take(self, patience_s: float = 0.0) -> None:
        """Hold the lock from now on.

        Raises
        ------
        UserError
            When another process holds it for longer than patience.
        """
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"the lock {str(self._path)!r} cannot be used: {error.strerror}") from error
        until = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(_POLL_S)
                    continue
                os.close(handle)
                holder = self.holder()
                who = f"process {holder.pid}" if holder else "another process"
                raise UserError(f"{who} works with {self._what} already") from None
        own, last = look(os.getpid()), self.holder()
        self.epoch = 1 + (last.epoch if last else 0)
        told = msgspec.json.encode(Holder(os.getpid(), own.started if own else 0, self.epoch))
        # over the old name and never through an empty file: a machine that dies here still knows an epoch
        os.pwrite(handle, told.ljust(max(_BYTES, os.fstat(handle).st_size)), 0)
        os.fsync(handle)
        self._handle = handle

    def holder(self) -> Holder | None:
        """The process that took the lock last, whether or not it lives; None where none is named."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._path.read_bytes(), type=Holder)
        return None

    def end_holder(self) -> int:
        """End the process that holds it, and return its number; 0 when there is none to end."""
        holder = self.holder()
        if holder is None:
            return 0
        return holder.pid if end_recorded([(holder.pid, holder.started)]) else 0

    def release(self) -> None:
        """Let another process have it; the file stays, so that nobody locks one that was removed."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
