"""Leave by the clock: an own exit rule, an own profit table, and a veto on leaving in a hurry.

Shows: custom_exit with reasons, custom_roi, confirm_trade_exit.
"""

from datetime import datetime
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class TimedExit(IStrategy):
    """Buy strength, ask for less profit the longer it takes, and give up at the end of the day."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30
    minimal_roi: ClassVar = {"0": 0.08}
    use_custom_roi = True
    stoploss = -0.03

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        dataframe["plus"], dataframe["minus"] = ta.PLUS_DI(dataframe), ta.MINUS_DI(dataframe)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        strong = (dataframe["plus"] > dataframe["minus"]) & (dataframe["rsi"] > 60)
        first = strong & ~strong.shift(1, fill_value=False)
        dataframe.loc[first & (dataframe["volume"] > 0), ["enter_long", "enter_tag"]] = (1, "strength")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["rsi"] < 30, ["exit_long", "exit_tag"]] = (1, "weak")
        return dataframe

    def custom_roi(
        self, pair: str, trade: Trade, current_time: datetime, trade_duration: int, entry_tag: str | None,
        side: str, **kwargs,
    ) -> float | None:  # fmt: skip
        return max(0.002, 0.02 - 0.0001 * trade_duration) if trade_duration >= 15 else None

    def custom_exit(
        self, pair: str, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        **kwargs,
    ) -> str | bool | None:  # fmt: skip
        held = (current_time - trade.open_date_utc).total_seconds() / 3600
        if held >= 12:
            return "half_a_day"
        if held >= 4 and current_profit < -0.01:
            return "gave_up"
        return current_time.hour == 23 and current_time.minute >= 50

    def confirm_trade_exit(
        self, pair: str, trade: Trade, order_type: str, amount: float, rate: float, time_in_force: str,
        exit_reason: str, current_time: datetime, **kwargs,
    ) -> bool:  # fmt: skip
        # A weak signal alone is not obeyed within the first half hour.
        return exit_reason != "weak" or (current_time - trade.open_date_utc).total_seconds() >= 1800
