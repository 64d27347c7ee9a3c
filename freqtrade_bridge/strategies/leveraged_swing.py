"""Swing trades on a perpetual with leverage that falls as the market gets wilder.

Shows: leverage, custom_stake_amount with leverage, shorts with a custom stop, position adjustment, funding
and liquidation of both margin modes.
"""

from datetime import datetime
from typing import ClassVar

import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class LeveragedSwing(IStrategy):
    """Long above and short below the slow average, with up to ten times the stake."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    can_short = True
    startup_candle_count = 100
    minimal_roi: ClassVar = {"0": 0.12, "240": 0.04}
    stoploss = -0.25
    use_custom_stoploss = True
    position_adjustment_enable = True
    max_entry_position_adjustment = 1

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=96)
        dataframe["wild"] = ta.NATR(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        above = dataframe["close"] > dataframe["slow"]
        up, down = above & ~above.shift(1, fill_value=True), ~above & above.shift(1, fill_value=False)
        traded = dataframe["volume"] > 0
        dataframe.loc[up & traded, ["enter_long", "enter_tag"]] = (1, "above")
        dataframe.loc[down & traded, ["enter_short", "enter_tag"]] = (1, "below")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def leverage(
        self, pair: str, current_time: datetime, current_rate: float, proposed_leverage: float,
        max_leverage: float, entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        candles, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        wild = candles["wild"].iloc[-1] if len(candles) else 1.0
        return min(max_leverage, 10.0 if wild < 0.15 else 5.0 if wild < 0.4 else 2.0)

    def custom_stake_amount(
        self, pair: str, current_time: datetime, current_rate: float, proposed_stake: float,
        min_stake: float | None, max_stake: float, leverage: float, entry_tag: str | None, side: str,
        **kwargs,
    ) -> float:  # fmt: skip
        return min(max_stake, proposed_stake * (1.2 if side == "long" else 0.8) / max(1.0, leverage / 5))

    def custom_stoploss(
        self, pair: str, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        after_fill: bool, **kwargs,
    ) -> float | None:  # fmt: skip
        return -0.05 * trade.leverage / 2 if current_profit > 0.04 else None

    def adjust_trade_position(
        self, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        min_stake: float | None, max_stake: float, current_entry_rate: float, current_exit_rate: float,
        current_entry_profit: float, current_exit_profit: float, **kwargs,
    ) -> float | tuple[float | None, str | None] | None:  # fmt: skip
        if trade.nr_of_successful_entries == 1 and current_profit < -0.08:
            return trade.stake_amount * 0.5, "add"
        if trade.nr_of_successful_exits == 0 and current_profit > 0.06:
            return -trade.stake_amount * 0.3
        return None
