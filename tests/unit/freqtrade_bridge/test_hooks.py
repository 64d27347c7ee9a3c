"""Callbacks are called as freqtrade calls them: errors become defaults, the future stays hidden."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from freqtrade.persistence import LocalTrade, Trade

from freqtrade_bridge.alone import alone
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.hooks import Faults, strategy_hooks
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import Prepared, prepare
from parley.errors import UserError
from tests.kit.freqtrade_folder import START, spot_candles, write_config

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
ROW = int((NOON - START.to_pydatetime()).total_seconds() // 300)


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
    return hooks[name](**{"pair": "BBB/USDT", "current_time": NOON} | more)


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


def test_an_analysed_frame_ends_with_the_candle_before(prepared: Prepared) -> None:
    # Its own pair and those before it in the list have been looked at in this step, the others have not.
    assert ask(prepared, "custom_exit", lambda: rows(prepared, "BBB/USDT"), **EXIT) == (0, ROW - 1)
    assert ask(prepared, "custom_exit", lambda: rows(prepared, "AAA/USDT"), **EXIT) == (0, ROW - 1)
    assert ask(prepared, "custom_exit", lambda: rows(prepared, "CCC/USDT"), **EXIT) == (0, ROW - 2)


def test_within_a_candle_nothing_more_is_seen(prepared: Prepared) -> None:
    later = NOON + timedelta(minutes=3)

    seen = ask(prepared, "custom_exit", lambda: rows(prepared, "BBB/USDT"), current_time=later, **EXIT)

    assert seen == (0, ROW - 1)


def test_the_start_of_a_step_sees_the_step_before(prepared: Prepared) -> None:
    assert ask(prepared, "bot_loop_start", lambda: rows(prepared, "AAA/USDT")) == (0, ROW - 2)


def test_before_the_first_step_there_is_no_frame(prepared: Prepared) -> None:
    first = START.to_pydatetime() + timedelta(minutes=25)

    assert (
        ask(prepared, "custom_exit", lambda: rows(prepared, "BBB/USDT"), current_time=first, **EXIT) is None
    )


def test_a_question_about_a_trade_names_its_pair(prepared: Prepared) -> None:
    trade = SimpleNamespace(pair="CCC/USDT")
    strategy = prepared.strategies[0]
    strategy.todo = lambda: rows(prepared, "CCC/USDT")
    hooks = strategy_hooks(strategy, prepared.provider, Faults())

    assert hooks["adjust_trade_position"](trade=trade, current_time=NOON) == (0, ROW - 1)


def test_longer_candles_are_shown_once_they_have_closed(prepared: Prepared) -> None:
    def last_hour() -> Any:
        return prepared.provider.get_pair_dataframe("AAA/USDT", "1h")["date"].iloc[-1]

    half = NOON + timedelta(minutes=30)

    assert ask(prepared, "custom_exit", last_hour, current_time=half, **EXIT) == NOON - timedelta(hours=1)


def test_other_trades_and_the_wallet_are_not_answered_wrongly(prepared: Prepared) -> None:
    strategy = prepared.strategies[0]
    before = LocalTrade.bt_trades_open

    with alone(strategy):
        for question in (
            lambda: len(Trade.get_trades_proxy(is_open=True)),
            lambda: Trade.get_open_trade_count() > 2,
            lambda: strategy.wallets.get_free("USDT"),
        ):
            with pytest.raises(UserError, match="which is not supported yet"):
                ask(prepared, "custom_exit", question, **EXIT)

    assert LocalTrade.bt_trades_open is before
    assert strategy.wallets.get_free("USDT") == 1000
