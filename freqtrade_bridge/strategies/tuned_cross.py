"""A crossing whose numbers are parameters, with averages of longer candles beside it.

Shows: all five kinds of hyperopt parameters, a parameter file (`tuned_cross.json`, which overrides class and
parameter defaults), @informative of the same pair and of another one, and a protection that is a parameter.
"""

from typing import Any, ClassVar

import talib.abstract as ta
from freqtrade.strategy import (
    BooleanParameter,
    CategoricalParameter,
    DecimalParameter,
    IntParameter,
    IStrategy,
    RealParameter,
    informative,
)
from pandas import DataFrame


class TunedCross(IStrategy):
    """Buy an upward crossing of two averages while the hourly trend of this pair and of bitcoin agree."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 80
    minimal_roi: ClassVar = {"0": 0.5}
    stoploss = -0.5
    process_only_new_candles = True

    buy_fast = IntParameter(5, 30, default=20, space="buy")
    buy_slow = IntParameter(31, 80, default=70, space="buy")
    buy_strength = DecimalParameter(5, 40, decimals=1, default=10.0, space="buy")
    buy_leader = BooleanParameter(default=False, space="buy")
    sell_rsi = RealParameter(50.0, 90.0, default=85.0, space="sell")
    sell_price = CategoricalParameter(["close", "high"], default="high", space="sell")
    protection_pause = IntParameter(1, 20, default=2, space="protection")

    @property
    def protections(self) -> list[dict[str, Any]]:
        return [{"method": "CooldownPeriod", "stop_duration_candles": self.protection_pause.value}]

    @informative("1h")
    def populate_indicators_1h(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["mean"] = dataframe["close"].rolling(6).mean()
        return dataframe

    @informative("1h", "BTC/{stake}")
    def populate_indicators_leader(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["mean"] = dataframe["close"].rolling(6).mean()
        return dataframe

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=self.buy_fast.value)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=self.buy_slow.value)
        dataframe["adx"] = ta.ADX(dataframe, timeperiod=14)
        dataframe["rsi"] = ta.RSI(dataframe[self.sell_price.value], timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        above = dataframe["fast"] > dataframe["slow"]
        entered = above & ~above.shift(1, fill_value=False) & (dataframe["adx"] > self.buy_strength.value)
        entered &= dataframe["close_1h"] > dataframe["mean_1h"]
        if self.buy_leader.value:
            leader = f"btc_{self.config['stake_currency'].lower()}"
            entered &= dataframe[f"{leader}_close_1h"] > dataframe[f"{leader}_mean_1h"]
        dataframe.loc[entered, ["enter_long", "enter_tag"]] = (1, "tuned")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["rsi"] > self.sell_rsi.value, ["exit_long", "exit_tag"]] = (1, "rsi")
        return dataframe
