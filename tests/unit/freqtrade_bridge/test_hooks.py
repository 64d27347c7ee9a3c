"""Callbacks are called as freqtrade calls them: errors become defaults, the future stays hidden."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from freqtrade.persistence import LocalTrade, PairLocks, Trade

from backtest.shown import Shown
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.asking import asking
from freqtrade_bridge.hooks import Faults, strategy_hooks
from freqtrade_bridge.kept_state import Reached, is_used, reset, unwatched, watched
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import Prepared, prepare
from freqtrade_bridge.provider import OfflineDataProvider
from parley.errors import UserError
from tests.kit.freqtrade_folder import spot_candles, write_config

SOURCE = """
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy

class Asked(IStrategy):
    timeframe = "5m"
    minimal_roi = {"0": 1}
    stoploss = -0.1
    startup_candle_count = 5
    todo = None

    def populate_indicators(self, dataframe, metadata):
        dataframe["row"] = range(len(dataframe))
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe

    def bot_loop_start(self, current_time, **kwargs):
        return self.todo()

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        return self.todo()

    def custom_stake_amount(self, pair, current_time, proposed_stake, **kwargs):
        return self.todo()

    def custom_entry_price(self, pair, trade, current_time, proposed_rate, **kwargs):
        return self.todo()

    def adjust_trade_position(self, trade, current_time, **kwargs):
        return self.todo()
"""
NOON = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)


class Running:
    """A simulation that says what a test wants it to say."""

    def __init__(
        self, rows: dict[str, int] | None = None, opened: list[Any] | None = None,
        closed: list[Any] | None = None, profit: float = 0.0,
        purse: tuple[float, float, float] = (1000.0, 0.0, 1000.0), coins: list[Any] | None = None,
    ) -> None:  # fmt: skip
        self.asking: Callable[[], str | None] = lambda: "nobody"
        self.shown = Shown("spot")
        self.rows, self.opened, self.closed = rows or {}, opened or [], closed or []
        self.profit, self.wallet, self.coins, self.renewed = profit, purse, coins or [], 0

    def rows_seen(self, pair: str) -> int:
        return self.rows.get(pair, 0)

    def open_count(self) -> int:
        return len(self.opened)

    def open_trades(self) -> list[Any]:
        return list(self.opened)

    def closed_trades(self, pair: str | None = None) -> list[Any]:
        return [trade for trade in self.closed if pair in (None, trade.pair)]

    def closed_profit(self) -> float:
        return self.profit

    def purse(self) -> tuple[float, float, float]:
        return self.wallet

    def holdings(self) -> list[Any]:
        return self.coins

    def renew_wallet(self) -> None:
        self.renewed += 1


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    data = spot_candles(tmp_path / "data", 300)
    (tmp_path / "asked.py").write_text(SOURCE)
    config = write_config(tmp_path / "config.json")
    found = prepare(
        Options(
            user_data_dir=tmp_path / "user", config=(config,), datadir=data, strategy="Asked",
            strategy_path=tmp_path,
        )
    )  # fmt: skip
    analyse(found, found.strategies[0])
    return found


def ask(
    prepared: Prepared, name: str, todo: Callable[[], Any], faults: Faults | None = None, **more: Any
) -> Any:
    strategy = prepared.strategies[0]
    strategy.todo = todo
    errors = more.pop("errors", "default")
    hooks = strategy_hooks(strategy, prepared.provider, faults or Faults(), errors)
    about = {} if name == "bot_loop_start" else {"pair": "BBB/USDT"}
    return hooks[name](**{"current_time": NOON} | about | more)


EXIT = {"trade": None, "current_rate": 1.0, "current_profit": 0.0}


def test_only_what_the_strategy_overrides_is_a_hook(prepared: Prepared) -> None:
    hooks = strategy_hooks(prepared.strategies[0], prepared.provider, Faults())

    assert sorted(hooks) == [
        "adjust_trade_position", "bot_loop_start", "custom_entry_price", "custom_exit", "custom_stake_amount",
    ]  # fmt: skip


def test_an_error_answers_freqtrades_default_and_is_counted(prepared: Prepared) -> None:
    faults = Faults()

    def fail() -> None:
        raise KeyError("nothing")

    assert ask(prepared, "custom_exit", fail, faults, **EXIT) is False
    assert ask(prepared, "custom_exit", fail, faults, **EXIT) is False
    assert ask(prepared, "custom_stake_amount", fail, faults, proposed_stake=42.0) == 42.0
    assert ask(prepared, "custom_entry_price", fail, faults, proposed_rate=7.0, trade=None) == 7.0

    first, *_ = faults.lines()
    assert first.startswith("custom_exit raised 2 times, first: KeyError: 'nothing' (")
    assert "asked.py, line 26" in first
    assert faults.counts == {"custom_exit": 2, "custom_stake_amount": 1, "custom_entry_price": 1}


def test_an_error_may_refuse_instead(prepared: Prepared) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(UserError, match="custom_exit failed: ValueError: no"):
        ask(prepared, "custom_exit", fail, errors="refuse", **EXIT)


@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        ("custom_entry_price", float("nan"), "custom_entry_price must return a price or None, returned nan"),
        (
            "custom_stake_amount",
            -3.0,
            r"custom_stake_amount must return a stake of at least 0, returned -3\.0",
        ),
        ("custom_stake_amount", float("nan"), "must return a stake of at least 0, returned nan"),
    ],
)
def test_prices_and_stakes_that_are_none_are_refused(
    prepared: Prepared, name: str, answer: float, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        ask(prepared, name, lambda: answer, proposed_rate=1.0, proposed_stake=1.0, trade=None)


def rows(prepared: Prepared, pair: str) -> tuple[int, int] | None:
    frame, _ = prepared.provider.get_analyzed_dataframe(pair, "5m")
    return None if frame.empty else (int(frame["row"].iloc[0]), int(frame["row"].iloc[-1]))


def test_an_analysed_frame_ends_where_its_pair_has_come_to(prepared: Prepared) -> None:
    running = Running(rows={"AAA/USDT": 7, "BBB/USDT": 6})

    def seen() -> list[tuple[int, int] | None]:
        return [rows(prepared, f"{name}/USDT") for name in ("AAA", "BBB", "CCC")]

    with asking(prepared.strategies[0], prepared.provider) as opened:
        opened(running)
        # Five candles of warm-up; a pair whose first candle has not come shows nothing.
        assert ask(prepared, "custom_exit", seen, **EXIT) == [(0, 11), (0, 10), None]
        assert running.asking() == "BBB/USDT"
        assert ask(prepared, "bot_loop_start", running.asking) is None


def test_a_question_about_a_trade_names_its_pair(prepared: Prepared) -> None:
    trade = SimpleNamespace(pair="CCC/USDT")
    strategy = prepared.strategies[0]
    strategy.todo = lambda: prepared.provider.pair
    hooks = strategy_hooks(strategy, prepared.provider, Faults())

    asked = dict.fromkeys(
        (
            "current_rate", "current_profit", "min_stake", "max_stake", "current_entry_rate",
            "current_exit_rate", "current_entry_profit", "current_exit_profit",
        ),
        1.0,
    )  # fmt: skip

    assert hooks["adjust_trade_position"](trade=trade, current_time=NOON, **asked) == "CCC/USDT"


def test_longer_candles_are_shown_once_they_have_closed(prepared: Prepared) -> None:
    def last_hour() -> Any:
        return prepared.provider.get_pair_dataframe("AAA/USDT", "1h")["date"].iloc[-1]

    half = NOON + timedelta(minutes=30)

    assert ask(prepared, "custom_exit", last_hour, current_time=half, **EXIT) == NOON - timedelta(hours=1)


def held(pair: str, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(pair=pair, open_date=NOON, close_date=None, **more)


def test_questions_about_trades_are_answered_from_the_simulation(prepared: Prepared) -> None:
    strategy = prepared.strategies[0]
    done = [held("AAA/USDT", close_profit_abs=3.0), held("BBB/USDT", close_profit_abs=-1.0)]
    done[1].close_date = NOON + timedelta(hours=1)
    running = Running(opened=[held("BBB/USDT", stake_amount=40.0)], closed=done, profit=2.0)
    before = vars(Trade)["get_trades_proxy"], LocalTrade.bt_trades

    with asking(strategy, prepared.provider) as opened:
        opened(running)
        assert Trade.get_trades_proxy(is_open=True) == LocalTrade.get_open_trades() == running.opened
        assert Trade.get_trades_proxy(is_open=False) == done
        assert Trade.get_trades_proxy() == [*done, *running.opened]
        assert Trade.get_trades_proxy(pair="BBB/USDT") == [done[1], *running.opened]
        assert Trade.get_trades_proxy(close_date=NOON) == [done[1]]
        assert Trade.get_trades_proxy(open_date=NOON) == []
        assert Trade.get_open_trade_count() == 1
        assert Trade.total_open_trades_stakes() == 40.0
        assert Trade.get_total_closed_profit() == 2.0

    assert (vars(Trade)["get_trades_proxy"], LocalTrade.bt_trades) == before
    assert Trade.get_trades_proxy() == []


def test_the_wallet_is_the_simulations(prepared: Prepared) -> None:
    strategy = prepared.strategies[0]
    coins = SimpleNamespace(
        pair="BBB/USDT",
        base_currency="BBB",
        amount=2.0,
        pending=0.5,
        stake=40.0,
        leverage=1.0,
        is_short=False,
    )
    running = Running(opened=[held("BBB/USDT", stake_amount=40.0)], purse=(900.0, 60.0, 960.0), coins=[coins])

    with asking(strategy, prepared.provider) as opened:
        opened(running)
        wallets = strategy.wallets
        assert (wallets.get_free("USDT"), wallets.get_used("USDT"), wallets.get_total("USDT")) == (
            900,
            60,
            960,
        )
        assert (wallets.get_free("BBB"), wallets.get_used("BBB"), wallets.get_total("BBB")) == (1.5, 0.5, 2.0)
        assert wallets.get_free("CCC") == 0
        assert wallets.get_owned("BBB/USDT", "BBB") == 2.0
        assert wallets.get_total_stake_amount() == pytest.approx((900 + 40) * 0.99)
        assert wallets.get_available_stake_amount() == pytest.approx((900 + 40) * 0.99 - 40)
        assert set(wallets.get_all_balances()) == {"BBB", "USDT"}
        wallets.update()
        assert running.renewed == 1

    assert strategy.wallets.get_free("USDT") == 1000


def test_freqtrades_own_lists_are_not_read_empty(prepared: Prepared) -> None:
    before = vars(LocalTrade)["bt_trades"], vars(PairLocks)["lock_pair"]

    with pytest.raises(Reached, match=r"LocalTrade\.bt_trades"), watched():
        ask(prepared, "custom_exit", lambda: len(LocalTrade.bt_trades), **EXIT)

    assert (vars(LocalTrade)["bt_trades"], vars(PairLocks)["lock_pair"]) == before


def test_what_reaches_freqtrades_state_is_told_though_it_is_caught(prepared: Prepared) -> None:
    def quietly() -> bool:
        try:
            return PairLocks.is_pair_locked("AAA/USDT")
        except BaseException:  # noqa: BLE001 - as a strategy may write it
            return False

    with pytest.raises(Reached, match=r"PairLocks\.is_pair_locked"), watched():
        ask(prepared, "custom_exit", quietly, **EXIT)
    with pytest.raises(Reached, match=r"PairLocks\.locks"), watched():
        PairLocks.locks = []
    assert PairLocks.is_pair_locked("AAA/USDT") is False


def in_a_thread(todo: Callable[[], None]) -> None:
    thread = threading.Thread(target=todo)
    thread.start()
    thread.join()


def test_other_threads_have_freqtrades_state_and_only_freqtrades_own_is_not_told() -> None:
    locks: list[object] = []

    def lock(around: AbstractContextManager[None]) -> None:
        with around:
            locks.append(PairLocks.locks)

    with watched():
        in_a_thread(lambda: lock(unwatched()))
    with pytest.raises(Reached, match=r"PairLocks\.locks"), watched():
        in_a_thread(lambda: lock(nullcontext()))

    assert all(each is PairLocks.locks for each in locks)
    assert len(locks) == 2


def test_a_run_that_begins_beside_another_leaves_that_one_watched() -> None:
    def begin() -> None:
        with unwatched():
            PairLocks.lock_pair("AAA/USDT", NOON)
        reset()

    def reach() -> None:
        in_a_thread(begin)
        PairLocks.get_all_locks()

    with pytest.raises(Reached), watched():
        reach()
    assert not is_used()


def test_strategies_of_several_threads_each_ask_their_own_run(prepared: Prepared) -> None:
    strategy = prepared.strategies[0]
    answers: dict[int, list[int]] = {}
    both = threading.Barrier(2)
    before = vars(Trade)["get_trades_proxy"]

    def ask_here(number: int) -> None:
        provider = OfflineDataProvider(prepared.config, prepared.exchange, prepared.provider._candles)
        with asking(copy(strategy), provider) as opened:
            both.wait(10)
            with pytest.raises(UserError, match="a run that nobody opened to it"):
                Trade.get_open_trade_count()
            opened(Running(opened=[held("AAA/USDT")] * number))
            both.wait(10)
            answers[number] = [Trade.get_open_trade_count(), len(Trade.get_trades_proxy())]
            both.wait(10)

    threads = [threading.Thread(target=ask_here, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert answers == {1: [1, 1], 2: [2, 2]}
    assert vars(Trade)["get_trades_proxy"] is before
