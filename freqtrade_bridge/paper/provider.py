"""freqtrade's data provider where candles come from the market: stored candles end where the run begins.

Not here: the candles it shows (`window`, through the exchange object). Invariant: no stored candle that
opened at or after the begin of the run is ever shown.
"""

from freqtrade.configuration import TimeRange
from freqtrade.constants import Config
from freqtrade.enums import CandleType
from freqtrade.exchange import Exchange, timeframe_to_seconds
from pandas import DataFrame, Timestamp

from freqtrade_bridge.candles import CheckedCandles
from freqtrade_bridge.provider import OfflineDataProvider


class PaperProvider(OfflineDataProvider):
    """freqtrade's data provider of a run that begins at ``begin_ms``."""

    def __init__(self, config: Config, exchange: Exchange, candles: CheckedCandles, begin_ms: int) -> None:
        super().__init__(config, exchange, candles)
        self._begin_ms = begin_ms

    def historic_ohlcv(self, pair: str, timeframe: str, candle_type: str = "") -> DataFrame:
        """Return stored candles from before the run."""
        frame = super().historic_ohlcv(pair, timeframe, candle_type)
        return frame.loc[frame["date"] < Timestamp(self._begin_ms, unit="ms", tz="UTC")].copy()

    def before(self, pair: str, timeframe: str, kind: CandleType, count: int) -> DataFrame:
        """Return at most ``count`` of the last stored candles before the run, none if none are stored."""
        step = timeframe_to_seconds(timeframe)
        end = self._begin_ms // 1000
        span = TimeRange("date", "date", max(1, end - count * step), end)
        frame = self._candles.ohlcv_load(pair, timeframe, kind, timerange=span)
        if frame.empty:
            return frame
        return frame.loc[frame["date"] < Timestamp(self._begin_ms, unit="ms", tz="UTC")]
