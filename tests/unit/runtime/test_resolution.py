"""When the absence of an order counts, and when to look again."""

from __future__ import annotations

import pytest

from runtime.resolution import CLOCK_SLACK_NS, Doubt, Fate, Sight, learn, measured, next_look

S = 1_000_000_000
FENCE, ERROR, LAG = 10 * S, S // 2, S
COUNTS_AFTER = FENCE + ERROR + CLOCK_SLACK_NS + LAG


def doubt(**over: object) -> Doubt:
    return Doubt(**({"fence": FENCE, "lag": LAG, "clock_error": ERROR} | over))  # type: ignore[arg-type]


def absent(case: Doubt, *times: int) -> list[Fate]:
    return [learn(case, Sight.ABSENT, each) for each in times]


def test_absence_counts_only_after_window_clock_error_and_lag() -> None:
    case = doubt()
    assert absent(case, 0, FENCE, FENCE + LAG, COUNTS_AFTER) == [Fate.OPEN] * 4
    assert case.absent_at is None
    assert absent(case, COUNTS_AFTER + 1, COUNTS_AFTER + 1 + LAG) == [Fate.OPEN, Fate.NOT_ACCEPTED]


def test_absence_counts_twice_and_apart() -> None:
    case = doubt()
    assert absent(case, COUNTS_AFTER + 1, COUNTS_AFTER + LAG) == [Fate.OPEN, Fate.OPEN]
    assert absent(case, COUNTS_AFTER + 1 + LAG) == [Fate.NOT_ACCEPTED]


def test_absence_never_counts_while_the_clocks_were_not_compared() -> None:
    case = doubt(clock_error=None)
    assert absent(case, 10**18, 2 * 10**18) == [Fate.OPEN, Fate.OPEN]
    measured(case, ERROR)
    assert absent(case, COUNTS_AFTER + 1, COUNTS_AFTER + 1 + LAG) == [Fate.OPEN, Fate.NOT_ACCEPTED]


def test_the_largest_difference_of_the_clocks_counts() -> None:
    case = doubt()
    measured(case, 3 * ERROR)
    measured(case, ERROR)
    assert case.counts_after == COUNTS_AFTER + 2 * ERROR


def test_what_the_venue_spoke_of_is_never_not_accepted() -> None:
    case = doubt(is_seen=True)
    assert absent(case, COUNTS_AFTER + 1, 2 * COUNTS_AFTER, 3 * COUNTS_AFTER) == [Fate.OPEN] * 3


def test_absence_says_nothing_once_the_venue_may_have_forgotten_the_order() -> None:
    day = 24 * 3600 * S
    times = (FENCE + day - 10 * S, FENCE + day - 5 * S)
    assert absent(doubt(sure_until=FENCE + day), *times) == [Fate.OPEN, Fate.NOT_ACCEPTED]
    late = tuple(each + 11 * S for each in times)
    assert absent(doubt(sure_until=FENCE + day), *late, 2 * day, 3 * day) == [Fate.OPEN] * 4
    # one that was begun in time counts for nothing without its second
    assert absent(doubt(sure_until=FENCE + day), times[0], late[1]) == [Fate.OPEN, Fate.OPEN]
    assert absent(doubt(), *late) == [Fate.OPEN, Fate.NOT_ACCEPTED]


DAY = 24 * 3600 * S
STOP = {"sure_until": FENCE + 3 * DAY, "traded_until": FENCE + 89 * DAY}


@pytest.mark.parametrize(("is_seen", "fate"), [(True, Fate.ENDED), (False, Fate.NOT_ACCEPTED)])
def test_a_stop_that_only_an_end_without_a_fill_keeps_out_of_the_lists_lives_no_more(
    is_seen: bool, fate: Fate
) -> None:
    late = FENCE + 4 * DAY
    assert absent(doubt(is_seen=is_seen, **STOP), late, late + LAG - 1, late + LAG) == [
        Fate.OPEN, Fate.OPEN, fate,
    ]  # fmt: skip


def test_a_stop_that_may_have_traded_or_must_still_be_listed_has_no_end() -> None:
    early, late = FENCE + 2 * DAY, FENCE + 90 * DAY
    assert absent(doubt(is_seen=True, **STOP), early, early + LAG, late, late + LAG) == [Fate.OPEN] * 4
    assert absent(doubt(**STOP), late, late + LAG) == [Fate.OPEN] * 2
    # not before the requests of this life are over either
    case = doubt(is_seen=True, sure_until=-DAY, traded_until=80 * DAY)
    assert absent(case, 0, COUNTS_AFTER) == [Fate.OPEN] * 2


def test_what_was_forgotten_is_asked_for_ever_more_seldom() -> None:
    assert len(looked_at(doubt(sure_until=0), Sight.ABSENT, 3600 * S)) < 140


def test_failed_look_up_counts_for_nothing() -> None:
    case = doubt()
    late = COUNTS_AFTER + 1
    said = [learn(case, Sight.FAILED, late + n * LAG) for n in range(5)]
    assert said == [Fate.OPEN] * 5
    assert absent(case, late + 5 * LAG) == [Fate.OPEN]


def test_found_is_found_also_after_it_was_absent_once() -> None:
    case = doubt()
    absent(case, COUNTS_AFTER + 1)
    assert learn(case, Sight.FOUND, COUNTS_AFTER + 2) is Fate.FOUND


def looked_at(case: Doubt, sight: Sight, until: int) -> list[int]:
    """Return when a gateway looks that follows `next_look` and always sees the same."""
    at, times = 0, []
    while at <= until:
        times.append(at)
        if learn(case, sight, at) is not Fate.OPEN:
            break
        at = next_look(case, at)
    return times


def test_order_that_does_not_exist_is_given_up_soon_after_its_window_with_few_look_ups() -> None:
    times = looked_at(doubt(), Sight.ABSENT, 60 * S)
    assert len(times) <= 6
    assert times[-1] <= COUNTS_AFTER + LAG + 2


@pytest.mark.parametrize(
    ("sight", "case"), [(Sight.FAILED, doubt()), (Sight.ABSENT, doubt(is_seen=True, lag=0))], ids=str
)
def test_venue_that_cannot_say_is_asked_ever_more_seldom(sight: Sight, case: Doubt) -> None:
    times = looked_at(case, sight, 3600 * S)
    assert len(times) < 140
    assert times[-1] - times[-2] == 30 * S
