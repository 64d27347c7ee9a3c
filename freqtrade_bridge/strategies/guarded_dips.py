"""Buy dips, and stop buying when that goes wrong.

Shows: all four protections (with --enable-protections), periods in candles and in minutes, an ROI table.
"""

from typing import Any, ClassVar

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class GuardedDips(IStrategy):
    """Buy a low RSI, sell a high one, and pause after losses."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30
    minimal_roi: ClassVar = {"0": 0.02, "30": 0.01, "90": 0.003}
    stoploss = -0.015
    max_open_trades = 4

    @property
    def protections(self) -> list[dict[str, Any]]:
        return [
            {"method": "CooldownPeriod", "stop_duration_candles": 3},
            {
                "method": "StoplossGuard", "lookback_period_candles": 48, "trade_limit": 2,
                "stop_duration_candles": 12, "only_per_pair": True, "required_profit": 0.0,
            },
            {
                "method": "LowProfitPairs", "lookback_period": 360, "trade_limit": 2,
                "stop_duration": 60, "required_profit": 0.002,
            },
            {
                "method": "MaxDrawdown", "lookback_period_candles": 144, "trade_limit": 5,
                "stop_duration_candles": 24, "max_allowed_drawdown": 0.08,
            },
        ]  # fmt: skip

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        low = (dataframe["rsi"] < 32) & (dataframe["volume"] > 0)
        dataframe.loc[low, ["enter_long", "enter_tag"]] = (1, "dip")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["rsi"] > 65, ["exit_long", "exit_tag"]] = (1, "high_rsi")
        return dataframe
