"""Strategies that know only the past, in ways a careless fence would accuse: test data of the fence."""

import numpy as np
import talib.abstract as ta
from freqtrade.strategy import informative, merge_informative_pair
from pandas import DataFrame, Series
from technical import qtpylib

from tests.kit.foresight.corpus import Corpus


class PlainMean(Corpus):
    pass


class Exponential(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].ewm(span=50).mean()


class Recursive(Corpus):
    """Needs hundreds of candles to settle: its warm-up differs with the window's start, not with its end."""

    def value(self, f: DataFrame) -> Series:
        return ta.EMA(f, timeperiod=300).fillna(0)


class Expanding(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].expanding().mean()


class HighestSoFar(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["high"].cummax() * 0.98


class Yesterday(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].shift(12).ffill()


class SessionVwap(Corpus):
    def value(self, f: DataFrame) -> Series:
        day = f["date"].dt.floor("1D")
        paid = (f["close"] * f["volume"]).groupby(day).cumsum()
        return (paid / f["volume"].groupby(day).cumsum()).ffill()


class HeikinAshi(Corpus):
    def value(self, f: DataFrame) -> Series:
        return qtpylib.heikinashi(f)["close"]


class Many(Corpus):
    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe)
        dataframe["adx"] = ta.ADX(dataframe)
        dataframe["atr"] = ta.ATR(dataframe)
        dataframe["sar"] = ta.SAR(dataframe)
        bands = qtpylib.bollinger_bands(dataframe["close"], window=20, stds=2)
        dataframe["value"] = bands["mid"]
        dataframe["hammer"] = ta.CDLHAMMER(dataframe)
        dataframe["rank"] = dataframe["close"].rolling(100).rank(pct=True)
        dataframe["quantile"] = dataframe["volume"].rolling(50).quantile(0.9)
        return dataframe


class Looping(Corpus):
    """A state that is carried from candle to candle."""

    def value(self, f: DataFrame) -> Series:
        level, levels = float("nan"), []
        for close, high, low in zip(f["close"], f["high"], f["low"], strict=True):
            level = (
                close if level != level else max(level * 0.999, low) if close > level else min(level, high)
            )
            levels.append(level)
        return Series(levels, index=f.index)


class Informed(Corpus):
    @informative("1h")
    def populate_indicators_1h(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["slow"] = dataframe["close"].ewm(span=5).mean()
        return dataframe

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["value"] = dataframe["slow_1h"]
        return dataframe


class InformedByHand(Corpus):
    def informative_pairs(self) -> list:
        return [("BBB/USDT", "1h")]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        other = self.dp.get_pair_dataframe("BBB/USDT", "1h")
        other["mean"] = other["close"].rolling(3).mean()
        dataframe = merge_informative_pair(dataframe, other, self.timeframe, "1h", ffill=True)
        dataframe["value"] = dataframe["close"] * (1 - 0.01 * np.sign(dataframe["mean_1h"].diff()))
        return dataframe


class Tagging(Corpus):
    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        up = dataframe["close"] > dataframe["value"]
        dataframe.loc[up, ["enter_long", "enter_tag"]] = (1, "above")
        dataframe.loc[up & (dataframe["volume"] > 500), "enter_tag"] = "above_loud"
        return dataframe


class Seldom(Corpus):
    """Gives its tag so seldom that a window may have none."""

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        jump = dataframe["close"] / dataframe["close"].shift(1) > 1.0125
        dataframe.loc[jump, ["enter_long", "enter_tag"]] = (1, "jump")
        return dataframe


CLEAN = (
    "PlainMean", "Exponential", "Recursive", "Expanding", "HighestSoFar", "Yesterday", "SessionVwap",
    "HeikinAshi", "Many", "Looping", "Informed", "InformedByHand", "Tagging", "Seldom",
)  # fmt: skip
