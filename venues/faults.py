"""Counts the calls to a venue that failed, until whoever tells of them takes the count.

Problem: a look-up, a balance or the time that nobody could be asked for, and a stream that broke, are no
facts of any order: each is tried again, and nobody but the log would know that the venue is ailing.

Not here: what became of a send, or of a cancel that may have worked (the gateway tells of those by their
order), what venues say of their limits (`meter`), who is told (`runtime.venue_faults`).

Invariant: a failure is taken exactly once.
"""

from typing import Final, NamedTuple, Protocol

_LONGEST_WORD: Final = 200


class Failed(NamedTuple):
    """``n`` failures, the last of them of a ``call``, and ``why``."""

    n: int
    call: str
    why: str


class Failing(Protocol):
    """Where it is counted what failed, at one venue or at several."""

    def take(self) -> Failed | None:
        """Give what failed, and begin anew; None when nothing did."""


class Faults:
    """What failed since somebody asked last."""

    def __init__(self) -> None:
        self._failed = Failed(0, "", "")

    def failed(self, call: str, why: object) -> None:
        """Note that a call failed."""
        self._failed = Failed(self._failed.n + 1, call, str(why)[:_LONGEST_WORD])

    def take(self) -> Failed | None:
        """Give what failed, and begin anew; None when nothing did."""
        failed, self._failed = self._failed, Failed(0, "", "")
        return failed if failed.n else None
