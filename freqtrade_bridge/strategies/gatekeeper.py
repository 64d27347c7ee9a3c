"""Decide at the door: look at the wallet, at other trades and at the clock before a trade is opened.

Shows: confirm_trade_entry, bot_start, bot_loop_start, wallets, open trades of the strategy, pair locks of the
strategy's own, the white list, ignored late entries.
"""

from datetime import datetime, timedelta
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class Gatekeeper(IStrategy):
    """Buy dips, but not at night, not twice in an hour, and never with an empty purse."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30
    minimal_roi: ClassVar = {"0": 0.015, "60": 0.005}
    stoploss = -0.03
    ignore_buying_expired_candle_after = 120
    quiet_hours: frozenset[int] = frozenset()

    def bot_start(self, **kwargs) -> None:
        self.quiet_hours = frozenset({0, 1, 2, 3})
        self.is_open = True

    def bot_loop_start(self, current_time: datetime, **kwargs) -> None:
        self.is_open = current_time.hour not in self.quiet_hours

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        dataframe["pairs"] = len(self.dp.current_whitelist())
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        low = (dataframe["rsi"] < 36) & (dataframe["volume"] > 0)
        dataframe.loc[low, ["enter_long", "enter_tag"]] = (1, "dip")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["rsi"] > 60, ["exit_long", "exit_tag"]] = (1, "up_again")
        return dataframe

    def confirm_trade_entry(
        self, pair: str, order_type: str, amount: float, rate: float, time_in_force: str,
        current_time: datetime, entry_tag: str | None, side: str, **kwargs,
    ) -> bool:  # fmt: skip
        if not self.is_open or len(Trade.get_trades_proxy(is_open=True)) >= 2:
            return False
        if (
            self.wallets is not None
            and self.wallets.get_free(self.config["stake_currency"]) < 2 * amount * rate
        ):
            return False
        self.lock_pair(pair, until=current_time + timedelta(hours=1), reason="one_an_hour")
        return True
