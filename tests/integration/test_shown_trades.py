"""What a strategy sees in its trade besides prices is freqtrade's: custom data, kinds, time zones, copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freqtrade_bridge.options import Options
from tests.kit.freqtrade_folder import futures_candles, spot_candles, write_config
from tests.kit.freqtrade_reference import differences, reference_run
from tests.kit.own_run import own_run

pytestmark = pytest.mark.timeout(300)
BASE = """
import copy
from datetime import timedelta

import numpy as np
import talib.abstract as ta
from freqtrade.persistence import LocalTrade, Order, Trade
from freqtrade.strategy import IStrategy


class Base(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi = {"0": 0.03}
    stoploss = -0.05
    startup_candle_count = 20

    def populate_indicators(self, dataframe, metadata):
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=7)
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["rsi"] < 40, ["enter_long", "enter_tag"]] = (1, "low")
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""
EXIT = "    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):\n"
AGE = "        age = current_time - trade.open_date_utc\n"
# Each leaves at another time where what it looks at is not freqtrade's.
LOOKS = {
    "KeyOfAnyCase": AGE + """
        trade.set_custom_data("ageAtFirst", trade.get_custom_data("AgeAtFirst", 0) + 1)
        return "seen" if trade.get_custom_data("AGEATFIRST") > 9 else None""",
    "FreshValue": """
        seen = trade.get_custom_data("seen") or {"peak": current_profit, "candles": 0}
        seen["candles"] += 1
        if current_profit >= seen["peak"]:
            seen["peak"] = current_profit
            trade.set_custom_data("seen", seen)
        return "peak" if seen["peak"] - current_profit > 0.01 or seen["candles"] > 7 else None""",
    "NotForJson": AGE + """
        trade.set_custom_data("at", current_time)
        trade.set_custom_data("count", np.int64(7))
        trade.set_custom_data("pair", ("a", {1: "b"}))
        trade.set_custom_data("ok", np.bool_(True))
        late = trade.get_custom_data("pair") == ["a", {"1": "b"}] and trade.get_custom_data("ok") is True
        kept = trade.get_custom_data("at") or trade.get_custom_data("count", 0)
        return "late" if age > timedelta(minutes=90 if late and not kept else 30) else None""",
    "FirstKindStays": AGE + """
        if age > timedelta(hours=2):
            return "two hours"
        peak = trade.get_custom_data("peak", 0)
        if current_profit > peak or age < timedelta(minutes=20):
            trade.set_custom_data("peak", 0 if age < timedelta(minutes=20) else current_profit)
        return "back" if peak - current_profit > 0.004 else None""",
    "Forgotten": """
        trade.set_custom_data("a", 1)
        trade.set_custom_data("B", (trade.get_custom_data("b") or 0) + 1)
        if trade.get_custom_data("b") % 5 == 0:
            trade.delete_custom_data("A")
        return "five" if trade.get_custom_data("a") is None else None""",
    "IsTrade": """
        order = trade.orders[0]
        mine = isinstance(trade, LocalTrade) and not isinstance(trade, Trade) and isinstance(order, Order)
        return "instance" if mine and current_profit > 0.003 else None""",
    "SameOrder": """
        filled = trade.select_filled_orders()[-1]
        same = filled == trade.orders[-1] and filled in {*trade.orders}
        same = same and trade not in Trade.get_open_trades()
        live = {*Trade.get_open_trades(), *Trade.get_open_trades()}
        same = same and len(live) == Trade.get_open_trade_count() and filled not in [*live][0].orders
        return "same" if same and current_profit > 0.003 else None

    def check_exit_timeout(self, pair, trade, order, current_time, **kwargs):
        return order in trade.orders

    def order_filled(self, pair, trade, order, current_time, **kwargs):
        if order in trade.orders or trade.orders[-1].order_id != order.order_id:
            trade.set_custom_data("never", 1)
            raise ValueError("an order of the copy")""",
    "Enum": AGE + """
        return "old" if age > timedelta(hours=1 if trade.trading_mode.value == "spot" else 3) else None""",
    "UpdateDate": """
        at = max(order.order_update_date for order in trade.orders)
        return "old" if current_time - at > timedelta(hours=1) else None""",
    "AskedOfTrade": """
        count = len(trade.get_trades_proxy(is_open=True)) + trade.get_open_trade_count()
        return f"{count + len(trade.get_open_trades())}" if count > 3 and current_profit > 0.002 else None""",
    "Zones": """
        one, other = trade.open_date.tzinfo, trade.open_date_utc.tzinfo
        told = f"{current_time.tzinfo!r} {one!r} {other!r} {trade.orders[0].order_date!r}"
        return told if current_profit > 0.004 else None""",
    "Printed": """
        # Ids go on from strategy to strategy of a list in freqtrade.
        told = f"{trade}".partition("pair")[2] + str(trade.orders[0]).partition("side")[2]
        return told if current_profit > 0.004 else None""",
}  # fmt: skip
HANDED_OVER = {
    "AllData": """
        trade.set_custom_data("n", (trade.get_custom_data("n") or 0) + 1)
        kept = {each.cd_key: each.value for each in trade.get_all_custom_data()}
        return "ten" if kept["n"] > 10 and not hasattr(trade, "of_my_own") else None""",
    "Copied": """
        mine = copy.deepcopy(trade)
        mine.adjust_stop_loss(current_rate, -0.01)
        return "copy" if mine.stop_loss > current_rate * 0.9899 and current_profit > 0.003 else None""",
    "Caught": """
        try:
            told = trade.to_json()["orders"][0]["ft_order_side"]
        except Exception:
            return None
        return told if current_profit > 0.003 else None""",
}  # fmt: skip
NARROW = {
    "StakeOfFloat32": "    def custom_stake_amount(self, proposed_stake, **kwargs):\n"
    "        return np.float32(proposed_stake / 3)",
    "MoreOfFloat32": "    position_adjustment_enable = True\n\n"
    "    def adjust_trade_position(self, trade, current_time, current_rate, current_profit, **kwargs):\n"
    "        return np.float32(33.3) if current_profit < -0.01 else None",
}
LEVERAGES = {
    "Whole": "return min(5, max_leverage)",
    "Fraction": "return 2.5",
    "One": "return 1",
    "Either": "return 3 if current_rate > 10 else 3.0",
    "Float32": "return np.float32(2.7)",
    "Float64": "return np.float64(2.7)",
}
LEVERED = """
    can_short = True

    def leverage(self, pair, current_time, current_rate, proposed_leverage, max_leverage, **kwargs):
        {answer}

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        return f"at {{trade.leverage}}" if current_profit > 0.004 * trade.leverage else None

    def custom_stake_amount(self, proposed_stake, leverage, **kwargs):
        return proposed_stake / (2 if isinstance(leverage, int) else 1)
"""


def options_of(folder: Path, strategies: dict[str, str], **config: Any) -> Options:
    (folder / "strategies").mkdir()
    classes = [f"class {name}(Base):\n{body}\n" for name, body in strategies.items()]
    (folder / "strategies" / "looks.py").write_text("\n\n".join([BASE, *classes]))
    return Options(
        user_data_dir=folder / "user", config=(write_config(folder / "config.json", **config),),
        datadir=folder / "data", strategy_path=folder / "strategies", dataformat_ohlcv="feather",
        timeframe="5m", strategy_list=tuple(strategies),
    )  # fmt: skip


def compare(options: Options, folder: Path) -> tuple[dict[str, Any], set[str]]:
    """Return freqtrade's figures by strategy, and who was handed over to freqtrade's loop."""
    theirs = reference_run(options, folder)["stats"]["strategy"]
    ours = own_run(options, folder)
    assert ours["refused"] == {}
    wrong = {name: differences(ours["results"][name], theirs[name]) for name in options.strategy_list}
    assert {name: found for name, found in wrong.items() if found} == {}
    return theirs, {line.partition(":")[0] for line in ours["warnings"] if "freqtrade's own loop" in line}


def test_what_a_callback_sees_in_its_trade_is_freqtrades(tmp_path: Path) -> None:
    spot_candles(tmp_path / "data", 240)
    looks = {name: EXIT + body for name, body in (LOOKS | HANDED_OVER).items()}

    theirs, handed_over = compare(options_of(tmp_path, looks | NARROW), tmp_path)

    assert handed_over == {*HANDED_OVER, *NARROW}
    for name in looks:
        reasons = [trade["exit_reason"] for trade in theirs[name]["trades"]]
        assert set(reasons) - {"roi", "stop_loss", "force_exit"}, name


def test_a_leverage_is_kept_as_the_number_it_was(tmp_path: Path) -> None:
    futures_candles(tmp_path / "data", 240)
    strategies = {name: LEVERED.format(answer=answer) for name, answer in LEVERAGES.items()}
    market = {"pair_whitelist": ["AAA/USDT:USDT", "BBB/USDT:USDT"]}

    theirs, handed_over = compare(
        options_of(tmp_path, strategies, trading_mode="futures", margin_mode="isolated", exchange=market),
        tmp_path,
    )

    assert handed_over == {"Either", "Float32", "Float64"}
    assert "at 5" in {trade["exit_reason"] for trade in theirs["Whole"]["trades"]}
