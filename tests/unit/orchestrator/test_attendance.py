"""Who may be asked: sleep after misses, probing, rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.attendance import FIRST_SLEEP_NS, LONGEST_SLEEP_NS, MOST_MISSES, WINDOW, Attendance
from parley.agent import AgentSpec

A, B = "strategy/a", "strategy/b"
S = 1_000_000_000


def book(most: int = 3) -> Attendance:
    return Attendance(
        [AgentSpec(id=i, role="strategy", factory="tests:x", subscriptions=()) for i in (A, B)], most
    )


def miss(attendance: Attendance, now: int, times: int = MOST_MISSES) -> int:
    return [attendance.missed(A, now) for _ in range(times)][-1]


def test_five_misses_of_a_hundred_put_an_agent_to_sleep_and_nobody_else() -> None:
    attendance = book()

    assert miss(attendance, 10, MOST_MISSES - 1) == 0
    assert attendance.awake("strategy", 10) == (A, B)
    assert attendance.missed(A, 10) == FIRST_SLEEP_NS
    assert attendance.awake("strategy", 10) == (B,)
    assert not attendance.is_quarantined(A)


def test_misses_further_back_than_the_window_are_forgotten() -> None:
    attendance = book()
    for _ in range(3):
        assert miss(attendance, 0, MOST_MISSES - 1) == 0
        for _ in range(WINDOW):
            attendance.answered(A)

    assert attendance.awake("strategy", 0) == (A, B)


def test_sleeper_is_probed_and_one_more_miss_doubles_its_sleep_until_it_answers() -> None:
    attendance, now = book(), 0
    sleeps = miss(attendance, now)
    for _ in range(10):
        assert not attendance.is_awake(A, now + sleeps - 1)
        now += sleeps
        assert attendance.is_awake(A, now)
        before, sleeps = sleeps, attendance.missed(A, now)
        assert sleeps == min(2 * before, LONGEST_SLEEP_NS)
    now += sleeps
    assert attendance.is_awake(A, now)

    attendance.answered(A)

    assert miss(attendance, now, MOST_MISSES - 1) == 0
    assert attendance.missed(A, now) == FIRST_SLEEP_NS


def test_resting_ends_when_told_and_names_of_nobody_are_nobody() -> None:
    attendance = book()

    attendance.rest([B, "signal/nobody"])
    assert attendance.awake("strategy", 0) == (A,)
    attendance.rest([])
    assert attendance.awake("strategy", 0) == (A, B)


def test_quarantine_outlives_rest_and_sleep() -> None:
    attendance = book(most=1)
    attendance.strike(A)
    attendance.rest([A])
    attendance.rest([])

    assert attendance.awake("strategy", 1 << 62) == (B,)
    assert not attendance.is_awake("strategy/unknown", 0)


events = st.lists(st.tuples(st.sampled_from(["miss", "answer"]), st.integers(0, 3 * S)), max_size=300)


@given(events)
def test_whoever_is_asked_again_and_again_and_answers_is_awake_in_the_end(
    said: list[tuple[str, int]],
) -> None:
    attendance, now = book(), 0
    for what, after in said:
        now += after
        if attendance.is_awake(A, now):
            if what == "miss":
                attendance.missed(A, now)
            else:
                attendance.answered(A)
    now += LONGEST_SLEEP_NS
    assert attendance.is_awake(A, now)
    for _ in range(WINDOW):
        attendance.answered(A)
    assert miss(attendance, now, MOST_MISSES - 1) == 0
    assert attendance.is_awake(A, now)


@pytest.mark.parametrize("misses", range(12))
def test_answers_between_misses_do_not_hide_five_of_a_hundred(misses: int) -> None:
    attendance = book()
    slept = False
    for _ in range(misses):
        slept = bool(attendance.missed(A, 0)) or slept
        for _ in range(15):
            attendance.answered(A)

    assert slept == (misses >= MOST_MISSES)
