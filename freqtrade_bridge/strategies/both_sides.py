"""Trade momentum on both sides of a perpetual.

Shows: can_short, signals and tags of shorts, exits by the opposite signal, an ROI that ends in a forced exit.
"""

from typing import ClassVar

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class BothSides(IStrategy):
    """Long when momentum turns up, short when it turns down; whatever is left after six hours is closed."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    can_short = True
    startup_candle_count = 40
    minimal_roi: ClassVar = {"0": 0.02, "180": 0.005, "360": -1}
    stoploss = -0.025

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        lines = ta.MACD(dataframe, fastperiod=12, slowperiod=26, signalperiod=9)
        dataframe["momentum"] = lines["macdhist"]
        dataframe["adx"] = ta.ADX(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        up = dataframe["momentum"] > 0
        turned_up = up & ~up.shift(1, fill_value=True)
        turned_down = ~up & up.shift(1, fill_value=False)
        strong = (dataframe["adx"] > 18) & (dataframe["volume"] > 0)
        dataframe.loc[turned_up & strong, ["enter_long", "enter_tag"]] = (1, "up")
        dataframe.loc[turned_down & strong, ["enter_short", "enter_tag"]] = (1, "down")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        up = dataframe["momentum"] > 0
        dataframe.loc[~up & up.shift(1, fill_value=False), ["exit_long", "exit_tag"]] = (1, "turned")
        dataframe.loc[up & ~up.shift(1, fill_value=True), ["exit_short", "exit_tag"]] = (1, "turned")
        return dataframe
