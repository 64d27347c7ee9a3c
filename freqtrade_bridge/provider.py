"""freqtrade's data provider over the candles of a run, which hides what a callback could not have known.

Not here: reading and checking rows (`candles`). Invariant: a frame handed to a callback ends with the last
candle that had closed at the callback's moment, as freqtrade's own frame does at the same point.
"""

from datetime import datetime
from typing import Protocol

from freqtrade.configuration import TimeRange
from freqtrade.constants import Config
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import CandleType
from freqtrade.exchange import Exchange, timeframe_to_seconds
from pandas import DataFrame

from freqtrade_bridge.candles import CheckedCandles
from parley.errors import DataError


class RowsSeen(Protocol):
    """A simulation that knows how far each pair has come."""

    def rows_seen(self, pair: str) -> int:
        """Return how many rows of a pair had their turn, the one under way included; 0 of an unknown one."""


class OfflineDataProvider(DataProvider):
    """freqtrade's data provider, whose history comes from the run's own candles.

    While a simulation runs it shows of a pair as many rows of its analysed frame as had their turn, which
    freqtrade counts.
    """

    def __init__(self, config: Config, exchange: Exchange, candles: CheckedCandles) -> None:
        super().__init__(config, exchange)
        self._candles = candles
        self._history: dict[tuple[str, str, CandleType], DataFrame] = {}
        self._moment: datetime | None = None
        self._rows: RowsSeen | None = None
        self.pair: str | None = None
        """The pair the callback under way is about; None at the beginning of a step."""

    @property
    def timeframe_s(self) -> int:
        """Seconds of a candle of the run."""
        return int(timeframe_to_seconds(str(self._config["timeframe"])))

    def attend(self, rows: RowsSeen | None) -> None:
        """Follow a simulation, or none."""
        self._rows = rows

    def look_from(self, pair: str | None, moment: datetime) -> None:
        """Stand at a pair's candle; without a pair at the end of the whole step."""
        self.pair, self._moment = pair, moment

    def leave(self, end: datetime) -> None:
        """End a simulation; like freqtrade's, the provider goes on hiding what is later."""
        self.pair = self._moment = None
        self._set_dataframe_max_date(end)

    def get_analyzed_dataframe(self, pair: str, timeframe: str) -> tuple[DataFrame, datetime]:
        """Return the last rows of a pair's analysed frame that had closed."""
        seen = 0 if self._rows is None else self._rows.rows_seen(pair)
        if seen:
            self._set_dataframe_max_index(pair, self._config.get("startup_candle_count", 0) + seen)
        found: tuple[DataFrame, datetime] = super().get_analyzed_dataframe(pair, timeframe)
        return found

    def get_pair_dataframe(self, pair: str, timeframe: str | None = None, candle_type: str = "") -> DataFrame:
        """Return candles of any pair and timeframe, in a simulation those that had closed."""
        if self._moment is not None:
            self._set_dataframe_max_date(self._moment)
        return super().get_pair_dataframe(pair, timeframe, candle_type)

    def historic_ohlcv(self, pair: str, timeframe: str, candle_type: str = "") -> DataFrame:
        """Return the candles of the run's time range and of as many before as the strategies ask for."""
        kind = CandleType.from_string(candle_type) if candle_type else self._config["candle_type_def"]
        key = (pair, str(timeframe), kind)
        if key not in self._history:
            asked = self._config.get("timerange")
            timerange = TimeRange.parse_timerange(None if asked is None else str(asked))
            startup = self.get_required_startup(key[1])
            timerange.subtract_start(timeframe_to_seconds(key[1]) * startup)
            rows = self._candles.ohlcv_load(pair, key[1], kind, timerange=timerange)
            if rows.empty:
                place = self._candles.source.place(key)
                raise DataError(
                    f"{place}: there are no {key[1]} candles of {pair}, which the strategy asks for"
                )
            self._history[key] = rows
        return self._history[key].copy()
