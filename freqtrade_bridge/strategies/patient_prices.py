"""Ask for better prices than the market's, and follow the market with an order that is not filled.

Shows: custom_entry_price, custom_exit_price, adjust_entry_price, adjust_exit_price, check_entry_timeout,
check_exit_timeout (and `unfilledtimeout` of the configuration).
"""

from datetime import datetime, timedelta
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Order, Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class PatientPrices(IStrategy):
    """Bid a little below the open and offer a little above it; move once, then give up."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30
    minimal_roi: ClassVar = {"0": 0.03, "60": 0.01}
    stoploss = -0.04

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        low = (dataframe["rsi"] < 40) & (dataframe["volume"] > 0)
        dataframe.loc[low, ["enter_long", "enter_tag"]] = (1, "bid")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["rsi"] > 55, ["exit_long", "exit_tag"]] = (1, "offer")
        return dataframe

    def custom_entry_price(
        self, pair: str, trade: Trade | None, current_time: datetime, proposed_rate: float,
        entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        return proposed_rate * 0.998

    def custom_exit_price(
        self, pair: str, trade: Trade, current_time: datetime, proposed_rate: float, current_profit: float,
        exit_tag: str | None, **kwargs,
    ) -> float:  # fmt: skip
        return proposed_rate * 1.002

    def adjust_entry_price(
        self, trade: Trade, order: Order | None, pair: str, current_time: datetime, proposed_rate: float,
        current_order_rate: float, entry_tag: str | None, side: str, **kwargs,
    ) -> float | None:  # fmt: skip
        if order is not None and current_time - order.order_date_utc >= timedelta(minutes=15):
            return None
        return proposed_rate if proposed_rate > current_order_rate * 1.004 else current_order_rate

    def adjust_exit_price(
        self, trade: Trade, order: Order | None, pair: str, current_time: datetime, proposed_rate: float,
        current_order_rate: float, entry_tag: str | None, side: str, **kwargs,
    ) -> float | None:  # fmt: skip
        return min(current_order_rate, proposed_rate * 1.001)

    def check_entry_timeout(
        self, pair: str, trade: Trade, order: Order, current_time: datetime, **kwargs
    ) -> bool:
        return current_time - order.order_date_utc >= timedelta(minutes=20)

    def check_exit_timeout(
        self, pair: str, trade: Trade, order: Order, current_time: datetime, **kwargs
    ) -> bool:
        return current_time - order.order_date_utc >= timedelta(minutes=30)
