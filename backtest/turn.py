"""A function in a thread of its own that runs only while it has the turn.

Problem: a simulation calls its callbacks from compiled code and cannot be left and entered again; to stop it
in the middle it needs a stack of its own. Not for speed: of all these threads and the caller's one runs.

Not here: whose turn it is (`together`), what is done in it (`seated`).

Invariant: what the function raises is raised where it was given the turn; nobody waits for one that ended.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Final

from backtest.errors import SimulationError

PATIENCE_S: Final = 2.0


class Turn:
    """The thread; it is started at once and does nothing before `take`."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.is_over = False
        self._work = work
        self._error: BaseException | None = None
        self._is_given_up = False
        # Locks that stand for a signal: released by one thread, taken by the other.
        self._go, self._rested = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._rested.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self) -> None:
        """Let it run until it rests or is over.

        Raises
        ------
        BaseException
            What the function raised, now or before.
        """
        if not self.is_over:
            self._go.release()
            self._rested.acquire()
        if self._error is not None:
            raise self._error

    def rest(self) -> None:
        """Give the turn back until the next one; called in the thread.

        Raises
        ------
        SimulationError
            When there is none, because the backtest was given up.
        """
        self._rested.release()
        self._go.acquire()
        if self._is_given_up:
            raise SimulationError("the backtest was given up")

    def _run(self) -> None:
        self._go.acquire()
        if not self._is_given_up:
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the turn was given
                self._error = error
        self.is_over = True
        if not self._is_given_up:  # else nobody waits, and it may have rested just before
            self._rested.release()


def give_up(turns: Iterable[Turn]) -> None:
    """End all of them, wherever they are; one that does not end soon is left behind."""
    left = [turn for turn in turns if not turn.is_over]
    for turn in left:
        turn._is_given_up = True
        turn._go.release()
    for turn in left:
        turn._thread.join(PATIENCE_S / len(left))
