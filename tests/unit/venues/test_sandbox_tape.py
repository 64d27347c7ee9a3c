"""Prints of a candle, and the displayed book: what must hold for every candle and seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from venues.sandbox.depth import DisplayedBook
from venues.sandbox.instrument import Instrument
from venues.sandbox.tape import Candle, prints_of

MINUTE = 60_000


@st.composite
def candles(draw: st.DrawFn) -> tuple[Instrument, Candle]:
    tick, lot = 10 ** draw(st.integers(0, 8)), 10 ** draw(st.integers(0, 8))
    corners = sorted(draw(st.lists(st.integers(1, 10**6), min_size=4, max_size=4)))
    opened, close = draw(st.permutations(corners[1:3]))
    volume = draw(st.one_of(st.integers(0, 20), st.integers(0, 10**9)))
    instrument = Instrument("AAA", "USDT", tick, lot, 0)
    t = draw(st.integers(0, 10**7)) * MINUTE
    high, low = corners[3] * tick, corners[0] * tick
    return instrument, Candle(t, opened * tick, high, low, close * tick, volume * lot)


@given(candles(), st.integers(0, 2**63), st.integers(1, 30))
def test_prints_make_up_the_candle(market: tuple[Instrument, Candle], seed: int, count: int) -> None:
    instrument, candle = market
    prints = prints_of(instrument, candle, MINUTE, seed, count)

    assert sum(one.qty for one in prints) == candle.volume
    assert all(one.qty > 0 and one.qty % instrument.lot == 0 for one in prints)
    assert all(candle.low <= one.price <= candle.high and one.price % instrument.tick == 0 for one in prints)
    times = [one.t for one in prints]
    assert times == sorted(times)
    assert all(candle.open_ms <= t < candle.open_ms + MINUTE for t in times)
    assert len(prints) == min(count, candle.volume // instrument.lot)
    if len(prints) >= 4:
        prices = [one.price for one in prints]
        assert (prices[0], max(prices), min(prices), prices[-1]) == (
            candle.open, candle.high, candle.low, candle.close)  # fmt: skip
    if prints:
        assert prints[-1].price == candle.close
    assert prints == prints_of(instrument, candle, MINUTE, seed, count)


def test_seed_symbol_and_time_each_matter() -> None:
    one = Instrument("AAA", "USDT", 1, 1, 0)
    other = Instrument("BBB", "USDT", 1, 1, 0)
    candle = Candle(0, 100, 120, 90, 110, 10**6)
    later = Candle(MINUTE, 100, 120, 90, 110, 10**6)
    quantities = {
        tuple(p.qty for p in prints_of(instrument, given_candle, MINUTE, seed, 4))
        for instrument, given_candle, seed in (
            (one, candle, 1),
            (one, candle, 2),
            (other, candle, 1),
            (one, later, 1),
        )
    }

    assert len(quantities) == 4


@given(
    st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 10**9), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 2**32),
    st.integers(1, 25),
)
def test_book_is_its_diffs(steps: list[tuple[int, int, bool]], seed: int, levels: int) -> None:
    instrument = Instrument("AAA", "USDT", 100, 10, 0)
    book = DisplayedBook(instrument, levels, seed)
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    update = book.update_id
    for number, (price, volume, take) in enumerate(steps):
        book.refresh(price * 100, volume * 10, number)
        best = book.best(take)
        if best is not None:
            book.take(take, best[0], best[1])
        changes = book.changes()
        if changes is None:
            continue
        first, last, bids, asks = changes
        assert first == update + 1
        assert last - first + 1 == len(bids) + len(asks)
        update = last
        for side, diff in zip(sides, (bids, asks), strict=True):
            for level, qty in diff:
                if qty:
                    side[level] = qty
                else:
                    del side[level]
        assert sides == (book.bids, book.asks)
        assert all(qty > 0 and qty % 10 == 0 for side in sides for qty in side.values())
        assert all(level > 0 and level % 100 == 0 for side in sides for level in side)
        assert max(sides[0], default=0) < min(sides[1], default=2**62)
        assert list(book.bids) == sorted(book.bids, reverse=True)
        assert list(book.asks) == sorted(book.asks)
    assert book.changes() is None
