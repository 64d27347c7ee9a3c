"""Follow the market with every open order by one rule, and size by how much is at stake.

Shows: adjust_order_price for entries and exits, order_filled, custom trade data, time in force.
"""

from datetime import datetime
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Order, Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class ChasedOrders(IStrategy):
    """Bid far below the market, and move every unfilled order half the way back."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30
    minimal_roi: ClassVar = {"0": 0.02, "120": 0.0}
    stoploss = -0.03
    order_time_in_force: ClassVar = {"entry": "PO", "exit": "GTC"}

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["cci"] = ta.CCI(dataframe, timeperiod=20)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        low = (dataframe["cci"] < -120) & (dataframe["volume"] > 0)
        dataframe.loc[low, ["enter_long", "enter_tag"]] = (1, "far_bid")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["cci"] > 120, ["exit_long", "exit_tag"]] = (1, "far_offer")
        return dataframe

    def custom_entry_price(
        self, pair: str, trade: Trade | None, current_time: datetime, proposed_rate: float,
        entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        return proposed_rate * 0.994

    def custom_exit_price(
        self, pair: str, trade: Trade, current_time: datetime, proposed_rate: float, current_profit: float,
        exit_tag: str | None, **kwargs,
    ) -> float:  # fmt: skip
        return proposed_rate * 1.006

    def adjust_order_price(
        self, trade: Trade, order: Order | None, pair: str, current_time: datetime, proposed_rate: float,
        current_order_rate: float, entry_tag: str | None, side: str, is_entry: bool, **kwargs,
    ) -> float | None:  # fmt: skip
        chased = (current_order_rate + proposed_rate) / 2
        return min(chased, proposed_rate) if is_entry else max(chased, proposed_rate)

    def order_filled(self, pair: str, trade: Trade, order: Order, current_time: datetime, **kwargs) -> None:
        filled = trade.get_custom_data("filled", default=0)
        trade.set_custom_data("filled", filled + 1)
