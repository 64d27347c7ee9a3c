"""The pauses between the lives of what is always started again."""

from __future__ import annotations

import pytest

from runtime.restarts import Pauses


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def lengths(*served: float) -> list[float]:
    """Return the pause behind each life, s."""
    clock = Clock()
    pauses = Pauses(clock)
    assert pauses.are_over()
    found = []
    for seconds in served:
        pauses.begin(seconds)
        begun = clock.now
        while not pauses.are_over():
            clock.now += 0.05
        found.append(round(clock.now - begun, 2))
    return found


def test_pauses_double_up_to_their_limit() -> None:
    assert lengths(*[0.0] * 9) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0], abs=0.06)


def test_life_that_served_begins_them_anew() -> None:
    assert lengths(0.0, 0.0, 31.0, 29.0) == pytest.approx([0.2, 0.4, 0.1, 0.2], abs=0.06)
