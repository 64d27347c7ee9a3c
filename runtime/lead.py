"""One desk leads the firm of a home: the lock that a desk holds as long as it trades.

Problem: a firm has one ledger and one set of limits, so two desks of one home and account would each take the
whole of both; and whoever pauses an agent or asks for the status could not know which desk is meant. So the
second is refused, by a lock of the kernel's: it goes with the process, whatever ends that.

Not here: the claim on a run's folder (`leftovers`), which says that a run lives and refuses nobody; whoever
may write a journal.

Invariant: of all processes of this machine at most one leads a home's account.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from parley.errors import UserError


class Lead:
    """The lead of one home's account, from `take` to `release`; `release` may be called at any time."""

    def __init__(self, home: Path, account: str) -> None:
        self._home = home.expanduser().resolve()
        self._path = self._home / f"{account}.lead"
        self._handle = -1

    def take(self, run_id: str) -> None:
        """Lead from now on.

        Raises
        ------
        UserError
            When another desk does; the text names it.
        """
        while self._handle < 0:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                leader = os.read(handle, 200).decode(errors="replace").strip() or "which is just starting"
                os.close(handle)
                raise UserError(
                    f"a desk runs in {str(self._home)!r} already, {leader}: end it first, or give this one a"
                    f" home of its own (PARLEY_HOME=FOLDER)"
                ) from None
            if self._is_of_the_path(handle):
                self._handle = handle
            else:  # the last leader removed it between opening and locking
                os.close(handle)
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"pid {os.getpid()}, run {run_id}\n".encode(), 0)

    def release(self) -> None:
        """Let another desk lead."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._handle)
            self._handle = -1

    def _is_of_the_path(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        except FileNotFoundError:
            return False
