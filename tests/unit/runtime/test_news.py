"""News of an agent from outside: what a newer price made needless is left out, a closed candle never."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from parley.messages import Bar, Book, MarketBatch, Message, Started, decode, encode
from runtime.news import News
from runtime.wave_frames import Mark, Told

BAR = Bar(symbol="A/B", tf_ns=1, t_open=0, open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0)


def book(symbol: str, seq: int) -> Book:
    return Book(symbol=symbol, t=seq, seq=seq, bids=((float(seq), 1.0),), asks=((seq + 1.0, 1.0),))


def told(seq: int, message: Message, *, wants: bool = True) -> Told:
    return Told(seq, seq, seq, wants, msgspec.Raw(encode(message)))


def read(words: list[Told | Mark]) -> tuple[list[Told | Mark], list[int]]:
    left_out: list[int] = []
    news = News(left_out.append)
    for word in words:
        news.put(word)
    found: list[Told | Mark] = []
    while len(found) + len(left_out) < len(words):
        word = news.get()
        assert isinstance(word, Told | Mark)
        found.append(word)
    news.end()
    assert news.get() is None
    return found, left_out


def batch_of(word: Told | Mark) -> MarketBatch:
    assert isinstance(word, Told)
    message = decode(bytes(word.body))
    assert isinstance(message, MarketBatch)
    return message


def test_prices_alone_go_into_the_next_batch() -> None:
    first = MarketBatch(step=1, t=1, books=(book("A/B", 1), book("C/D", 1)), gaps=("x",))
    second = MarketBatch(step=2, t=2, books=(book("A/B", 2),), bars=(BAR,))
    found, left_out = read([told(1, first), told(2, second), told(3, first)])
    assert left_out == [1]
    assert [word.seq for word in found if isinstance(word, Told)] == [2, 3]
    together = batch_of(found[0])
    assert {each.symbol: each.seq for each in together.books} == {"A/B": 2, "C/D": 1}
    assert (together.bars, together.gaps, together.skipped, together.step) == ((BAR,), ("x",), 1, 2)


def test_what_is_only_followed_or_stands_between_is_kept() -> None:
    quiet = MarketBatch(step=1, t=1, books=(book("A/B", 1),))
    other = Started(run_id="r", epoch=1, quote="B", capital=1, t=0)  # type: ignore[arg-type]
    for between in ([told(2, other)], [Mark(1)]):
        found, left_out = read([told(1, quiet), *between, told(3, quiet)])
        assert left_out == []
        assert len(found) == 3
    assert read([told(1, quiet, wants=False), told(2, quiet)])[1] == []
    assert read([told(1, quiet), told(2, quiet, wants=False)])[1] == []


@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from("ABC"), max_size=3)), min_size=1, max_size=12)
)
def test_no_candle_and_no_newest_price_is_ever_lost(kinds: list[tuple[bool, list[str]]]) -> None:
    words: list[Told | Mark] = []
    newest: dict[str, int] = {}
    for n, (closes, symbols) in enumerate(kinds, 1):
        books = tuple(book(symbol, n) for symbol in sorted(set(symbols)))
        newest |= dict.fromkeys(symbols, n)
        words.append(told(n, MarketBatch(step=n, t=n, books=books, bars=(BAR,) if closes else ())))
    found, left_out = read(words)
    seen: dict[str, int] = {}
    for word in found:
        seen |= {each.symbol: each.seq for each in batch_of(word).books}
    assert seen == newest
    assert sum(len(batch_of(word).bars) for word in found) == sum(closes for closes, _ in kinds)
    assert [word.seq for word in found if isinstance(word, Told)] + left_out == sorted(
        [word.seq for word in found if isinstance(word, Told)]
    ) + left_out
