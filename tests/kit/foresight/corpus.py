"""What the strategies of the look-ahead corpus share."""

from typing import ClassVar

from freqtrade.strategy import IStrategy
from pandas import DataFrame, Series


class Corpus(IStrategy):
    """What all of them share: 5 minutes, a stop, entries where `wanted` is 1."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    stoploss = -0.1
    minimal_roi: ClassVar = {"0": 0.02}
    startup_candle_count = 30

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["value"] = self.value(dataframe)
        return dataframe

    def value(self, f: DataFrame) -> Series:
        return f["close"].rolling(10).mean()

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["close"] > dataframe["value"], "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["close"] < dataframe["value"] * 0.99, "exit_long"] = 1
        return dataframe
