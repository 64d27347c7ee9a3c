"""Pauses double with chance in them, and begin anew after what was heard or stood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from venues.backoff import FIRST_S, MOST_S, Backoff


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_each_pause_lies_between_half_and_the_whole_of_one_that_doubles(chances: list[float]) -> None:
    clock, left = Clock(), iter(chances)
    backoff = Backoff(lambda: next(left), clock)
    for n, chance in enumerate(chances):
        whole = min(FIRST_S * 2**n, MOST_S)
        pause = backoff.pause_s()
        assert pause == whole * (0.5 + 0.5 * chance)
        clock.s += pause


def test_what_was_heard_or_stood_for_long_begins_anew() -> None:
    clock = Clock()
    backoff = Backoff(lambda: 1.0, clock)
    assert [backoff.pause_s() for _ in range(3)] == [1, 2, 4]
    backoff.worked()
    assert backoff.pause_s() == 1
    clock.s += 1 + 30  # waited, then stood for half a minute
    assert backoff.pause_s() == 2
    clock.s += 2 + 61
    assert backoff.pause_s() == 1


def test_two_that_failed_together_do_not_come_back_together() -> None:
    pauses = {Backoff().pause_s() for _ in range(20)}
    assert len(pauses) > 10
