"""Candles of several symbols on one clock: each begins once and closes once, whatever is missing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtest.history import Course, moment_count, moments

MS = 1_000_000
LENGTH = 60_000


def course(*minutes: int) -> Course:
    dates = np.array(minutes, np.int64) * LENGTH
    values = np.arange(len(minutes), dtype=np.float64) + 1.0
    return Course(dates, values, values, values, values, values)


def test_candle_closes_when_the_next_begins() -> None:
    told = list(moments({"A/B": course(0, 1)}, LENGTH))
    assert [each.t for each in told] == [0, LENGTH * MS, 2 * LENGTH * MS]
    assert [sorted(each.closed) for each in told] == [[], ["A/B"], ["A/B"]]
    assert [each.begun.get("A/B") and each.begun["A/B"].open for each in told] == [1.0, 2.0, None]


def test_candle_before_a_gap_closes_in_time_and_nothing_begins() -> None:
    told = list(moments({"A/B": course(0, 3), "C/B": course(0, 1, 2, 3)}, LENGTH))
    assert sorted(told[1].closed) == ["A/B", "C/B"]
    assert sorted(told[1].begun) == ["C/B"]
    assert sorted(told[2].closed) == ["C/B"]
    assert sorted(told[3].begun) == ["A/B", "C/B"]


columns = st.sets(st.integers(0, 40), min_size=1).map(sorted)


@given(st.lists(columns, min_size=1, max_size=4))
def test_every_candle_begins_once_and_closes_once_in_order(minutes: list[list[int]]) -> None:
    courses = {f"A{n}/B": course(*each) for n, each in enumerate(minutes)}
    told = list(moments(courses, LENGTH))
    assert len(told) == moment_count(courses, LENGTH)
    times = [each.t for each in told]
    assert times == sorted(set(times))
    for symbol, given_ in courses.items():
        begun = [each.begun[symbol].t_open for each in told if symbol in each.begun]
        closed = [(each.t, each.closed[symbol].t_open) for each in told if symbol in each.closed]
        assert begun == [date * MS for date in given_.dates_ms.tolist()]
        assert closed == [(date * MS + LENGTH * MS, date * MS) for date in given_.dates_ms.tolist()]
        assert all(each.begun[symbol].t_open == each.t for each in told if symbol in each.begun)
