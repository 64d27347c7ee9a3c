"""Candles as freqtrade's backtest loads them, after every row was looked at.

Problem: freqtrade sorts, merges and fills what it reads without a word, so a broken file changes a result and
nobody knows. Here unsorted rows, contradicting duplicates, missing numbers and impossible prices are one
error with file and row before freqtrade's own trimming and filling touch them.

Not here: where rows are stored (`sources`), the rules themselves (`venues.market_rules`). Invariant: rows
that pass become exactly the frame freqtrade makes of them; identical duplicates are dropped, gaps are filled
with candles without volume.
"""

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from freqtrade.candle_columns import candle_type_is_ohlcv
from freqtrade.configuration import TimeRange
from freqtrade.data.converter import clean_ohlcv_dataframe, trim_dataframe
from freqtrade.data.history.datahandlers.idatahandler import IDataHandler
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exchange import timeframe_to_resample_freq, timeframe_to_seconds
from pandas import DataFrame

from freqtrade_bridge.sources import CandleSource
from parley.errors import DataError
from venues.market_rules import CANDLE_VALUES, Fault, funding_faults, grid_fault, time_faults, value_faults


class CheckedCandles(IDataHandler):
    """freqtrade's reader of candles over any source, which refuses rows that cannot be traded on."""

    def __init__(self, source: CandleSource) -> None:
        self.source = source

    def _ohlcv_load(
        self, pair: str, timeframe: str, timerange: TimeRange | None, candle_type: CandleType
    ) -> DataFrame:
        key = (pair, timeframe, candle_type)
        rows = self.source.read(key, timerange)
        fault = next(iter(_faults(rows, timeframe, candle_type)), None)
        if fault is None:
            return rows
        # The range may have cut rows away; the row number is counted from the file's first.
        whole = self.source.read(key, None)
        fault = next(iter(_faults(whole, timeframe, candle_type)), fault)
        row = int(np.argmax(fault.rows))
        date = whole["date"].iloc[row]
        raise DataError(
            f"{self.source.place(key)}, row {row + 1} ({date:%Y-%m-%d %H:%M}): {fault.expected},"
            f" was {_shown(fault, row)}"
        )

    def ohlcv_load(
        self,
        pair: str,
        timeframe: str,
        candle_type: CandleType,
        *,
        timerange: TimeRange | None = None,
        fill_missing: bool = True,
        drop_incomplete: bool = False,
        startup_candles: int = 0,
        warn_no_data: bool = True,
    ) -> DataFrame:
        """Return a series trimmed, without duplicates and with its gaps filled, as freqtrade's own reader
        does.

        Rows that need neither are returned as they are, which is most of what freqtrade's reader spends.
        """
        # A rate's time may be off by milliseconds, and an incomplete candle is looked for in what was cut.
        if drop_incomplete or candle_type == CandleType.FUNDING_RATE:
            return super().ohlcv_load(
                pair, timeframe, candle_type, timerange=timerange, fill_missing=fill_missing,
                drop_incomplete=drop_incomplete, startup_candles=startup_candles, warn_no_data=False,
            )  # fmt: skip
        wanted = timerange.copy() if timerange else None
        if wanted and startup_candles > 0:
            wanted.subtract_start(timeframe_to_seconds(timeframe) * startup_candles)
        rows = self._ohlcv_load(pair, timeframe, wanted, candle_type)
        if wanted and not rows.empty:
            rows = trim_dataframe(rows, wanted)
        if rows.empty:
            return rows
        if candle_type_is_ohlcv(candle_type) and _is_whole(rows, timeframe):
            return rows.reset_index(drop=True)
        return clean_ohlcv_dataframe(
            rows,
            timeframe,
            pair=pair,
            fill_missing=fill_missing,
            drop_incomplete=False,
            candle_type=candle_type,
        )

    def ohlcv_store(self, pair: str, timeframe: str, data: DataFrame, candle_type: CandleType) -> None:
        """Refuse: a backtest writes no candles."""
        _refuse()

    def ohlcv_append(self, pair: str, timeframe: str, data: DataFrame, candle_type: CandleType) -> None:
        """Refuse: a backtest writes no candles."""
        _refuse()

    def trades_append(self, pair: str, data: DataFrame) -> None:
        """Refuse: a backtest writes no trades."""
        _refuse()

    def _trades_store(self, pair: str, data: DataFrame, trading_mode: TradingMode) -> None:
        _refuse()

    def _trades_load(
        self, pair: str, trading_mode: TradingMode, timerange: TimeRange | None = None
    ) -> DataFrame:
        _refuse()


def _is_whole(rows: DataFrame, timeframe: str) -> bool:
    """Say whether there is one row for every candle of the timeframe's grid, from the first to the last."""
    if not _has_grid(timeframe):
        return False
    step = timeframe_to_seconds(timeframe) * 1000
    dates = rows["date"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    return bool(dates[0] % step == 0 and (np.diff(dates) == step).all())


def _has_grid(timeframe: str) -> bool:
    """Say whether a candle begins every so many seconds since 1970; weeks and months do not."""
    return bool(timeframe_to_resample_freq(timeframe) == f"{timeframe_to_seconds(timeframe)}s")


def _faults(rows: DataFrame, timeframe: str, kind: CandleType) -> list[Fault]:
    if rows.empty:
        return []
    dates = rows["date"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    if kind == CandleType.FUNDING_RATE:
        found = list(funding_faults(dates, rows["funding_rate"].to_numpy()))
    elif candle_type_is_ohlcv(kind):
        values = [rows[name].to_numpy(dtype=np.float64) for name in CANDLE_VALUES]
        # Premium indices are differences, of either sign.
        judged = [] if kind == CandleType.PREMIUMINDEX else list(value_faults(values))
        found = [*time_faults(dates, values), *judged]
        if kind in (CandleType.SPOT, CandleType.FUTURES) and _has_grid(timeframe):
            # Between two candles of the timeframe another one would overlap both.
            found.append(grid_fault(dates, timeframe, timeframe_to_seconds(timeframe) * 1000))
    else:
        found = []
    return [fault for fault in found if fault.rows.any()]


def _shown(fault: Fault, row: int) -> Any:
    values: npt.NDArray[Any] = fault.shown
    return values[row].item() if fault.code not in ("order", "conflict", "timeframe") else "not"


def _refuse() -> NoReturn:
    raise NotImplementedError("the candles of a backtest are only read")
