"""How long to wait before a lost stream is asked for again.

Problem: many clients that lost a venue at once come back at once, and are turned away together; and a stream
on which seldom anything is said tells nothing of its new connection for minutes, so that a failure long after
the last one would be taken for the next of a row.

Not here: what is asked again. Invariant: no pause is shorter than half a second or longer than half a minute.
"""

import random
import time
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 1.0
MOST_S: Final = 30.0
_STOOD_S: Final = 60.0  # a connection that lived so long was a good one


class Backoff:
    """Pauses that double from failure to failure, each between half of itself and the whole.

    ``chance`` gives numbers from 0 to 1, ``now`` seconds of a clock that only goes on.
    """

    def __init__(
        self, chance: Callable[[], float] = random.random, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._chance = chance
        self._now = now
        self._next_s = FIRST_S
        self._since = now()

    def worked(self) -> None:
        """Begin anew: something was heard."""
        self._next_s = FIRST_S
        self._since = self._now()

    def pause_s(self) -> float:
        """How long to wait after a failure now; counted from when that is over, s."""
        if self._now() - self._since > _STOOD_S:
            self._next_s = FIRST_S
        pause = self._next_s * (0.5 + 0.5 * self._chance())
        self._next_s = min(self._next_s * 2, MOST_S)
        self._since = self._now() + pause
        return pause


__all__ = ["FIRST_S", "MOST_S", "Backoff"]
