"""What hostility did, line by line in the truth log.

Not here: what is done. Invariant: a line is written before a client can notice what it says.
"""

from __future__ import annotations

from collections.abc import Callable

from venues.sandbox.truth import TruthLog


class Notes:
    """Writes lines of the event `hostile` at the market's time."""

    def __init__(self, truth: TruthLog, clock: Callable[[], int]) -> None:
        self._truth = truth
        self._clock = clock

    def write(self, what: str, **fields: object) -> None:
        """Say what happens, and to whom or what."""
        self._truth.write("hostile", self._clock(), {"what": what, **fields})
