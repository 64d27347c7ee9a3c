"""Which bars are usable, and how longer candles are built from them."""

from math import inf, nan

import pytest

from parley.indicators import Resampler, usable_bar
from tests.kit.builders import MINUTE, T0, make_bar
from tests.kit.candles import bars_of


@pytest.mark.parametrize(
    "over",
    [
        {"close": nan}, {"open": nan}, {"high": inf}, {"low": -1.0}, {"low": 0.0}, {"volume": nan},
        {"volume": -1.0},
        {"close": 99_999.0}, {"open": 1.0}, {"high": 1e300, "close": 1e300}, {"tf_ns": 0},
    ],
)  # fmt: skip
def test_impossible_bar_is_not_usable(over: dict[str, float]) -> None:
    assert not usable_bar(make_bar(**over))


def test_flat_bar_without_volume_is_usable() -> None:
    assert usable_bar(make_bar(open=5.0, high=5.0, low=5.0, close=5.0, volume=0.0))


def test_five_minutes_join_into_one_candle_at_its_last_minute() -> None:
    frame = Resampler(5)
    bars = bars_of([10.0, 12.0, 9.0, 11.0, 10.5], wick=0.5)

    done = [frame.push(bar) for bar in bars]

    assert [len(d) for d in done] == [0, 0, 0, 0, 1]
    [candle] = done[-1]
    assert (candle.open, candle.high, candle.low, candle.close) == (10.0, 12.5, 8.5, 10.5)
    assert (candle.volume, candle.bars, candle.t_open) == (5.0, 5, T0)


def test_candle_whose_last_minute_is_missing_is_closed_by_the_next_bar() -> None:
    frame = Resampler(3)
    bars = bars_of([1.0, 2.0, 3.0, 4.0, 5.0])

    done = [frame.push(bar) for bar in (bars[0], bars[1], bars[3])]

    assert [[c.close for c in d] for d in done] == [[], [], [2.0]]


def test_gap_up_to_the_end_of_a_bucket_gives_both_candles() -> None:
    frame = Resampler(3)
    bars = bars_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    frame.push(bars[0])
    both = frame.push(bars[5])

    assert [c.close for c in both] == [1.0, 6.0]


def test_repeated_and_older_bars_change_nothing() -> None:
    frame = Resampler(2)
    bars = bars_of([1.0, 2.0])
    frame.push(bars[1])

    assert frame.push(bars[1]) == ()
    assert frame.push(bars[0]) == ()
    assert frame.last == T0 + MINUTE
