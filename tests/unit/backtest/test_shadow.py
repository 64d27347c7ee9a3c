"""One injected difference between a run and its backtest has the cause it was injected as."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backtest.divergence import CandleChange, Divergence, Fault, Word
from backtest.shadow import compare
from tests.kit.shadow_cases import (
    BEGIN,
    CANDLE,
    FEE,
    MINUTE,
    RULES,
    TERMS,
    a_trade,
    causes,
    entry_of,
    exit_of,
    run,
    words_of,
)

ONE = a_trade()
NEXT = a_trade(30, 40)
OTHER = a_trade(12, 22, "BBB/USDT")
LATER = CANDLE + 7


def only(words: list[Word], **more: object) -> Divergence:
    """Compare a run of `ONE` and `NEXT` and return its one divergence."""
    (found,) = run([ONE, NEXT], [*words, *words_of([NEXT])], **more).divergences  # type: ignore[arg-type]
    return found


def test_run_that_trades_as_simulated_has_no_divergence() -> None:
    trades = [ONE, NEXT, OTHER, a_trade(50, None)]
    compared = run(trades, words_of(trades))
    assert compared.divergences == ()
    assert (compared.entries, compared.exits, compared.mean_slippage_bps) == (4, 3, 0.0)
    assert not compared.is_alarming


@pytest.mark.parametrize(
    ("entry", "cause", "says"),
    [
        ({"t_ms": ONE.opened_ms + LATER}, "latency", "1 candles later"),
        ({"t_ms": ONE.opened_ms + LATER, "filled": 0.0}, "latency", "wanted only at"),
        ({"why": "other"}, "code", "for 'other', the backtest for 'dip'"),
        ({"wanted": 2.0, "granted": 2.0, "filled": 2.0}, "code", "the run stakes 200"),
        ({"granted": 0.5, "filled": 0.5, "lost": "desk", "objection": "risk: over"}, "desk", "risk: over"),
        ({"granted": 0.0, "filled": 0.0, "lost": "desk"}, "desk", "refused the entry"),
        ({"filled": 0.6}, "fill", "0.6 of 1 was filled"),
        ({"filled": 0.0}, "fill", "nothing was filled"),
        ({"price": 100.26}, "fill", "+26.0 bps"),
        ({"price": 99.7}, "fill", "-30.0 bps"),
        ({"fee": 0.002}, "fill", "fee of 0.2000%"),
    ],
)
def test_injected_entry_has_its_cause(entry: dict[str, object], cause: str, says: str) -> None:
    word = entry_of(ONE, **entry)
    left = [exit_of(ONE, wanted=word.filled, granted=word.filled, filled=word.filled)] if word.filled else []
    found = only([word, *left])
    assert (found.cause, found.what, found.t_ms, found.follows) == (cause, "entry", ONE.opened_ms, "")
    assert says in found.sentence


@pytest.mark.parametrize(
    ("left", "cause", "says"),
    [
        ({"t_ms": ONE.closed_ms + LATER}, "latency", "decided only at"),
        ({"why": "panic"}, "code", "for 'panic', the backtest for 'exit_signal'"),
        ({"price": 100.0}, "fill", "+99.0 bps"),
        ({"fee": 0.0}, "fill", "fee of 0.0000%"),
        ({"t_ms": ONE.closed_ms - LATER, "due_ms": ONE.closed_ms - CANDLE}, "code", "the backtest does not"),
        ({"t_ms": ONE.closed_ms - LATER, "is_foreign": True, "why": "flatten"}, "desk", "by itself"),
    ],
)
def test_injected_exit_has_its_cause(left: dict[str, object], cause: str, says: str) -> None:
    found = only([entry_of(ONE), exit_of(ONE, **left)])
    assert (found.cause, found.what, found.follows) == (cause, "exit", "")
    assert says in found.sentence


def test_entry_nobody_says_is_code_unless_something_kept_it_from_being_said() -> None:
    assert only([]).cause == "code"
    fault = Fault("AAA/USDT", ONE.opened_ms, "confirm_trade_entry: ValueError: x")
    assert "ValueError" in only([], faults=[fault]).sentence
    away = Fault("", ONE.opened_ms, "its process was away", "latency")
    assert only([], faults=[away]).cause == "latency"
    in_time = Fault("", ONE.opened_ms + 2 * MINUTE, "its process was away", "latency")
    assert only([], faults=[in_time]).cause == "code"
    unheard = Word(pair="AAA/USDT", side="", t_ms=ONE.opened_ms, due_ms=ONE.opened_ms, lost="desk")
    assert only([unheard]).cause == "desk"


def test_strategy_that_is_not_asked_any_more_is_one_divergence() -> None:
    gone = Fault("", ONE.opened_ms + MINUTE, "ValueError: x, and is not asked any more", until_ms=1 << 62)
    found = run([ONE, OTHER, NEXT], [], faults=[gone])
    assert causes(found) == ["code"]
    assert found.followed == 2


def test_exit_the_desk_refuses_is_one_divergence_however_often_it_is_wanted() -> None:
    tries = [
        exit_of(ONE, t_ms=ONE.closed_ms + n * MINUTE, granted=0.0, filled=0.0, lost="desk") for n in range(12)
    ]
    found = run(
        [ONE, NEXT],
        [entry_of(ONE), *tries, exit_of(ONE, t_ms=ONE.closed_ms + 12 * MINUTE), *words_of([NEXT])],
    )
    assert causes(found) == ["desk"]
    assert {each.follows for each in found.divergences[1:]} == {found.divergences[0].name}
    assert len(found.divergences) == 3  # one for each candle it was wanted in
    assert not found.is_alarming


def test_dust_that_is_left_does_not_keep_a_position_open() -> None:
    sold = exit_of(ONE, wanted=0.995, granted=0.995, filled=0.995)
    assert run([ONE, NEXT], [entry_of(ONE), sold, *words_of([NEXT])]).divergences == ()
    held = exit_of(ONE, wanted=0.9, granted=0.9, filled=0.9)
    assert run([ONE], [entry_of(ONE), held]).divergences != ()


def test_dust_that_was_to_be_sold_keeps_it_open_and_what_cannot_be_entered_follows() -> None:
    most = exit_of(ONE, filled=0.998)
    again = a_trade(22, 26)
    rest = exit_of(ONE, t_ms=ONE.closed_ms + 5 * CANDLE, wanted=0.002, granted=0.002, filled=0.002)
    found = run([ONE, again], [entry_of(ONE), most, rest])
    assert causes(found) == ["fill"]
    assert found.followed == 1


def test_strategy_that_looks_at_its_trades_may_remember_what_was_different() -> None:
    terms = replace(TERMS, remembers=True)
    refused = entry_of(ONE, granted=0.0, filled=0.0, lost="desk")
    assert causes(run([ONE, NEXT], [refused], terms)) == ["desk"]
    assert causes(run([ONE, NEXT], [refused])) == ["desk", "code"]
    assert causes(run([ONE, NEXT], words_of([ONE]), terms)) == ["code"]
    much_later = a_trade(200, 210)
    assert causes(run([ONE, much_later], [refused], terms)) == ["desk", "code"]


def test_slot_that_the_simulation_leaves_in_the_same_candle_is_no_defect() -> None:
    terms = replace(TERMS, max_open_trades=1)
    after = a_trade(20, 25, "BBB/USDT")  # opened in the candle in which `ONE` is closed
    assert causes(run([ONE], words_of([ONE, after]), terms)) == ["fill"]
    assert causes(run([ONE], words_of([ONE, after]))) == ["code"]


def test_small_slippage_is_counted_and_not_told() -> None:
    compared = run([ONE], [entry_of(ONE, price=100.1), exit_of(ONE, price=100.899)])
    assert compared.divergences == ()
    assert compared.mean_slippage_bps == pytest.approx(10.0, rel=1e-6)


def test_what_only_follows_has_the_cause_of_what_it_follows() -> None:
    refused = entry_of(ONE, granted=0.0, filled=0.0, lost="desk")
    again = entry_of(ONE, t_ms=ONE.opened_ms + LATER, due_ms=ONE.opened_ms + CANDLE)
    left = exit_of(ONE, t_ms=ONE.closed_ms + LATER, due_ms=ONE.closed_ms + CANDLE)
    found = run([ONE, NEXT], [refused, again, left, *words_of([NEXT])])
    assert causes(found) == ["desk"]
    assert [each.cause for each in found.divergences] == ["desk", "desk"]
    assert found.divergences[1].follows == found.divergences[0].name


def test_late_entry_takes_its_exit_with_it_but_not_the_next_trade() -> None:
    late = entry_of(ONE, t_ms=ONE.opened_ms + LATER)
    left = exit_of(ONE, t_ms=ONE.closed_ms - LATER, due_ms=ONE.closed_ms - CANDLE, why="roi")
    found = run([ONE, NEXT], [late, left, entry_of(NEXT, why="other"), exit_of(NEXT)])
    assert causes(found) == ["latency", "code"]
    assert found.followed == 1


def test_entry_without_a_free_slot_follows_from_who_took_it() -> None:
    terms = replace(TERMS, max_open_trades=1)
    late = [entry_of(ONE), exit_of(ONE, t_ms=ONE.closed_ms + 3 * CANDLE)]  # due at its close, said later
    follower = a_trade(21, 25, "BBB/USDT")
    found = run([ONE, follower], late, terms)
    assert causes(found) == ["latency"]
    assert [each.pair for each in found.divergences if each.follows] == ["BBB/USDT"]
    assert causes(run([ONE, follower], words_of([ONE]), terms)) == [
        "code"
    ]  # with a slot it was free to say it


def test_what_lies_behind_the_last_candle_is_no_divergence() -> None:
    terms = replace(TERMS, last_ms=NEXT.opened_ms - CANDLE)
    assert run([ONE], words_of([ONE, NEXT]), terms).divergences == ()
    open_ = a_trade(until=None)
    assert (
        run(
            [open_], [entry_of(open_), exit_of(ONE)], replace(TERMS, last_ms=ONE.closed_ms - CANDLE)
        ).divergences
        == ()
    )


# rates beside highs and lows

ROI_RATE = 100 * (1 + FEE) * 1.02 / (1 - FEE)
BY_ROI = a_trade(close_rate=ROI_RATE, exit_reason="roi")
STOPPED = a_trade(close_rate=95.0, exit_reason="stop_loss")


def met(low: float, high: float) -> object:
    return replace(TERMS, rates=lambda pair, begin, end: (low, high))


@pytest.mark.parametrize(
    ("trade", "low", "high", "cause"),
    [
        (BY_ROI, 99.0, 102.4, "fill"),  # nobody bid as much as the candle's high
        (BY_ROI, 99.0, ROI_RATE + 1, "code"),  # it was bid, and the strategy stayed
        (STOPPED, 95.1, 101.0, "fill"),
        (STOPPED, 94.0, 101.0, "code"),
    ],
)
def test_exit_that_rates_did_not_ask_for_is_fill(trade: object, low: float, high: float, cause: str) -> None:
    found = run([trade], [entry_of(trade)], met(low, high))  # type: ignore[list-item, arg-type]
    assert causes(found) == [cause]


@pytest.mark.parametrize(
    ("why", "price", "cause"),
    [
        ("roi", ROI_RATE + 0.01, "fill"),
        ("roi", 101.0, "code"),
        ("stop_loss", 95.0, "fill"),
        ("stop_loss", 97.0, "code"),
    ],
)
def test_exit_that_only_the_run_has_is_fill_if_it_was_due(why: str, price: float, cause: str) -> None:
    early = exit_of(ONE, t_ms=ONE.closed_ms - LATER, due_ms=ONE.closed_ms - CANDLE, why=why, price=price)
    assert causes(run([ONE], [entry_of(ONE), early], met(94.0, 103.0))) == [cause]  # type: ignore[arg-type]


def test_high_of_the_same_candle_moves_no_stop_for_sure() -> None:
    rules = replace(RULES, trailing_stop=True, trailing_stop_positive=0.01)
    trailed = replace(STOPPED, exit_reason="trailing_stop_loss")

    def rates(pair: str, begin: int, end: int) -> tuple[float, float]:
        return (98.0, 104.0) if end > trailed.closed_ms else (99.0, 100.0)

    terms = replace(TERMS, rules=rules, rates=rates)
    assert causes(run([trailed], [entry_of(trailed)], terms)) == ["fill"]
    before = replace(terms, rates=lambda pair, begin, end: (98.0, 104.0))
    assert causes(run([trailed], [entry_of(trailed)], before)) == ["code"]


def test_signal_that_waits_for_a_profit_is_judged_on_rates() -> None:
    waits = replace(RULES, exit_profit_only=True, exit_profit_offset=0.01)
    terms = replace(TERMS, rules=waits, rates=lambda pair, begin, end: (99.0, 101.0))
    early = exit_of(ONE, t_ms=ONE.closed_ms - LATER, due_ms=ONE.closed_ms - 2 * CANDLE, price=102.0)
    said = replace(terms, signals=lambda pair, t: t == ONE.closed_ms - 2 * CANDLE)
    assert causes(run([ONE], [entry_of(ONE), early], said)) == ["fill"]
    assert causes(run([ONE], [entry_of(ONE), early], terms)) == ["code"]  # nothing said to leave
    assert causes(run([ONE], [entry_of(ONE), replace(early, price=100.5)], said)) == ["code"]
    assert causes(run([ONE], [entry_of(ONE)], terms)) == ["fill"]  # 101 is not enough
    same = replace(early, t_ms=ONE.closed_ms - 2 * CANDLE + 9)
    by_roi = replace(ONE, closed_ms=ONE.closed_ms - 2 * CANDLE, exit_reason="roi")
    assert causes(run([by_roi], [entry_of(ONE), same], said)) == ["fill"]
    assert causes(run([by_roi], [entry_of(ONE), same], terms)) == ["code"]
    assert causes(run([ONE], [entry_of(ONE)], replace(TERMS, rates=terms.rates))) == ["code"]


def test_stop_of_the_strategys_own_is_judged_by_its_reason_only() -> None:
    terms = replace(met(94.0, 103.0), rules=replace(RULES, has_own_stop=True))  # type: ignore[type-var]
    early = exit_of(STOPPED, t_ms=STOPPED.closed_ms - LATER, due_ms=-1, price=97.0)
    assert causes(run([STOPPED], [entry_of(STOPPED), early], terms)) == ["fill"]  # type: ignore[arg-type]
    assert causes(run([ONE], [entry_of(ONE), replace(early, why="roi")], terms)) == ["code"]  # type: ignore[arg-type]


def test_rate_met_while_the_candle_closes_is_of_that_candle() -> None:
    at_close = exit_of(STOPPED, t_ms=STOPPED.closed_ms + CANDLE + 20, due_ms=STOPPED.closed_ms)
    assert run([STOPPED], [entry_of(STOPPED), at_close]).divergences == ()
    after = replace(at_close, t_ms=at_close.t_ms + 2 * TERMS.tolerances.boundary_ms)
    assert causes(run([STOPPED], [entry_of(STOPPED), after])) == ["latency"]


def test_two_exits_due_in_one_candle_are_no_defect() -> None:
    stop = exit_of(BY_ROI, why="stop_loss", price=95.0)
    assert causes(run([BY_ROI], [entry_of(BY_ROI), stop])) == ["fill"]


# candles


def test_changed_candle_is_data_and_named() -> None:
    change = CandleChange("AAA/USDT", ONE.opened_ms - CANDLE, "close 5, the reference has 4")
    (found,) = compare([NEXT], [ONE, NEXT], words_of([ONE, NEXT]), TERMS, [change]).divergences
    assert (found.cause, found.pair, found.t_ms) == ("data", "AAA/USDT", ONE.opened_ms)
    assert "close 5, the reference has 4" in found.sentence


def test_what_a_changed_candle_leads_to_follows_until_another_changes() -> None:
    changes = [CandleChange("AAA/USDT", ONE.opened_ms - CANDLE, "x")]
    seen = [ONE, replace(NEXT, exit_reason="roi"), OTHER]
    found = compare([NEXT], seen, words_of(seen), TERMS, changes)
    assert causes(found) == ["data"]
    assert found.followed == 2
    more = [*changes, CandleChange("AAA/USDT", NEXT.opened_ms, "y")]
    assert causes(compare([NEXT], seen, words_of(seen), TERMS, more)) == ["data", "data"]


def test_what_follows_follows_from_its_own_pair_if_that_has_a_cause() -> None:
    again = a_trade(30, 40, "BBB/USDT")
    changes = [CandleChange(pair, BEGIN, "x") for pair in ("AAA/USDT", "BBB/USDT")]
    found = compare([], [ONE, OTHER, again], words_of([ONE, OTHER, again]), TERMS, changes).divergences
    assert [each.follows for each in found] == ["", "", found[1].name]


def test_candle_of_another_pair_is_named_where_no_trade_of_it_differs() -> None:
    change = CandleChange("BTC/USDT", BEGIN, "x")
    (found,) = compare([], [ONE], words_of([ONE]), TERMS, [change]).divergences
    assert found.cause == "data"
    assert "BTC/USDT" in found.sentence


def test_two_backtests_that_differ_on_the_same_candles_are_code() -> None:
    (found,) = compare([], [ONE], words_of([ONE]), TERMS).divergences
    assert found.cause == "code"


def test_three_causes_at_once_are_told_apart() -> None:
    third = a_trade(14, 24, "CCC/USDT")
    words = [
        *words_of([ONE]),
        entry_of(OTHER, t_ms=OTHER.opened_ms + LATER), exit_of(OTHER),
        entry_of(third, price=101.0), exit_of(third),
    ]  # fmt: skip
    change = CandleChange("AAA/USDT", ONE.opened_ms - CANDLE, "x")
    found = compare([OTHER, third], [ONE, OTHER, third], words, TERMS, [change])
    assert [(each.pair, each.cause) for each in found.divergences] == [
        ("AAA/USDT", "data"), ("BBB/USDT", "latency"), ("CCC/USDT", "fill"),
    ]  # fmt: skip
