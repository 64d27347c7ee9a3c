"""Of a contract's marks the newest leaves, counted and not too often; who follows steps waits for them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from parley.messages import Mark, MarketBatch, decode, encode
from runtime.hub_feed import Conflation, Marks, Seen, behind
from tests.kit.message_examples import example

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
SECOND = 10**9


def mark(symbol: str, t: int, px: float = 100.0) -> Mark:
    return Mark(symbol=symbol, t=t, px=px, rate=0.0001, next_funding=8 * 3600 * SECOND)


def has_news(held: Conflation) -> bool:
    return held.has_news


def test_the_newest_mark_of_a_symbol_leaves_and_the_older_are_counted() -> None:
    held = Conflation()
    held.add_mark(mark(ETH, 1))
    held.add_mark(mark(BTC, 1))
    held.add_mark(mark(BTC, 2))
    held.add_mark(mark(BTC, 3))
    assert has_news(held)

    batch = held.take(1, 3)
    assert batch.marks == (mark(BTC, 3), mark(ETH, 1))
    assert batch.skipped == 2
    assert not has_news(held)
    assert held.take(2, 4).marks == ()


def test_a_mark_that_came_too_soon_waits_and_is_no_news() -> None:
    held = Conflation(mark_gap_ns=5 * SECOND)
    held.add_mark(mark(BTC, SECOND))
    assert held.take(1, SECOND).marks == (mark(BTC, SECOND),)

    held.add_mark(mark(BTC, 4 * SECOND))
    held.add_mark(mark(ETH, 4 * SECOND))
    assert held.take(2, 4 * SECOND).marks == (mark(ETH, 4 * SECOND),)
    assert not has_news(held)
    held.add_mark(mark(BTC, 6 * SECOND))
    assert has_news(held)
    batch = held.take(3, 6 * SECOND)
    assert batch.marks == (mark(BTC, 6 * SECOND),)
    assert batch.skipped == 1


@given(
    st.lists(st.tuples(st.sampled_from([BTC, ETH]), st.integers(0, 3 * SECOND), st.booleans()), max_size=40),
    st.integers(0, 5 * SECOND),
)
def test_every_mark_left_or_is_counted_and_two_are_a_gap_apart(
    came: list[tuple[str, int, bool]], gap: int
) -> None:
    held, t, left, skipped = Conflation(mark_gap_ns=gap), 0, list[Mark](), 0
    for n, (symbol, later, is_taken) in enumerate(came):
        t += later
        held.add_mark(mark(symbol, t))
        if is_taken:
            batch = held.take(n, t)
            left += batch.marks
            skipped += batch.skipped
    for symbol in (BTC, ETH):
        times = [each.t for each in left if each.symbol == symbol]
        assert all(b - a >= gap for a, b in pairwise(times))
    for symbol in (BTC, ETH):  # what waits is counted when one follows it
        held.add_mark(mark(symbol, t + gap))
    rest = held.take(99, t + gap)
    assert len(rest.marks) == 2
    assert len(left) + skipped + rest.skipped == len(came)


def test_a_step_waits_for_the_marks_it_announced() -> None:
    wanted = {BTC: Marks(mark=7)}
    assert behind(wanted, {BTC: Seen(mark=6)}) == [f"{BTC} mark: wanted 7, have 6"]
    assert behind(wanted, {BTC: Seen(mark=7)}) == []
    assert behind(wanted, {BTC: Seen(mark=None)}) == []
    assert behind({BTC: Marks()}, {BTC: Seen()}) == []


def test_a_batch_of_before_there_were_marks_is_read_as_one_without() -> None:
    batch = example(MarketBatch)
    assert isinstance(batch, MarketBatch)
    old = MarketBatch(step=batch.step, t=batch.t, books=batch.books)
    raw = encode(old)
    assert raw[0] == 0x9A  # an array of ten: tag, and nine fields
    before = b"\x99" + raw[1:-1]
    assert decode(before) == old
    assert decode(raw) == old
