"""The candles on which trades were decided, which `freqtrade backtesting-analysis` reads (`--export
signals`).

Not here: writing them (`files`). Invariant: a trade's candle is the last one strictly before it, with the
columns the strategy's indicators left; a pair without trades has an empty frame.
"""

from collections.abc import Iterable, Mapping

from freqtrade.data.converter import trim_dataframe
from pandas import DataFrame, Timestamp

from freqtrade_bridge.analysis import Analysed
from freqtrade_bridge.preparing import Prepared


def signal_candles(
    prepared: Prepared, analysed: Analysed, trades: DataFrame,
    rejected: Iterable[tuple[str, int, str | None]] = (),
) -> dict[str, dict[str, DataFrame]]:  # fmt: skip
    """Return the candles before entries (`signals`) and before exits (`exited`), by pair.

    ``rejected`` are the signals that found no free slot, as (pair, date in ms, tag): their candles are given
    as well.
    """
    seen = {
        pair: trimmed
        for pair, frame in analysed.frames.items()
        if not (trimmed := _trimmed(prepared, frame[list(analysed.indicators[pair])])).empty
    }
    return {
        "signals": _before(seen, trades, "open_date"),
        "rejected": _rejected(seen, rejected),
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


def _rejected(
    frames: Mapping[str, DataFrame], signals: Iterable[tuple[str, int, str | None]]
) -> dict[str, DataFrame]:
    found: dict[str, list[tuple[Timestamp, str | None]]] = {}
    for pair, date_ms, tag in signals:
        found.setdefault(pair, []).append((Timestamp(date_ms, unit="ms", tz="UTC"), tag))
    return {pair: _tagged(frames[pair], pair, of_pair) for pair, of_pair in found.items()}


def _tagged(frame: DataFrame, pair: str, signals: list[tuple[Timestamp, str | None]]) -> DataFrame:
    # A tag the indicators left is not the signal's. Between two candles (detail) there is none to show.
    candles = frame.drop(columns="enter_tag", errors="ignore")
    tagged = candles.merge(DataFrame(signals, columns=["date", "enter_tag"]), on="date").infer_objects()
    tags = tagged.pop("enter_tag")
    return tagged.drop(columns="pair", errors="ignore").assign(pair=pair, enter_tag=tags)
