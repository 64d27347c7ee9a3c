"""Whatever trades and however they are disturbed: one cause for each difference, and none without one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from backtest.divergence import CAUSES, CandleChange, Trade, Word
from backtest.shadow import compare
from tests.kit.shadow_cases import BEGIN, CANDLE, TERMS, a_trade, causes, entry_of, exit_of, run, words_of

PAIRS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
ENDLESS = replace(TERMS, max_open_trades=float("inf"))
LATE = CANDLE + 11


@st.composite
def courses(draw: st.DrawFn) -> list[Trade]:
    """Trades of several pairs, those of a pair one after the other, the last open or not."""
    found = []
    for pair in draw(st.sets(st.sampled_from(PAIRS), min_size=1)):
        at = draw(st.integers(0, 5))
        for last in [*([False] * draw(st.integers(0, 6))), True]:
            length = draw(st.integers(3, 20))
            is_open = last and draw(st.booleans())
            rate = draw(st.floats(1, 1000))
            trade = a_trade(at, None if is_open else at + length, pair, open_rate=rate, amount=100 / rate)
            found.append(trade if is_open else replace(trade, close_rate=rate * draw(st.floats(0.9, 1.1))))
            at += length + draw(st.integers(2, 9))
    return found


def disturbed(trade: Trade, how: str) -> list[Word]:
    """Say what a trade says, but for one thing."""
    half = trade.amount / 2
    match how:
        case "latency":
            entry = entry_of(trade, t_ms=trade.opened_ms + LATE)
        case "desk":
            entry = entry_of(trade, granted=half, filled=half, lost="desk")
        case "fill":
            entry = entry_of(trade, price=trade.open_rate * 1.01)
        case "code":
            entry = entry_of(trade, why="another")
        case _:
            entry = entry_of(trade)
    sold = entry.filled
    return [entry, exit_of(trade, wanted=sold, granted=sold, filled=sold)] if trade.is_closed else [entry]


@given(courses())
def test_equal_courses_have_no_divergence(trades: list[Trade]) -> None:
    compared = run(trades, words_of(trades), ENDLESS)
    assert compared.divergences == ()
    assert compared.entries == len(trades)
    assert compared.exits == sum(each.is_closed for each in trades)


@given(courses(), st.data())
def test_each_disturbed_trade_has_the_one_cause_it_was_disturbed_by(
    trades: list[Trade], data: st.DataObject
) -> None:
    hows = data.draw(st.lists(st.sampled_from(["", "latency", "desk", "fill", "code"]), min_size=len(trades),
        max_size=len(trades)))  # fmt: skip
    words = [word for trade, how in zip(trades, hows, strict=True) for word in disturbed(trade, how)]
    found = run(trades, words, ENDLESS)
    told = Counter((each.pair, each.t_ms, each.cause) for each in found.divergences if not each.follows)
    meant = Counter((t.pair, t.opened_ms, how) for t, how in zip(trades, hows, strict=True) if how)
    assert told == meant
    assert found.followed == 0


@given(courses(), st.data())
def test_order_in_which_things_are_given_does_not_matter(trades: list[Trade], data: st.DataObject) -> None:
    words = [
        word
        for trade in trades
        for word in disturbed(trade, data.draw(st.sampled_from(["", "fill", "latency"])))
    ]
    seen = [each for each in trades if data.draw(st.booleans())]
    changes = [CandleChange(pair, BEGIN + n * CANDLE, "x") for pair in PAIRS for n in (1, 30)]
    found = compare(trades, seen, words, TERMS, changes)
    again = [data.draw(st.permutations(each)) for each in (trades, seen, words)]
    shuffled = compare(*again, TERMS, data.draw(st.permutations(changes)))  # type: ignore[arg-type]
    assert found.divergences == shuffled.divergences
    assert sorted(found.slippage_bps) == sorted(shuffled.slippage_bps)


@given(courses(), courses(), courses())
def test_any_three_courses_have_one_cause_for_each_entry_and_exit(
    reference: list[Trade], seen: list[Trade], done: list[Trade]
) -> None:
    found = compare(reference, seen, words_of(done), TERMS)
    of_run = [each for each in found.divergences if not each.sentence.endswith("differ")]
    places = Counter((each.pair, each.t_ms, each.what) for each in of_run)
    assert all(count <= 2 for count in places.values())  # one beside the reference, one beside the run
    names = [each.name for each in found.divergences if not each.follows]
    for each in found.divergences:
        assert each.cause in CAUSES
        assert each.sentence
        assert not each.follows or each.follows in names
    assert len(causes(found)) + found.followed == len(found.divergences)
    # every entry that only one of simulation and run has is told
    ours = {(t.pair, t.opened_ms) for t in seen}
    theirs = {(t.pair, t.opened_ms) for t in done}
    told = {(each.pair, each.t_ms) for each in found.divergences}
    assert ours ^ theirs <= told
