"""Marks name who is late, conflation counts what it drops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.messages import Bar, Book, Print
from runtime.hub_feed import Conflation, Marks, Seen, behind

MINUTE = 60_000
HOUR = 60 * MINUTE * 10**6


def bar(symbol: str, n: int, close: float = 1.0) -> Bar:
    return Bar(
        symbol=symbol, tf_ns=MINUTE * 10**6, t_open=n * MINUTE * 10**6, open=1.0, high=2.0, low=0.5,
        close=close, volume=10.0,
    )  # fmt: skip


def book(symbol: str, seq: int) -> Book:
    return Book(symbol=symbol, t=0, seq=seq, bids=((1.0, 1.0),), asks=((2.0, 1.0),))


def trade(symbol: str, n: int) -> Print:
    return Print(symbol=symbol, t=n, px=1.0, qty=1.0, side=1)


def test_marks_name_the_streams_that_are_late() -> None:
    marks = {"A/B": Marks(candle=10, trade=7, book=None), "C/D": Marks(candle=None, trade=3, book=9)}
    seen = {"A/B": Seen(candle=9, trade=7), "C/D": Seen(candle=0, trade=None, book=8), "E/F": Seen()}

    assert behind(marks, seen) == [
        "A/B candle: wanted 10, have 9",
        "C/D book: wanted 9, have 8",
    ]
    assert behind({}, seen) == []


def test_conflation_keeps_bars_and_gaps_and_the_newest_of_the_rest() -> None:
    held = Conflation(max_prints=2)
    held.add_bars([bar("C/D", 1)])
    held.add_bars([bar("A/B", 1), bar("A/B", 2)])
    held.add_book(book("C/D", 1))
    held.add_book(book("C/D", 2))
    held.add_book(book("A/B", 1))
    held.add_prints("C/D", [trade("C/D", 1), trade("C/D", 2)])
    held.add_prints("C/D", [trade("C/D", 3)])
    held.add_gap("x")
    held.add_gap("x")
    batch = held.take(7, 99 * HOUR, 3)

    assert batch.bars == (bar("A/B", 1), bar("C/D", 1), bar("A/B", 2))
    assert batch.books == (book("A/B", 1), book("C/D", 2))
    assert batch.prints == (trade("C/D", 2), trade("C/D", 3))
    assert (batch.skipped, batch.gaps) == (2, ("x",))
    assert (batch.step, batch.t, batch.fills_due) == (7, 99 * HOUR, 3)
    assert not held.has_news


@given(st.permutations(["A/B", "C/D", "E/F"]))
def test_batch_does_not_depend_on_the_order_of_arrival(symbols: list[str]) -> None:
    held = Conflation()
    for each in symbols:
        held.add_book(book(each, 1))
        held.add_bars([bar(each, 1)])
        held.add_prints(each, [trade(each, 1), trade(each, 2)])
    other = Conflation()
    for each in sorted(symbols):
        other.add_prints(each, [trade(each, 1), trade(each, 2)])
        other.add_bars([bar(each, 1)])
        other.add_book(book(each, 1))

    assert held.take(1, 1) == other.take(1, 1)


@given(st.lists(st.integers(0, 300), max_size=8))
def test_prints_sent_and_skipped_add_up(counts: list[int]) -> None:
    held = Conflation(max_prints=256)
    for count in counts:
        held.add_prints("A/B", [trade("A/B", n) for n in range(count)])
    batch = held.take(1, 1)

    assert len(batch.prints) + batch.skipped == sum(counts)
    assert len(batch.prints) <= 256


def test_a_market_without_a_trade_yet_is_not_waited_for() -> None:
    # candles/dirty QLC/BTC begins with candles of no volume
    marks = {"QLC/BTC": Marks(candle=None, trade=0, book=None)}
    assert behind(marks, {"QLC/BTC": Seen()}) == []
    assert behind({"QLC/BTC": Marks(candle=None, trade=1, book=None)}, {"QLC/BTC": Seen()}) != []


def test_batch_is_of_no_time_before_its_candles_closed() -> None:
    """A hub that follows another one has heard of no time yet when it asks for what was missed."""
    held = Conflation()
    held.add_bars([bar("A/B", 1), bar("A/B", 5)])
    closed = bar("A/B", 6).t_open

    assert held.take(7, closed - 1).t == closed
    assert held.take(8, closed - 1).t == closed - 1, "without candles it is of the time that was heard"


def test_two_batches_with_candles_are_never_of_one_time() -> None:
    held = Conflation()
    held.follow(9 * HOUR)
    times = []
    for n in range(3):
        held.add_bars([bar("A/B", n)])
        times.append(held.take(n, 9 * HOUR).t)
    assert times == [9 * HOUR + 1, 9 * HOUR + 2, 9 * HOUR + 3]
