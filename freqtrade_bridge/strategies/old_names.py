"""A strategy as they were written years ago.

Shows: the older names of callbacks, columns and settings, and frames that are not checked.
"""

from datetime import datetime, timedelta
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Order, Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class OldNames(IStrategy):
    """Buy when momentum turns up, sell when it turns down."""

    INTERFACE_VERSION = 2
    timeframe = "5m"
    startup_candle_count = 40
    minimal_roi: ClassVar = {"0": 0.02}
    stoploss = -0.02
    use_sell_signal = True
    sell_profit_only = False
    sell_profit_offset = 0.0
    ignore_roi_if_buy_signal = True
    disable_dataframe_checks = True

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["momentum"] = ta.MOM(dataframe, timeperiod=10)
        return dataframe

    def populate_buy_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        up = dataframe["momentum"] > 0
        turned = up & ~up.shift(1, fill_value=True)
        dataframe.loc[turned, ["buy", "buy_tag"]] = (1, "turned_up")
        return dataframe

    def populate_sell_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        up = dataframe["momentum"] > 0
        dataframe.loc[~up & up.shift(1, fill_value=False), "sell"] = 1
        return dataframe

    def custom_sell(
        self, pair: str, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        **kwargs,
    ) -> str | bool | None:  # fmt: skip
        return "two_hours" if current_time - trade.open_date_utc >= timedelta(hours=2) else None

    def check_buy_timeout(
        self, pair: str, trade: Trade, order: Order, current_time: datetime, **kwargs
    ) -> bool:
        return True

    def check_sell_timeout(
        self, pair: str, trade: Trade, order: Order, current_time: datetime, **kwargs
    ) -> bool:
        return False
