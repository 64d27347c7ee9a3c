"""What a desk says it has of the market."""

from __future__ import annotations

import pytest

from parley.errors import ProtocolError
from parley.messages import Bar, MarketBatch
from runtime.hub_have import Have, read_have

MIN_MS = 60_000
MIN_NS = MIN_MS * 10**6


def bar(symbol: str, n: int) -> Bar:
    return Bar(
        symbol=symbol, tf_ns=MIN_NS, t_open=n * MIN_NS, open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0
    )  # fmt: skip


def batch(step: int, t: int, *bars: Bar) -> MarketBatch:
    return MarketBatch(step=step, t=t, bars=bars, books=(), prints=())


def test_it_follows_the_batches_that_were_admitted_and_comes_over_the_line_whole() -> None:
    have = Have()
    have.take(batch(3, 7 * MIN_NS + 5))
    have.take(batch(4, 9 * MIN_NS, bar("A/B", 7), bar("A/B", 8), bar("C/D", 8)))

    assert (have.step, have.t, have.begun, have.steps, have.candles) == (
        4, 9 * MIN_NS, 7 * MIN_NS + 5, 2, 3
    )  # fmt: skip
    assert have.bars == {"A/B": 8 * MIN_MS, "C/D": 8 * MIN_MS}
    assert read_have(have.text().encode()) == have


def test_last_candle_of_a_symbol_without_one_is_the_one_before_the_desk_began() -> None:
    have = Have()
    assert have.last_bar("A/B", MIN_MS) == -1
    have.take(batch(1, 7 * MIN_NS + 5, bar("C/D", 5)))

    assert have.last_bar("A/B", MIN_MS) == 6 * MIN_MS
    assert have.last_bar("C/D", MIN_MS) == 5 * MIN_MS


def test_two_desks_keep_their_candles_apart() -> None:
    one, other = Have(), Have()
    one.take(batch(1, MIN_NS, bar("A/B", 0)))

    assert other.bars == {}


def test_another_word_is_none_and_an_unreadable_one_is_refused() -> None:
    assert read_have(b"closed:1") is None
    for word in (b"have:", b"have:14", b'have:{"stop":1}'):
        with pytest.raises(ProtocolError, match="have: must say how far the desk is"):
            read_have(word)
