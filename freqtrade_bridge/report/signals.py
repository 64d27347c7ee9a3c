"""The candles on which trades were decided, which `freqtrade backtesting-analysis` reads (`--export
signals`).

Not here: writing them (`files`). Invariant: a trade's candle is the last one strictly before it, with the
columns the strategy's indicators left; a pair without trades has an empty frame.
"""

from collections.abc import Mapping

from freqtrade.data.converter import trim_dataframe
from pandas import DataFrame

from freqtrade_bridge.analysis import Analysed
from freqtrade_bridge.preparing import Prepared


def signal_candles(
    prepared: Prepared, analysed: Analysed, trades: DataFrame
) -> dict[str, dict[str, DataFrame]]:
    """Return the candles before entries (`signals`) and before exits (`exited`), by pair.

    Signals that found no free slot (`rejected`) are counted by the simulation but not listed: none are given.
    """
    seen = {
        pair: trimmed
        for pair, frame in analysed.frames.items()
        if not (trimmed := _trimmed(prepared, frame[list(analysed.indicators[pair])])).empty
    }
    return {
        "signals": _before(seen, trades, "open_date"),
        "rejected": {},
        "exited": _before(seen, trades, "close_date"),
    }


def _trimmed(prepared: Prepared, frame: DataFrame) -> DataFrame:
    trimmed: DataFrame = trim_dataframe(frame, prepared.timerange, startup_candles=prepared.startup)
    return trimmed


def _before(frames: Mapping[str, DataFrame], trades: DataFrame, when: str) -> dict[str, DataFrame]:
    found: dict[str, DataFrame] = {}
    for pair, frame in frames.items():
        moments = trades.loc[trades["pair"] == pair, when]
        places = frame["date"].searchsorted(moments, side="left") - 1
        found[pair] = frame.iloc[places[places >= 0]].infer_objects() if len(moments) else DataFrame()
    return found
