"""Which end is followed by a new life, and which is the last."""

import pytest

from runtime.restarts import Restarts
from runtime.watchdog import HUNG


@pytest.mark.parametrize("code", [-9, -11, 1, 137])
def test_unit_that_served_and_fell_comes_back(code: int) -> None:
    assert Restarts().why_not(code, 0.5) == ""


def test_unit_that_was_killed_while_it_started_comes_back() -> None:
    assert Restarts().why_not(-9, None) == ""


@pytest.mark.parametrize(
    ("code", "served_s", "why"),
    [
        (2, 10.0, "a mistake in what it was given"),
        (2, None, "a mistake in what it was given"),
        (HUNG, 10.0, "what it hung in would come again"),
        (1, None, "it could not go on where it had been"),
    ],
)
def test_unit_that_says_it_cannot_go_on_does_not_come_back(
    code: int, served_s: float | None, why: str
) -> None:
    assert why in Restarts().why_not(code, served_s)


def test_sixth_end_within_a_minute_of_service_is_the_last() -> None:
    restarts = Restarts()

    assert [restarts.why_not(-9, 1.0) for _ in range(5)] == [""] * 5
    assert restarts.why_not(-9, 1.0) == "it ended 6 times within 60 s of service"


def test_ends_far_apart_never_add_up() -> None:
    restarts = Restarts()

    assert [restarts.why_not(-9, 13.0) for _ in range(50)] == [""] * 50


def test_time_spent_on_starting_is_no_service() -> None:
    """Else one that folds its journal for a minute and then falls at once would be started for ever."""
    restarts = Restarts(most=2)

    assert [restarts.why_not(-11, None), restarts.why_not(1, 0.1)] == ["", ""]
    assert restarts.why_not(-11, None) != ""
