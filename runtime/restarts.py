"""Whether a unit that ended is started again, how often, and how soon.

Problem: a unit that was killed, or fell over something that will not be there again, comes back on its
journal and nothing is lost. One that would fall over the same thing at once must not be started for ever,
and what it said about a mistake of the user must not be buried under its later lives.

Only time in which the unit served counts: a desk that folds a long journal for a minute and then falls over
the next batch fell at once.

What a run can do without is started again for ever, only less and less often.

Not here: starting (`supervisor`, `kept_child`), what the unit does about its past (`recovery`).

Invariant: a unit that says itself that it cannot go on is never started again.
"""

import time
from collections.abc import Callable
from typing import Final

from runtime.unit import REPLACED
from runtime.watchdog import HUNG

MOST: Final = 5
WITHIN_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
_SERVES_AFTER_S: Final = 30.0
_USER_MISTAKE: Final = 2


class Pauses:
    """Between the lives of something that is always started again: twice as long each time, up to a limit.

    One that served for a while did not fall over its start, and the pauses begin anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wait_s = _FIRST_PAUSE_S
        self._due = clock()

    def are_over(self) -> bool:
        """Whether the next life may begin."""
        return self._clock() >= self._due

    def begin(self, served_s: float) -> None:
        """Note that a life begins behind one that served so long."""
        is_sound = served_s > _SERVES_AFTER_S
        self._wait_s = _FIRST_PAUSE_S if is_sound else min(2 * self._wait_s, _LONGEST_PAUSE_S)
        self._due = self._clock() + self._wait_s


class Restarts:
    """The ends of one unit so far; at most ``most`` within some time of service get a new life."""

    def __init__(self, most: int = MOST, within_s: float = WITHIN_S) -> None:
        self._most = most
        self._within_s = within_s
        self._served_s = 0.0
        self._ends: list[float] = []  # by time served

    def why_not(self, code: int, served_s: float | None) -> str:
        """Take note of an end, and say why no new life shall follow; empty when one shall.

        Parameters
        ----------
        code : exit code, below zero the signal that ended it
        served_s : how long it served, None when it did not get that far
        """
        self._served_s += served_s or 0.0
        if code == _USER_MISTAKE:
            return "it says that this is a mistake in what it was given"
        if code == REPLACED:
            return "another process took its place"
        if code == HUNG:
            return "what it hung in would come again"
        if code >= 0 and served_s is None:
            return "it could not go on where it had been"
        self._ends = [end for end in self._ends if self._served_s - end < self._within_s]
        if len(self._ends) >= self._most:
            return f"it ended {len(self._ends) + 1} times within {self._within_s:.0f} s of service"
        self._ends.append(self._served_s)
        return ""
