"""What a configuration wants to happen at a moment of the market.

Not here: what it is. Invariant: each thing happens once, at the end of the first part of a step that reaches
its moment, before that part is announced.
"""

from __future__ import annotations

from collections.abc import Callable

Action = Callable[[], None]


class Plans:
    """Actions by market time, ms."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Action]] = []

    def add(self, at_ms: int, action: Action) -> None:
        """Let something happen."""
        self._waiting.append((at_ms, action))
        self._waiting.sort(key=lambda each: each[0])

    def reached(self, now_ms: int) -> None:
        """Do what is due."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            self._waiting.pop(0)[1]()
