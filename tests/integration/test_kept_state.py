"""Strategies that use what freqtrade keeps in its classes, or rank their pairs, beside freqtrade itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.lookahead import check_foresight
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from tests.kit.freqtrade_folder import spot_candles, write_config
from tests.kit.freqtrade_reference import differences, reference_run
from tests.kit.own_run import own_run

pytestmark = pytest.mark.timeout(400)
BASE = """
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import talib.abstract as ta
from freqtrade.persistence import CustomDataWrapper, LocalTrade, PairLocks, Trade
from freqtrade.persistence.pairlock_middleware import PairLocks as Locks
from freqtrade.strategy import IStrategy

taken_off = PairLocks.lock_pair


class Mine(Locks):
    pass


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


class Quiet(Base):
    def confirm_trade_exit(self, pair, current_time, **kwargs):
        self.lock_pair(pair, current_time + timedelta(hours=1), "own")
        self.unlock_pair(pair)
        self.config["of its own"] = self.config.get("of its own", 0) + 1
        return not self.is_pair_locked(pair)
"""
EXIT = "    def confirm_trade_exit(self, pair, trade, current_time, **kwargs):\n        "
ENTRY = "    def confirm_trade_entry(self, pair, current_time, **kwargs):\n        "
LATER = "current_time + timedelta(hours=3)"
# By the name in the warning: what the strategies do.
USES = {
    "PairLocks.lock_pair": {
        "Locks": EXIT + f"Mine.lock_pair(pair, {LATER}, 'x', now=current_time)\n        return True",
        "Swallows": EXIT + f"try:\n            PairLocks.lock_pair(pair, {LATER}, now=current_time)\n"
        "        except:\n            pass\n        return True",
        "Threads": EXIT + "with ThreadPoolExecutor(1) as pool:\n"
        f"            pool.submit(PairLocks.lock_pair, pair, {LATER}, now=current_time).result()\n"
        "        return True",
    },
    "PairLocks.get_pair_locks": {
        "Taken": EXIT + f"taken_off(pair, {LATER}, 'x', now=current_time)\n        return True"
    },
    "PairLocks.is_pair_locked": {
        "Reads": "    @property\n    def protections(self):\n"
        "        return [{'method': 'CooldownPeriod', 'stop_duration_candles': 24}]\n\n"
        + ENTRY + "return not any(\n            PairLocks.is_pair_locked(each, current_time)"
        " for each in self.dp.current_whitelist()\n        )"
    },
    "PairLocks.locks": {
        "Writes": EXIT + f"self.lock_pair(pair, {LATER})\n"
        "        if current_time.hour % 2:\n            PairLocks.locks = []\n        return True"
    },
    "LocalTrade.bt_trades": {"Lists": ENTRY + "return len(LocalTrade.bt_trades) % 3 < 2"},
    "CustomDataWrapper.set_custom_data": {
        "Notes": "    def order_filled(self, pair, trade, order, **kwargs):\n"
        "        CustomDataWrapper.set_custom_data(trade.id, 'seen', 1)\n\n"
        "    def custom_exit(self, pair, trade, current_time, **kwargs):\n"
        "        if trade.get_custom_data('seen') and current_time.minute == 30:\n            return 'seen'"
    },
    "locks pairs while it makes its signals": {
        "Signals": "    def populate_entry_trend(self, dataframe, metadata):\n"
        "        self.lock_pair(metadata['pair'], dataframe['date'].iloc[300].to_pydatetime())\n"
        "        return super().populate_entry_trend(dataframe, metadata)"
    },
    "the computer's clock": {
        "Clock": EXIT + "self.lock_pair(pair, datetime.now(UTC) + timedelta(hours=12), 'x')\n"
        "        return True\n\n" + ENTRY + "self.unlock_reason('x')\n        return True",
        "Asks": EXIT + "self.lock_pair('*', datetime.now(UTC) + timedelta(hours=12), 'x', 'short')\n"
        "        return True\n\n" + ENTRY + "return not self.is_pair_locked(pair, side='short')",
    },
    "its own should_exit": {
        "Instance": "    def bot_start(self, **kwargs):\n        self.should_exit = lambda *a, **k: []"
    },
}  # fmt: skip
TOGETHER = """
class Together(Base):
    def advise_all_indicators(self, data):
        frames = super().advise_all_indicators(data)
        change = pd.DataFrame({p: f.set_index("date")["close"].pct_change(12) for p, f in frames.items()})
        worst = change.fillna(0).idxmin(axis=1)
        for pair, frame in frames.items():
            frame["is_worst"] = (worst == pair).reindex(frame["date"]).to_numpy()
        return frames

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[(dataframe["rsi"] < 40) & dataframe["is_worst"], "enter_long"] = 1
        return dataframe


class Peeks(Base):
    def advise_all_indicators(self, data):
        frames = super().advise_all_indicators(data)
        ahead = frames["AAA/USDT"].set_index("date")["close"].shift(-3)
        for frame in frames.values():
            frame["ahead"] = ahead.reindex(frame["date"]).to_numpy()
        return frames


class Drops(Base):
    def advise_all_indicators(self, data):
        return dict(list(super().advise_all_indicators(data).items())[1:])


class Turns(Base):
    def bot_start(self, **kwargs):
        self.can_short = True


class Stakes(Base):
    def confirm_trade_exit(self, pair, trade, current_time, **kwargs):
        self.config["stake_amount"] = 50 if current_time.hour % 2 else 100
        return True
"""
NAMES = {name: what for what, uses in USES.items() for name in uses}


def options_of(folder: Path, **changes: Any) -> Options:
    spot_candles(folder / "data", 500)
    (folder / "strategies").mkdir()
    classes = [f"class {name}(Base):\n{body}\n" for uses in USES.values() for name, body in uses.items()]
    (folder / "strategies" / "kept.py").write_text("\n\n".join([BASE, *classes, TOGETHER]))
    return Options(
        user_data_dir=folder / "user", config=(write_config(folder / "config.json"),),
        datadir=folder / "data", strategy_path=folder / "strategies", dataformat_ohlcv="feather",
        timerange="20240301T0330-20240306", timeframe="5m", **changes,
    )  # fmt: skip


@pytest.mark.parametrize(
    "uses",
    [
        pytest.param(("Locks", "Reads"), id="few"),
        pytest.param(tuple(NAMES), id="all", marks=pytest.mark.long),
    ],
)
def test_state_that_freqtrade_keeps_counts_as_in_freqtrade(tmp_path: Path, uses: tuple[str, ...]) -> None:
    names = ("Base", "Quiet", *uses, "Together")
    options = options_of(tmp_path, strategy_list=names, enable_protections=True)
    theirs = reference_run(options, tmp_path)["stats"]["strategy"]

    ours = own_run(options, tmp_path)

    assert ours["refused"] == {}
    told = {line.partition(":")[0]: line for line in ours["warnings"]}
    for name in names:
        assert differences(ours["results"][name], theirs[name]) == {}, (name, told.get(name))
    assert told.keys() == set(uses)
    for name in uses:
        assert NAMES[name] in told[name]
    # Each of them trades or locks otherwise than without, so a simulation that ignored it would show.
    plain = theirs["Base"]
    assert plain["total_trades"] > 20
    for name in (*uses, "Together"):
        assert theirs[name]["trades"] != plain["trades"] or theirs[name]["locks"], name


@pytest.mark.long
def test_a_configuration_that_is_changed_counts_as_in_freqtrade(tmp_path: Path) -> None:
    options = options_of(tmp_path, strategy="Stakes")
    theirs = reference_run(options, tmp_path)["stats"]["strategy"]["Stakes"]

    ours = own_run(options, tmp_path)

    assert "changes its configuration" in ours["warnings"][0]
    assert not {"trades", "locks", "final_balance"} & differences(ours["results"]["Stakes"], theirs).keys()
    assert {trade["stake_amount"] > 75 for trade in theirs["trades"]} == {False, True}


def test_indicators_of_all_pairs_together_are_of_all_pairs(tmp_path: Path) -> None:
    ours = own_run(options_of(tmp_path, strategy_list=("Base", "Drops")), tmp_path)

    assert ours["results"].keys() == {"Base"}
    assert "advise_all_indicators must return a frame of each of" in ours["refused"]["Drops"]


@pytest.mark.parametrize(("strategy", "found"), [("Together", set()), ("Peeks", {"ahead"})])
def test_the_fence_shows_a_strategy_that_ranks_its_pairs_all_of_them(
    tmp_path: Path, strategy: str, found: set[str]
) -> None:
    prepared = prepare(options_of(tmp_path, strategy=strategy))

    seen = check_foresight(prepared, analyse(prepared, prepared.strategies[0]), 12)

    assert {bias.column for bias in seen.biases} == found
    assert len(seen.biases) == 3 * len(found)
    assert not seen.unsure


def test_who_may_go_short_is_read_before_the_strategy_starts_as_in_freqtrade(tmp_path: Path) -> None:
    prepared = prepare(options_of(tmp_path, strategy="Turns"))

    assert analyse(prepared, prepared.strategies[0]).settings.can_short is False
