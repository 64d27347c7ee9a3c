"""Buy a new high while the leading market rises as well, with market orders.

Shows: informative_pairs and the data provider, market orders, a plain trailing stop, no exit signals.
"""

from typing import ClassVar

from freqtrade.strategy import IStrategy, merge_informative_pair
from pandas import DataFrame


class ChannelBreakout(IStrategy):
    """Buy above the highest high of four hours when the first pair is above its hourly average."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 50
    minimal_roi: ClassVar = {"0": 0.03}
    stoploss = -0.03
    trailing_stop = True
    use_exit_signal = False
    order_types: ClassVar = {
        "entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False,
    }  # fmt: skip

    def informative_pairs(self) -> list:
        return [(self.leader(), "1h")]

    def leader(self) -> str:
        return sorted(self.dp.current_whitelist())[0]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["highest"] = dataframe["high"].rolling(48).max().shift(1)
        hours = self.dp.get_pair_dataframe(self.leader(), "1h")
        hours["mean"] = hours["close"].rolling(8).mean()
        return merge_informative_pair(dataframe, hours, self.timeframe, "1h", ffill=True)

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        broke = dataframe["close"] > dataframe["highest"]
        led = dataframe["close_1h"] > dataframe["mean_1h"]
        dataframe.loc[broke & led & (dataframe["volume"] > 0), ["enter_long", "enter_tag"]] = (1, "new_high")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe
