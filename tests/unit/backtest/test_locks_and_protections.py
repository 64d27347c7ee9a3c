"""Locks and protections on hand-made books of closed trades."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from backtest.errors import NotSupported
from backtest.locks import LockBook, StrategyLocks
from backtest.protections import Closed, Protections
from parley.kernels.settings import ProtectionSettings

MINUTE = 60_000
CANDLE = 5 * MINUTE
NOON = 1_704_110_400_000  # 2024-01-01 12:00 UTC


def closed(*rows: tuple[int, int, float, str]) -> Closed:
    """Trades as (pair, minutes after noon, profit ratio, exit reason)."""
    trades = {
        "pair": np.array([row[0] for row in rows]),
        "close_date": np.array([NOON + row[1] * MINUTE for row in rows]),
        "close_profit": np.array([row[2] for row in rows]),
        "close_profit_abs": np.array([row[2] * 100 for row in rows]),
        "is_short": np.zeros(len(rows), np.int64),
    }
    return Closed(trades, [row[3] for row in rows])


def look(book: Closed, minutes: int, **rule: Any) -> list[tuple[str, int, str | None]]:
    """What a protection locks after the last trade: pair, minutes after noon, reason."""
    locks = LockBook(CANDLE)
    fields = {"lookback_period_min": 60, "stop_duration_min": 30, **rule}
    guard = Protections([ProtectionSettings(**fields)], locks, 1000.0)
    guard.look(book, 0, "A/B", NOON + minutes * MINUTE, False)
    return [(lock.pair, (lock.lock_end_time_ms - NOON) // MINUTE, lock.reason) for lock in locks.all()]


def test_a_lock_ends_with_the_next_candle_after_its_time() -> None:
    book = LockBook(CANDLE)
    assert book.lock("A/B", NOON + 7 * MINUTE, "why", NOON).lock_end_time_ms == NOON + 2 * CANDLE
    assert book.lock("A/B", NOON + 10 * MINUTE, "why", NOON).lock_end_time_ms == NOON + 3 * CANDLE
    assert book.is_locked("A/B", NOON + 14 * MINUTE)
    assert not book.is_locked("A/B", NOON + 15 * MINUTE)
    assert not book.is_locked("C/B", NOON)


def test_an_equal_lock_in_force_is_not_made_twice() -> None:
    book = LockBook(CANDLE)
    book.lock("A/B", NOON + CANDLE, "why", NOON)
    book.lock("A/B", NOON + CANDLE, "why", NOON)
    book.lock("A/B", NOON + CANDLE, "another", NOON)
    assert len(book.all()) == 2


def test_a_lock_of_all_pairs_and_of_one_side_binds() -> None:
    book = LockBook(CANDLE)
    book.lock("*", NOON, "stop", NOON, "long")
    assert book.locked_until("A/B", "long") == NOON + CANDLE
    assert book.locked_until("A/B", "short") == 0
    assert book.is_locked("A/B", NOON, "long")


def test_a_strategys_locks_have_no_simulated_time_and_cannot_be_undone() -> None:
    book = LockBook(CANDLE)
    methods = StrategyLocks(book, CANDLE)
    until = datetime(2024, 1, 1, 12, 7, tzinfo=UTC)
    methods.lock_pair("A/B", until, "after a fill")
    methods.unlock_pair("A/B")
    methods.unlock_reason("after a fill")
    assert [(lock.lock_time_ms, lock.active) for lock in book.all()] == [(0, True)]
    assert not methods.is_pair_locked("A/B")
    assert methods.is_pair_locked("A/B", candle_date=datetime(2024, 1, 1, 12, 0, tzinfo=UTC))


def test_the_computers_clock_is_asked_only_of_locks_that_may_still_be_in_force() -> None:
    book = LockBook(CANDLE)
    methods = StrategyLocks(book, CANDLE, NOON + 10 * CANDLE)
    early = datetime(2024, 1, 1, 12, 7, tzinfo=UTC)
    late = early + timedelta(days=1)
    methods.lock_pair("A/B", early, "x")
    methods.lock_pair("A/B", early, "x")
    methods.lock_pair("A/B", late, "x", "short")
    assert not methods.is_pair_locked("A/B", side="long")
    methods.unlock_pair("A/B")
    methods.unlock_reason("y")
    assert not methods.asked_the_clock

    for ask in (
        lambda: methods.is_pair_locked("A/B", side="short"),
        lambda: methods.lock_pair("A/B", late, "x", "short"),
        lambda: methods.unlock_reason("x"),
    ):
        methods.asked_the_clock = False
        with pytest.raises(NotSupported, match="computer's clock"):
            ask()
        assert methods.asked_the_clock
    assert len(book.all()) == 3


def test_whoever_watches_hears_of_every_change() -> None:
    book = LockBook(CANDLE)
    heard = []
    book.watch(lambda: heard.append(book.locked_until("A/B", "long")))
    book.lock("A/B", NOON, None, NOON)
    book.unlock(lambda lock: lock.pair == "A/B")
    assert heard == [0, NOON + CANDLE, 0]


def test_a_cooldown_counts_from_the_latest_close_of_the_pair() -> None:
    book = closed((0, -10, 0.01, "roi"), (0, 0, 0.01, "roi"), (1, 5, 0.01, "roi"))
    told = "Cooldown period for for 6 candles."
    assert look(book, 5, method="CooldownPeriod", stop_duration_candles=6) == [("A/B", 35, told)]
    assert look(closed((1, 0, 0.01, "roi")), 0, method="CooldownPeriod") == []


def test_low_profit_counts_only_what_lies_in_the_period() -> None:
    rule: dict[str, Any] = {"method": "LowProfitPairs", "trade_limit": 2, "required_profit": 0.01}
    assert look(closed((0, -61, -0.5, "roi"), (0, 0, 0.0, "roi")), 0, **rule) == []
    told = "-0.02 < 0.01 in 60 minutes, locking for 30 minutes."
    assert look(closed((0, -60, 9.9, "x"), (0, -59, -0.03, "x"), (0, 0, 0.01, "x")), 0, **rule) == [
        ("A/B", 35, told.replace("-0.02", str(-0.03 + 0.01)))
    ]


def test_a_stoploss_guard_locks_the_pair_and_then_all() -> None:
    book = closed((0, -5, -0.02, "stop_loss"), (0, 0, -0.02, "liquidation"), (0, 0, 0.02, "roi"))
    rule: dict[str, Any] = {"method": "StoplossGuard", "trade_limit": 2}
    told = "2 stoplosses in 60 min, locking for 30 minutes."
    assert look(book, 0, **rule) == [("A/B", 35, told), ("*", 35, told)]
    assert look(book, 0, **rule, only_per_pair=True) == [("A/B", 35, told)]


@pytest.mark.parametrize(("mode", "drop"), [("ratios", "0.3"), ("equity", "0.0297029702970297")])
def test_a_drawdown_stops_everything(mode: str, drop: str) -> None:
    book = closed((0, -5, 0.1, "roi"), (1, -4, -0.2, "roi"), (0, 0, -0.1, "roi"))
    rule: dict[str, Any] = {"method": "MaxDrawdown", "calculation_mode": mode, "max_allowed_drawdown": 0.01}
    (lock,) = look(book, 0, **rule)
    assert lock[:2] == ("*", 35)
    assert lock[2] is not None
    assert lock[2].startswith(drop[:10])
    assert look(book, 0, **{**rule, "max_allowed_drawdown": 0.5}) == []


def test_unlock_at_is_the_next_such_time_of_day() -> None:
    book = closed((0, 0, 0.01, "roi"))
    assert look(book, 0, method="CooldownPeriod", unlock_at="13:00")[0][1] == 65
    assert look(book, 0, method="CooldownPeriod", unlock_at="11:00")[0][1] == 23 * 60 + 5


def test_trade_that_closed_in_the_past_of_others_hides_none_of_them() -> None:
    """A pair whose candles begin before the others' is behind them for ever."""
    book = closed((0, 10, -0.1, "stop_loss"), (0, 20, -0.1, "stop_loss"), (1, -500, 0.1, "roi"))
    (lock,) = look(book, 20, method="LowProfitPairs", trade_limit=2, required_profit=0.0)
    assert lock[:2] == ("A/B", 55)
