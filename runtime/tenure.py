"""Which desk writes a journal: each puts its name beside it when it takes it up, and looks when it falls.

Problem: a desk that was stopped, or cut off, and woke up behind its successor falls over whatever it touches
first: the journal has other rows, the gateway has another desk. None of that says what happened. The name
beside the journal does, and whoever started the desk is told by an exit code of its own.

Not here: what keeps the two apart (the journal's unique rows, the gateway's epochs), the one desk of a home
(`lead`).

Invariant: only a living process other than this one is ever named as the successor; a file that cannot be
read names nobody. Nothing here decides whether a desk may write.
"""

import contextlib
import os
from collections.abc import Awaitable
from pathlib import Path

import msgspec

from parley.errors import Fatal
from runtime.journal import JournalError
from runtime.process_tree import is_running, look
from runtime.unit import Replaced


class Holder(msgspec.Struct, frozen=True):
    """The process that took a journal up: its number and when it was started, in clock ticks since boot."""

    pid: int
    started: int


class Tenure:
    """One desk's time with a journal, from `begin` to `end`; both may be called at any time."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".desk")
        own = look(os.getpid())
        self._own = Holder(os.getpid(), own.started if own else 0)
        self._earlier: Holder | None = None
        self._has_begun = False

    def begin(self) -> None:
        """Say that this process writes the journal from now on; a full disk is no reason not to."""
        self._earlier = self._named()
        self._has_begun = self._write(self._own)

    def successor(self) -> int:
        """Return the process that took the journal up after this one and lives, 0 when there is none."""
        return self._other(self._named()) if self._has_begun else 0

    def predecessor(self) -> int:
        """Return the process that had the journal when this one began and lives still, 0 when none does."""
        return self._other(self._earlier)

    def end(self) -> None:
        """Take the own name away, unless another one stands there; who had it before has it again."""
        if not self._has_begun or self._named() != self._own:
            return
        if self._earlier is not None and self._other(self._earlier):
            self._write(self._earlier)
            return
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _other(self, named: Holder | None) -> int:
        if named is None or named == self._own:
            return 0
        return named.pid if is_running(named.pid, named.started) else 0

    def _write(self, holder: Holder) -> bool:
        with contextlib.suppress(OSError):
            fresh = self.path.with_name(f"{self.path.name}-{os.getpid()}")
            fresh.write_bytes(msgspec.json.encode(holder))
            fresh.replace(self.path)
            return True
        return False

    def _named(self) -> Holder | None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self.path.read_bytes(), type=Holder)
        return None


async def in_office(journal: str, work: Awaitable[None]) -> None:
    """Do a desk's work under its name.

    Raises
    ------
    Replaced
        When it fell while another process had taken the journal up.
    Fatal
        When the journal failed by itself, or a desk that lives has it.
    """
    tenure = Tenure(Path(journal))
    tenure.begin()
    try:
        await work
    except Exception as error:
        # whatever it fell over first: one that was stopped and woke up finds everything changed
        if successor := tenure.successor():
            raise Replaced(
                f"process {successor} took over the journal {journal!r} and leads now; this desk ends"
            ) from error
        if (earlier := tenure.predecessor()) and isinstance(error, Fatal | JournalError):
            raise Fatal(
                f"{error}; process {earlier} has this journal and lives still: end it first"
            ) from error
        if isinstance(error, JournalError):
            raise Fatal(f"the journal failed: {error}") from error
        raise
    finally:
        tenure.end()
