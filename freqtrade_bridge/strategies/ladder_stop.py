"""Raise the stop in steps as a trade earns, and set it anew when an order fills.

Shows: custom_stoploss with after_fill, stops relative to the entry and to a price, the data provider in a
callback.
"""

from datetime import datetime
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy, stoploss_from_absolute, stoploss_from_open
from pandas import DataFrame


class LadderStop(IStrategy):
    """Buy pullbacks; from one percent on the stop stands half a percent above the entry, and then higher."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 60
    minimal_roi: ClassVar = {"0": 0.06}
    stoploss = -0.05
    use_custom_stoploss = True

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["mean"] = ta.SMA(dataframe, timeperiod=50)
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=7)
        dataframe["range"] = ta.ATR(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        pullback = (dataframe["close"] > dataframe["mean"]) & (dataframe["rsi"] < 30)
        dataframe.loc[pullback & (dataframe["volume"] > 0), ["enter_long", "enter_tag"]] = (1, "pullback")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def custom_stoploss(
        self, pair: str, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        after_fill: bool, **kwargs,
    ) -> float | None:  # fmt: skip
        if after_fill:
            candles, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
            price = trade.open_rate - 4 * candles["range"].iloc[-1]
            return stoploss_from_absolute(price, current_rate, is_short=trade.is_short)
        if current_profit > 0.025:
            return stoploss_from_open(0.015, current_profit, is_short=trade.is_short)
        if current_profit > 0.01:
            return stoploss_from_open(0.005, current_profit, is_short=trade.is_short)
        return None
