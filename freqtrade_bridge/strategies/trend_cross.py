"""Follow a trend: a fast average above a slow one, left by a trailing stop that waits for its offset.

Shows: ROI table, trailing stop with offset, tags of entry and exit, warm-up, plot, annotations and version.
"""

from datetime import datetime, timedelta
from typing import ClassVar

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class TrendCross(IStrategy):
    """Buy the crossing upwards while the slow average rises, sell the crossing downwards."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 60
    minimal_roi: ClassVar = {"0": 0.05, "60": 0.02, "240": 0.008}
    stoploss = -0.06
    trailing_stop = True
    trailing_stop_positive = 0.006
    trailing_stop_positive_offset = 0.012
    trailing_only_offset_is_reached = True
    plot_config: ClassVar[dict] = {"main_plot": {"fast": {}, "slow": {}}}

    def version(self) -> str:
        return "1"

    def plot_annotations(
        self, pair: str, start_date: datetime, end_date: datetime, dataframe: DataFrame, **kwargs
    ) -> list:
        """Shade the first day that is shown."""
        until = min(end_date, start_date + timedelta(days=1))
        return [{"type": "area", "start": start_date, "end": until, "label": "first day"}]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=12)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=48)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        above = dataframe["fast"] > dataframe["slow"]
        crossed = above & ~above.shift(1, fill_value=False)
        rising = dataframe["slow"] > dataframe["slow"].shift(6)
        traded = dataframe["volume"] > 0
        dataframe.loc[crossed & traded, ["enter_long", "enter_tag"]] = (1, "cross")
        dataframe.loc[crossed & rising & traded, ["enter_long", "enter_tag"]] = (1, "cross_rising")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        below = dataframe["fast"] < dataframe["slow"]
        crossed = below & ~below.shift(1, fill_value=False)
        dataframe.loc[crossed, ["exit_long", "exit_tag"]] = (1, "cross_down")
        return dataframe
