"""Each closed candle leaves once and in order, and after a broken connection only what is whole.

Not here: a connection that really breaks (tests/contract/test_hub_broken.py).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.messages import Bar
from runtime.candle_close import CandleClose, Row

MINUTE = 60_000


def row(n: int, close: float = 1.0) -> Row:
    return (n * MINUTE, 1.0, 2.0, 0.5, close, 10.0)


def bar(symbol: str, n: int, close: float = 1.0) -> Bar:
    return Bar(
        symbol=symbol, tf_ns=MINUTE * 10**6, t_open=n * MINUTE * 10**6, open=1.0, high=2.0, low=0.5,
        close=close, volume=10.0,
    )  # fmt: skip


def test_candle_closes_when_a_newer_one_opens() -> None:
    close = CandleClose("A/B", MINUTE)

    assert close.take([row(5)]) == ()
    assert close.take([row(5, 9.0)]) == ()
    assert close.take([row(5, 7.0), row(6)]) == (bar("A/B", 5, 7.0),)
    assert close.take([row(6)]) == ()


def test_hole_between_candles_is_counted() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6)])

    assert [each.t_open for each in close.take([row(6), row(9), row(10)])] == [
        6 * MINUTE * 10**6,
        9 * MINUTE * 10**6,
    ]
    assert close.missed == 2


def test_last_candle_is_taken_once_it_changed() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6)])

    assert close.take_last(row(6), is_certain=False) == ()
    close.take([row(6, 3.0)])
    assert [each.close for each in close.take_last(row(6, 3.0), is_certain=False)] == [3.0]
    assert close.take_last(row(6, 3.0), is_certain=True) == ()


def test_last_candle_without_a_trade_is_taken_only_when_certain() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6)])

    assert close.take_last(row(6), is_certain=False) == ()
    assert len(close.take_last(row(6), is_certain=True)) == 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=40))
def test_every_candle_leaves_once_however_often_one_looks(looks: list[int]) -> None:
    close = CandleClose("A/B", MINUTE)
    cache: list[Row] = []
    out: list[Bar] = []
    for n, repeats in enumerate(looks):
        cache.append(row(n, 0.0))
        cache[n] = row(n, float(n))
        for _ in range(repeats % 3):
            out += close.take([each for each in cache if each[0] > close.closed])
    out += close.take([each for each in cache if each[0] > close.closed])

    assert [each.t_open for each in out] == [n * MINUTE * 10**6 for n in range(len(looks) - 1)]
    assert [each.close for each in out] == [float(n) for n in range(len(looks) - 1)]
    assert close.missed == 0


def opened(bars: tuple[Bar, ...]) -> list[tuple[int, float]]:
    return [(each.t_open // (MINUTE * 10**6), each.close) for each in bars]


def test_candle_that_changed_after_the_break_is_whole() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6, 2.0)])
    close.broken([row(6, 2.0)])

    assert opened(close.take([row(6, 3.0), row(7)])) == [(6, 3.0)]
    assert not close.is_unsure
    assert opened(close.take([row(7), row(8)])) == [(7, 1.0)]


@pytest.mark.parametrize("newest", [7, 9])
def test_candle_that_stands_as_at_the_break_waits_for_the_list(newest: int) -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6, 2.0)])
    close.broken([row(6, 2.0)])

    assert close.take([row(6, 2.0), row(newest)]) == ()
    assert (close.is_unsure, close.unsure_since) == (True, 6 * MINUTE)
    assert close.take([row(6, 2.0), row(newest), row(newest + 1)]) == ()
    listed = [row(n, n / 2) for n in range(newest + 2)]
    assert opened(close.settle(listed, newest * MINUTE)) == [(n, n / 2) for n in range(6, newest)]
    assert (close.is_unsure, close.missed) == (False, 0)
    assert opened(close.take([row(newest), row(newest + 1)])) == [(newest, 1.0)]


def test_hole_after_a_break_is_filled_from_the_list() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6)])
    close.broken([])

    assert close.take([row(8), row(9)]) == ()
    assert opened(close.settle([row(6), row(7), row(8), row(9)], 9 * MINUTE)) == [
        (6, 1.0),
        (7, 1.0),
        (8, 1.0),
    ]
    assert close.missed == 0


def test_what_the_venue_does_not_tell_is_given_up_and_counted() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6, 2.0)])
    close.broken([row(6, 2.0)])
    close.take([row(6, 2.0), row(9)])

    assert close.settle([], 9 * MINUTE) == ()
    assert (close.closed, close.missed, close.is_unsure) == (6 * MINUTE, 1, False)
    assert opened(close.take([row(9), row(10)])) == [(9, 1.0)]
    assert close.missed == 3


def test_first_candle_of_all_may_be_the_broken_one() -> None:
    close = CandleClose("A/B", MINUTE)
    close.broken([row(6, 2.0)])

    assert close.take([row(6, 2.0), row(7)]) == ()
    assert close.unsure_since == 6 * MINUTE
    assert close.settle([], 7 * MINUTE) == ()
    assert (close.closed, close.missed) == (6 * MINUTE, 1)


def test_one_that_formed_at_the_break_stays_unsure_when_an_older_one_is_settled() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6)])
    close.broken([row(6), row(7)])  # 6 had just closed, and nobody had looked
    assert close.take([row(6), row(7)]) == ()
    assert close.is_unsure
    assert opened(close.settle([row(6)], 7 * MINUTE)) == [(6, 1.0)]
    assert close.take([row(7), row(10)]) == ()  # the new line tells of 10 first
    assert close.is_unsure
    assert opened(close.settle([row(7, 7.5), row(8), row(9)], 10 * MINUTE)) == [(7, 7.5), (8, 1.0), (9, 1.0)]
    assert opened(close.take([row(10), row(11)])) == [(10, 1.0)]
    assert (close.missed, close.is_unsure) == (0, False)


def test_one_that_changed_after_the_break_is_whole_though_the_list_was_never_told() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6)])
    close.broken([row(6)])
    close.broken([row(6), row(9)])
    assert close.take([row(6), row(9)]) == ()
    assert close.settle([], 9 * MINUTE) == ()
    assert opened(close.take([row(9, 2.0), row(10)])) == [(9, 2.0)]
    assert opened(close.take([row(10), row(11)])) == [(10, 1.0)]
    assert (close.missed, close.is_unsure) == (3, False)


def test_break_while_the_venue_is_asked_leaves_the_newer_one_unsure() -> None:
    close = CandleClose("A/B", MINUTE)
    close.take([row(5), row(6, 2.0)])
    close.broken([row(6, 2.0)])
    close.take([row(6, 2.0), row(7, 4.0)])
    close.broken([row(6, 2.0), row(7, 4.0)])

    assert opened(close.settle([row(6, 9.0)], 7 * MINUTE)) == [(6, 9.0)]
    assert close.take([row(7, 4.0), row(8)]) == ()
    assert close.is_unsure


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["told", "told", "lost", "broken"])),
        min_size=1,
        max_size=60,
    ),
    st.booleans(),
)
def test_nothing_but_whole_candles_leaves_whatever_breaks(
    course: list[tuple[int, str]], answers: bool
) -> None:
    """A candle takes three trades; what a broken connection does not tell is in the venue's list only."""
    close = CandleClose("A/B", MINUTE)
    true: dict[int, Row] = {}
    cache: dict[int, Row] = {}
    out: list[Bar] = []
    is_cut, trade = False, 0

    def newest() -> list[Row]:
        return [each for n, each in sorted(cache.items()) if n * MINUTE > close.closed]

    for step, what in course:
        if what == "broken":
            is_cut = True
            close.broken(newest())
        elif what == "told":
            is_cut = False  # the next message is heard again
        for _ in range(step):
            trade += 1
            n = trade // 3
            true[n] = row(n, float(trade))
            if not is_cut:
                cache[n] = true[n]
            out += close.take(newest())
            if close.is_unsure:
                listed = list(true.values()) if answers else []
                out += close.settle(listed, newest()[-1][0])
                out += close.take(newest())
    numbers = [each.t_open // (MINUTE * 10**6) for each in out]

    assert numbers == sorted(set(numbers))
    assert all(each == bar("A/B", n, true[n][4]) for n, each in zip(numbers, out, strict=True))
    if numbers:
        assert len(numbers) + close.missed >= numbers[-1] - numbers[0] + 1
    if answers:
        assert close.missed == 0


def test_one_that_follows_another_waits_for_the_list_and_trusts_no_hole_behind_it() -> None:
    close = CandleClose("A/B", MINUTE)
    close.go_on_after(2 * MINUTE)

    assert close.take([row(5), row(6)]) == ()
    assert (close.is_unsure, close.unsure_since) == (True, 3 * MINUTE)
    assert close.settle([row(1), row(2), row(3), row(4), row(5), row(6)], 6 * MINUTE) == tuple(
        bar("A/B", n) for n in (3, 4, 5)
    )
    assert close.take([row(7), row(8)]) == (), "6 was never told here, so the list is asked again"
    assert (close.is_unsure, close.missed) == (True, 0)
    assert close.settle([row(6), row(7)], 8 * MINUTE) == (bar("A/B", 6), bar("A/B", 7))
    assert close.take([row(8), row(9)]) == (bar("A/B", 8),)
    assert close.missed == 0


def test_one_that_follows_another_counts_what_the_list_does_not_have() -> None:
    close = CandleClose("A/B", MINUTE)
    close.go_on_after(2 * MINUTE)

    assert close.settle([row(5)], 6 * MINUTE) == (bar("A/B", 5),)
    assert close.missed == 2
