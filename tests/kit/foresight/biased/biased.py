"""Strategies that know the future, each in a way of its own: test data of the look-ahead fence.

`PEEKS_AT` names the column that gives each of them away first.
"""

import numpy as np
from pandas import DataFrame, Series
from scipy.signal import argrelextrema, savgol_filter

from tests.kit.foresight.corpus import Corpus


class NextClose(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].shift(-1)


class FarAhead(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].shift(-200)


class CentredMean(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].rolling(11, center=True).mean()


class WholeMean(Corpus):
    def value(self, f: DataFrame) -> Series:
        return Series(f["close"].mean(), index=f.index)


class ScaledByTheWhole(Corpus):
    def value(self, f: DataFrame) -> Series:
        return (f["close"] - f["close"].min()) / (f["close"].max() - f["close"].min()) * f["close"] * 2


class RankInTheWhole(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].rank(pct=True) * f["close"] * 2


class FilledBackwards(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"].where(f.index % 7 == 0).bfill()


class LastPrice(Corpus):
    def value(self, f: DataFrame) -> Series:
        return Series(f["close"].iloc[-1], index=f.index)


class HourBeforeItEnds(Corpus):
    """The close of an hour on its first candle: what an unshifted merge does."""

    def value(self, f: DataFrame) -> Series:
        return f.groupby(f["date"].dt.floor("1h"))["close"].transform("last")


class Turns(Corpus):
    """Lows that are lows only because of what follows."""

    def value(self, f: DataFrame) -> Series:
        lows = np.zeros(len(f))
        lows[argrelextrema(f["low"].to_numpy(), np.less, order=5)[0]] = 1
        return Series(np.where(lows == 1, 0.0, np.inf), index=f.index)


class Smoothed(Corpus):
    def value(self, f: DataFrame) -> Series:
        return Series(savgol_filter(f["close"].to_numpy(), 21, 2), index=f.index)


class Fitted(Corpus):
    def value(self, f: DataFrame) -> Series:
        line = np.polyfit(np.arange(len(f)), f["close"].to_numpy(), 2)
        return Series(np.polyval(line, np.arange(len(f))), index=f.index)


class Backwards(Corpus):
    def value(self, f: DataFrame) -> Series:
        return f["close"][::-1].ewm(span=20).mean()[::-1]


class AboveTheWholesQuantile(Corpus):
    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        volume = dataframe["volume"]
        dataframe.loc[(volume > volume.quantile(0.9)) & (volume > 0), "enter_long"] = 1
        return dataframe


class LeavesInTime(Corpus):
    """Only its exits know."""

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        falls = dataframe["close"].shift(-2) < dataframe["close"] * 0.995
        dataframe.loc[falls, "exit_long"] = 1
        return dataframe


class KnowingTag(Corpus):
    """Trades innocently and tells in its tag what it knows."""

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe = super().populate_entry_trend(dataframe, metadata)
        up = dataframe["close"].shift(-1) > dataframe["close"]
        dataframe["enter_tag"] = np.where(up, "will_rise", "will_not")
        return dataframe


class OneCandle(Corpus):
    """Peeks at a single candle: the one before the largest rise."""

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["enter_long"] = 0
        rise = dataframe["close"].shift(-1) / dataframe["close"]
        dataframe.loc[rise > 1.0125, "enter_long"] = 1
        return dataframe


class NeverTheLast(Corpus):
    """Says nothing of the candle that is the last one: its signals come when it is too late for them."""

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe = super().populate_entry_trend(dataframe, metadata)
        dataframe.loc[dataframe.index[-1], "enter_long"] = 0
        return dataframe


PEEKS_AT = {
    "NextClose": "value", "FarAhead": "value", "CentredMean": "value", "WholeMean": "value",
    "ScaledByTheWhole": "value", "RankInTheWhole": "value", "FilledBackwards": "value", "LastPrice": "value",
    "HourBeforeItEnds": "value", "Turns": "value", "Smoothed": "value", "Fitted": "value",
    "Backwards": "value",
    "AboveTheWholesQuantile": "enter_long", "LeavesInTime": "exit_long", "KnowingTag": "enter_tag",
    "OneCandle": "enter_long", "NeverTheLast": "enter_long",
}  # fmt: skip
