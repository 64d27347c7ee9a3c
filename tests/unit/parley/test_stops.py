"""Levels of a holding: which side leaves it, and that a stop never moves back."""

from math import inf, nan

import pytest

from parley.stops import Guard, exit_side


def test_long_is_left_by_selling_and_short_by_buying() -> None:
    assert exit_side(1) == "sell"
    assert exit_side(-1) == "buy"


@pytest.mark.parametrize(
    ("direction", "stop", "take", "px", "code"),
    [
        (1, 90.0, 110.0, 100.0, ""),
        (1, 90.0, 110.0, 90.0, "stop_loss"),
        (1, 90.0, 110.0, 110.0, "take_profit"),
        (-1, 110.0, 90.0, 100.0, ""),
        (-1, 110.0, 90.0, 110.0, "stop_loss"),
        (-1, 110.0, 90.0, 90.0, "take_profit"),
        (1, nan, nan, 1.0, ""),
        # a gap through both: the stop has the last word
        (1, 100.0, 90.0, 95.0, "stop_loss"),
    ],
)
def test_level_is_hit_on_its_side(direction: int, stop: float, take: float, px: float, code: str) -> None:
    assert Guard(direction, 0, stop, take).hit(px) == code


@pytest.mark.parametrize("wish", [nan, inf, -1.0, 0.0, 89.0])
def test_wish_that_is_no_better_leaves_the_stop(wish: float) -> None:
    guard = Guard(1, 0, 90.0)

    guard.tighten(wish)

    assert (guard.stop, guard.trailed) == (90.0, False)


def test_first_level_is_no_trailing() -> None:
    guard = Guard(1, 0)

    guard.tighten(90.0)
    assert guard.hit(89.0) == "stop_loss"


def test_direction_must_be_a_side() -> None:
    with pytest.raises(ValueError, match="direction must be 1 or -1"):
        Guard(0, 0)
