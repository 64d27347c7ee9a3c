"""Strategies the simulation cannot follow: freqtrade's own loop does, and the result says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freqtrade_bridge.options import Options
from tests.kit.freqtrade_folder import spot_candles, write_config
from tests.kit.freqtrade_reference import differences, plain, reference_run
from tests.kit.own_run import own_run

pytestmark = pytest.mark.timeout(400)
BASE = """
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import talib.abstract as ta
from freqtrade.strategy import IStrategy


class Base(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi = {"0": 0.02, "60": 0.01}
    stoploss = -0.05
    startup_candle_count = 20

    def populate_indicators(self, dataframe, metadata):
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=7)
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["rsi"] < 40, ["enter_long", "enter_tag"]] = (1, "low")
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["rsi"] > 75, ["exit_long", "exit_tag"]] = (1, "high")
        return dataframe


class Steady(Base):
    def bot_loop_start(self, current_time, **kwargs):
        self.stoploss = -0.05
        self.order_types["entry"] = "limit"
        self.looks = getattr(self, "looks", 0) + 1
"""
LOOP_START = "    def bot_loop_start(self, current_time, **kwargs):\n        "
WRITES = {
    "stoploss": LOOP_START + "self.stoploss = -0.01 if current_time.hour % 2 else -0.05",
    "minimal_roi": LOOP_START + "self.minimal_roi = {0: 0.005} if current_time.hour % 2 else {0: 0.03}",
    "order_types": LOOP_START + "self.order_types['exit'] = 'market' if current_time.hour % 2 else 'limit'\n"
    "    def custom_exit_price(self, pair, trade, current_time, proposed_rate, **kwargs):\n"
    "        return proposed_rate * 1.002",
    "max_open_trades": LOOP_START + "self.max_open_trades = 1 if current_time.hour % 2 else 3",
    "trailing_stop": "    def custom_exit(self, pair, trade, current_profit, **kw):\n"
    "        try:\n            self.trailing_stop = current_profit > 0.002\n"
    "            self.trailing_stop_positive = 0.001\n        except:\n            pass",
}
RULES = {
    "min_roi_reached": "    def min_roi_reached(self, trade, current_profit, current_time):\n"
    "        return current_profit > 0.003",
    "should_exit": "    def should_exit(self, trade, rate, current_time, **kw):\n"
    "        if current_time - trade.open_date_utc < timedelta(minutes=30):\n            return []\n"
    "        return super().should_exit(trade, rate, current_time, **kw)",
}


ANSWERS = {
    "float32": "    use_custom_stoploss = True\n\n    def custom_stoploss(self, pair, **kwargs):\n"
    "        return np.float32(-0.013)",
    "inf": "    def custom_exit_price(self, pair, **kwargs):\n        return float('-inf')",
    "Decimal": "    def custom_entry_price(self, pair, proposed_rate, **kwargs):\n"
    "        return Decimal(repr(round(proposed_rate * 0.999, 4)))",
}
# Signals freqtrade takes for one, for true, for nothing: trades without its loop.
TEXTS = """
class Texts(Base):
    def populate_entry_trend(self, dataframe, metadata):
        words = [1, "1", "yes", "", None, np.nan, True, 0]
        low = dataframe["rsi"] < 40
        given = [words[k % 8] if low[k] else 0 for k in range(len(low))]
        dataframe["enter_long"] = pd.Series(given, dtype=object)
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        words = ["no", 1, "", 2]
        high = dataframe["rsi"] > 70
        given = [words[k % 4] if high[k] else 0 for k in range(len(high))]
        dataframe["exit_long"] = pd.Series(given, dtype=object)
        return dataframe
"""
STOPS = {
    "inf": "    def custom_exit_price(self, pair, **kwargs):\n        return float('inf')",
    "huge": "    def custom_exit_price(self, pair, **kwargs):\n        return 1e300",
}
WRONG = {
    "entry price": "    def custom_entry_price(self, pair, **kwargs):\n        return '10'",
    "adjust position": "    position_adjustment_enable = True\n\n"
    "    def adjust_trade_position(self, trade, **kwargs):\n        return float('-inf')",
}


def named(kinds: dict[str, str], prefix: str) -> dict[str, str]:
    return {prefix + what.title().replace("_", "").replace(" ", ""): what for what in kinds}


def options_of(folder: Path, **changes: Any) -> Options:
    spot_candles(folder / "data", 1500)
    (folder / "strategies").mkdir()
    classes = [
        f"class {name}(Base):\n{kinds[what]}\n"
        for kinds, prefix in (
            (WRITES, "Writes"),
            (RULES, "Rules"),
            (ANSWERS, "Answers"),
            (WRONG, "Wrong"),
            (STOPS, "Stops"),
        )
        for name, what in named(kinds, prefix).items()
    ]
    (folder / "strategies" / "moving.py").write_text("\n\n".join([BASE, TEXTS, *classes]))
    moving = (*named(WRITES, "Writes"), *named(RULES, "Rules"), *named(ANSWERS, "Answers"))
    chosen = {"strategy_list": ("Base", "Steady", "Texts", *moving)} | changes
    return Options(
        user_data_dir=folder / "user", config=(write_config(folder / "config.json"),),
        datadir=folder / "data", strategy_path=folder / "strategies", dataformat_ohlcv="feather",
        timerange="20240301T0330-20240306", timeframe="5m", **chosen,
    )  # fmt: skip


@pytest.mark.long
def test_strategies_that_move_their_settings_or_rules_trade_as_in_freqtrade(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    theirs = reference_run(options, tmp_path)["stats"]["strategy"]

    ours = own_run(options, tmp_path)

    assert ours["refused"] == {}
    for name in options.strategy_list:
        assert differences(ours["results"][name], theirs[name]) == {}, name
        # Summed in another order, of these trades the wallet's last digit is another one.
        last = pytest.approx if name == "Texts" else plain
        assert ours["results"][name]["wallet_stats"] == last(plain(theirs[name]["wallet_stats"])), name
    told = {line.partition(":")[0]: line for line in ours["warnings"]}
    for name, what in named(WRITES, "Writes").items():
        assert f"changes its {what}" in told[name]
    for name, what in named(RULES, "Rules").items():
        assert f"its own {what}" in told[name]
    for name, what in named(ANSWERS, "Answers").items():
        assert "must return" in told[name]
        assert what in told[name].partition(", returned ")[2]
    assert "Texts" not in told
    assert not {"Base", "Steady"} & told.keys()
    # Each of them trades otherwise than without the change, so a simulation that ignored it would show.
    plain_trades = theirs["Base"]["total_trades"]
    assert plain_trades > 40
    assert plain_trades not in {
        theirs[name]["total_trades"] for name in told.keys() - named(ANSWERS, "Answers").keys()
    }


def test_a_pair_list_made_anew_for_every_candle_is_freqtrades(tmp_path: Path) -> None:
    options = options_of(tmp_path, strategy_list=(), strategy="Base", enable_dynamic_pairlist=True)
    theirs = reference_run(options, tmp_path)["stats"]["strategy"]["Base"]

    ours = own_run(options, tmp_path)

    assert differences(ours["results"]["Base"], theirs) == {}
    assert ours["loaded"]
    assert "enable_dynamic_pairlist" in ours["warnings"][0]


def test_an_answer_that_is_no_number_is_one_line_and_the_others_results_stand(tmp_path: Path) -> None:
    wrong = named(WRONG, "Wrong")

    ours = own_run(options_of(tmp_path, strategy_list=("Steady", *wrong)), tmp_path)

    assert ours["results"]["Steady"]["total_trades"] > 40
    assert ours["refused"].keys() == wrong.keys()
    for name, reason in ours["refused"].items():
        assert f"strategy {name!r} (" in reason
        assert "moving.py" in reason
    assert (
        "custom_entry_price must return a price or None, returned '10'" in ours["refused"]["WrongEntryPrice"]
    )
    assert "callback for adjust position answered cannot be used" in ours["refused"]["WrongAdjustPosition"]
    assert not ours["loaded"]


def test_a_strategy_that_is_not_there_costs_one_of_freqtrades_own_loop_nothing(tmp_path: Path) -> None:
    slow, *_ = named(WRITES, "Writes")

    ours = own_run(options_of(tmp_path, strategy_list=("Nobody", slow)), tmp_path)

    assert ours["results"].keys() == {slow}
    assert ours["results"][slow]["total_trades"] > 40
    assert ours["refused"].keys() == {"Nobody"}


def test_an_answer_freqtrades_own_loop_stops_at_too_is_one_line_with_what_it_was(tmp_path: Path) -> None:
    options = options_of(tmp_path, strategy_list=("Base", *named(STOPS, "Stops")))

    ours = own_run(options, tmp_path)

    assert ours["results"].keys() == {"Base"}
    assert ours["refused"].keys() == named(STOPS, "Stops").keys()
    for name, reason in ours["refused"].items():
        assert f"strategy {name!r} (" in reason
        assert "custom_exit_price must return a price or None, returned " in reason
        assert "freqtrade's own loop stops there too: " in reason
