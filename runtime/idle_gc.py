"""Garbage collection in idle moments only: a collection amid a round would cost it a tenth of its time.

What exists at the start lives as long as the process and is never looked at again (`gc.freeze`); what is made
later is collected when the loop has nothing to do. Without an idle moment it is collected all the same
once much has gathered, so that memory stays bounded.

Not here: what is idle; the loop's owner knows.
"""

import gc
from typing import Final

YOUNG: Final = 2_000
MUCH: Final = 200_000
FULL_EVERY: Final = 2_000  # young collections; what they keep gathers in the oldest generation


class IdleCollector:
    """Takes collection over from the interpreter; one per process."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()
        self._collections = 0

    def idle(self) -> None:
        """Collect what is young, if there is enough of it."""
        if gc.get_count()[0] > YOUNG:
            self._collect()

    def young(self) -> None:
        """Collect what is young and nothing else: of garbage that is made on purpose, and all the time."""
        if gc.get_count()[0] > YOUNG:
            gc.collect(1)

    def busy(self) -> None:
        """Collect all the same when much has gathered since the last idle moment."""
        if gc.get_count()[0] > MUCH:
            self._collect()

    def _collect(self) -> None:
        self._collections += 1
        gc.collect(2 if self._collections % FULL_EVERY == 0 else 1)
