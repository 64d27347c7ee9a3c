"""Alarms of a gateway: what a person should look at, in its journal and on the desk's.

Not here: when an order's doubt becomes an alarm (`resolution`), who is refused (`gateway_door`).

Invariant: an alarm changes nothing. What others can cause as often as they like is written down a few times a
minute at most, with a count of the rest.
"""

import time
from collections.abc import Callable
from typing import Final

from parley.messages import Alarm, Intent

MOST: Final = 10
WITHIN_NS: Final = 60_000_000_000


def in_doubt(intent: Intent, n: int, why: str) -> Alarm:
    """Say that nobody can find out what became of an order."""
    return Alarm(
        about="doubt", subject=intent.cid, detail=why, n=n, t=time.time_ns(), iid=intent.iid,
        symbol=intent.symbol,
    )  # fmt: skip


class Refusals:
    """What was refused at the door, told to ``say``; of a flood the first few and how many there were."""

    def __init__(self, say: Callable[[Alarm], None], clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._say = say
        self._clock = clock
        self._n = 0
        self._since = 0
        self._in_window = 0
        self._untold = 0

    def refused(self, who: str, why: str) -> None:
        """Write down that a frame or a peer was refused."""
        now = self._clock()
        if not self._n or now - self._since >= WITHIN_NS:
            self.tell_rest()
            self._since, self._in_window = now, 0
        self._n += 1
        self._in_window += 1
        if self._in_window > MOST:
            self._untold += 1
        else:
            self._tell(who, why)

    def look(self) -> None:
        """Say what was left out, once its time is over."""
        if self._untold and self._clock() - self._since >= WITHIN_NS:
            self.tell_rest()

    def tell_rest(self) -> None:
        """Say how many were left out."""
        if self._untold:
            untold, self._untold = self._untold, 0
            self._tell("several", f"{untold} more were refused")

    def _tell(self, who: str, why: str) -> None:
        self._say(Alarm(about="refused", subject=who, detail=why, n=self._n, t=time.time_ns()))
