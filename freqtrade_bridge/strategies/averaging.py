"""Buy more of what fell and sell part of what rose.

Shows: adjust_trade_position both ways with order tags, max_entry_position_adjustment, custom_stake_amount.
"""

from datetime import datetime
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class Averaging(IStrategy):
    """Begin with a third of the stake, add twice on the way down, take half off on the way up."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30
    minimal_roi: ClassVar = {"0": 0.05, "300": 0.01}
    stoploss = -0.12
    position_adjustment_enable = True
    max_entry_position_adjustment = 2

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        low = (dataframe["rsi"] < 33) & (dataframe["volume"] > 0)
        dataframe.loc[low, ["enter_long", "enter_tag"]] = (1, "first_third")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["rsi"] > 72, ["exit_long", "exit_tag"]] = (1, "overbought")
        return dataframe

    def custom_stake_amount(
        self, pair: str, current_time: datetime, current_rate: float, proposed_stake: float,
        min_stake: float | None, max_stake: float, leverage: float, entry_tag: str | None, side: str,
        **kwargs,
    ) -> float:  # fmt: skip
        return proposed_stake / 3

    def adjust_trade_position(
        self, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        min_stake: float | None, max_stake: float, current_entry_rate: float, current_exit_rate: float,
        current_entry_profit: float, current_exit_profit: float, **kwargs,
    ) -> float | tuple[float | None, str | None] | None:  # fmt: skip
        if trade.has_open_orders:
            return None
        if current_profit > 0.015 and trade.nr_of_successful_exits == 0:
            return -trade.stake_amount / 2, "took_half"
        fallen = -0.015 * trade.nr_of_successful_entries
        if current_profit < fallen:
            first = trade.select_filled_orders(trade.entry_side)[0].stake_amount_filled
            return first, f"third_{trade.nr_of_successful_entries + 1}"
        return None
