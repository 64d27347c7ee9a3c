"""Buy what fell out of its band and sell it back inside, at a profit or not at all.

Shows: exit_profit_only with offset, ignore_roi_if_entry_signal, a static stop, an ROI table, time in force.
"""

from typing import ClassVar

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class BandReversion(IStrategy):
    """Buy below the lower Bollinger band with a low RSI, sell above the middle if it pays."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 40
    minimal_roi: ClassVar = {"0": 0.015, "120": 0.004}
    stoploss = -0.04
    use_exit_signal = True
    exit_profit_only = True
    exit_profit_offset = 0.001
    ignore_roi_if_entry_signal = True
    order_time_in_force: ClassVar = {"entry": "GTC", "exit": "GTC"}

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        bands = ta.BBANDS(dataframe, timeperiod=20, nbdevup=2.0, nbdevdn=2.0)
        dataframe["lower"], dataframe["middle"] = bands["lowerband"], bands["middleband"]
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        fell = (dataframe["close"] < dataframe["lower"]) & (dataframe["rsi"] < 35)
        dataframe.loc[fell & (dataframe["volume"] > 0), ["enter_long", "enter_tag"]] = (1, "below_band")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["close"] > dataframe["middle"], "exit_long"] = 1
        return dataframe
