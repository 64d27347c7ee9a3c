"""An event loop whose time passes only when everybody waits: hours of an outage in milliseconds.

Not here: real input and output; only timers, tasks and what they tell each other.

Invariant: time never passes while something can still be done.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Instead of waiting for a time, lets it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nobody for a time")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module; ``clock_ns`` is its time as the code under test reads it."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def clock_ns(self) -> int:
        return round(self._virtual.now * 1e9)


def run(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run to the end, and close the loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work)
