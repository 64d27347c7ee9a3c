"""Let a strategy look at the candles: indicators and signals, as freqtrade's backtest has them computed.

Problem: a strategy is arbitrary code over frames. It is started once, gets its indicators and then its
signals asked for pair by pair, and what comes back is looked at before a simulation believes it.

Not here: the simulation (`backtest`), callbacks during it (`hooks`). Invariant: frames are as
`advise_all_indicators` and `ft_advise_signals` leave them, neither trimmed nor shifted, with the rows of the
candles they were made of; what the strategy raises is one line naming its file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from freqtrade.data import history
from freqtrade.data.converter import trim_dataframe
from freqtrade.persistence import CustomDataWrapper, PairLocks, Trade
from freqtrade.strategy.interface import IStrategy
from freqtrade.strategy.strategy_validation import StrategyResultValidator
from freqtrade.wallets import Wallets
from pandas import DataFrame, Series, StringDtype, concat

from freqtrade_bridge.faults import strategy_code
from freqtrade_bridge.overrides import overridden_hooks
from freqtrade_bridge.preparing import Prepared
from freqtrade_bridge.settings import pair_specs, simulation_settings
from freqtrade_bridge.tick_sizes import PriceDecimals, as_steps
from parley.errors import UserError
from parley.kernels.settings import PairSpec, SimulationSettings

_PRICES = ("open", "high", "low", "close")
# The columns freqtrade's loop reads, in its order.
_READ = (
    "date", "open", "high", "low", "close", "enter_long", "exit_long", "enter_short", "exit_short",
    "enter_tag", "exit_tag",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Analysed:
    """One strategy, ready to be simulated.

    ``start`` and ``end`` are the first and last candle after warm-up; ``indicators`` the columns each frame
    had before the signals.
    """

    strategy: IStrategy
    frames: dict[str, DataFrame]
    indicators: dict[str, tuple[str, ...]]
    settings: SimulationSettings
    pairs: dict[str, PairSpec]
    start: datetime
    end: datetime


def analyse(prepared: Prepared, strategy: IStrategy, each: Callable[[str], None] | None = None) -> Analysed:
    """Start a strategy and compute its frames; `each` is told of every pair that is done.

    Raises
    ------
    UserError
        When the strategy fails, returns frames that cannot be used, or no candle is left after its warm-up.
    """
    name, file = strategy.get_strategy_name(), strategy.__file__
    _reset(prepared, strategy)
    with strategy_code(name, file, "bot_start"):
        strategy.ft_bot_start()
    indicated: dict[str, DataFrame] = {}
    for pair, candles in prepared.candles.items():
        with strategy_code(name, file, f"populate_indicators of {pair}"):
            indicated[pair] = _indicated(strategy, pair, candles, prepared.price_decimals[pair])
        _check(strategy, "populate_indicators", pair, candles, indicated[pair])
    columns = {pair: tuple(frame.columns) for pair, frame in indicated.items()}
    start, end = _span(prepared, name, indicated)
    prepared.provider.clear_cache()
    # Where no callback and no file asks for indicators again, a year of twenty pairs need not be kept.
    lean = not overridden_hooks(strategy) and prepared.config.get("export") != "signals"
    frames: dict[str, DataFrame] = {}
    for pair in list(indicated):
        frame = indicated[pair]
        with strategy_code(name, file, f"populate_entry_trend or populate_exit_trend of {pair}"):
            signals = strategy.ft_advise_signals(frame, {"pair": pair})
        _check(
            strategy, "populate_entry_trend and populate_exit_trend", pair, prepared.candles[pair], signals
        )
        if not lean:
            prepared.provider._set_cached_df(
                pair, str(prepared.config["timeframe"]), signals, prepared.config["candle_type_def"]
            )
        read = signals if signals.columns.is_unique else _as_read(signals)
        frames[pair] = _lean(read, prepared.candles[pair]) if lean else read
        if lean:
            del indicated[pair], signals
        if each is not None:
            each(pair)
    with strategy_code(name, file, "its attributes"):
        settings = simulation_settings(
            prepared.config, strategy, prepared.exchange, prepared.timerange, prepared.startup, prepared.fee
        )
    steps = {
        pair: as_steps(prepared.price_decimals[pair].steps(candles["date"]))
        for pair, candles in prepared.candles.items()
    }
    specs = pair_specs(frames, prepared.exchange, steps)
    return Analysed(
        strategy=strategy, frames=frames, indicators=columns, settings=settings, pairs=specs, start=start,
        end=end,
    )  # fmt: skip


def _indicated(strategy: IStrategy, pair: str, candles: DataFrame, decimals: PriceDecimals) -> DataFrame:
    # `advise_all_indicators` for one pair, without its copies: pandas copies what a strategy writes to.
    validator = StrategyResultValidator(candles, warn_only=strategy.disable_dataframe_checks)
    seen = candles.copy(deep=False)
    for name, counts in decimals.columns().items():
        seen[name] = counts
    frame: DataFrame = strategy.advise_indicators(seen, {"pair": pair})
    validator.assert_df(frame)
    return frame


def _lean(frame: DataFrame, candles: DataFrame) -> DataFrame:
    # What is read of a frame; dates and prices are the candles' own where the strategy left them alone.
    shared = {name for name in ("date", *_PRICES) if frame[name].equals(candles[name])}
    columns = {
        name: candles[name].array if name in shared else _small(frame[name])
        for name in _READ
        if name in frame.columns
    }
    return DataFrame(columns, index=frame.index, copy=False)


def _small(column: Series) -> Any:
    # A signal fits into a byte; a tag is one of few texts.
    if isinstance(column.dtype, StringDtype):
        return pa.array(column.array).dictionary_encode().to_pandas().array
    values = column.to_numpy()
    if values.dtype == np.float64 and bool(((values == 1) | (values == 0) | np.isnan(values)).all()):
        return (values == 1).view(np.uint8)
    return column.array


def _as_read(frame: DataFrame) -> DataFrame:
    # An older strategy's `buy_tag` becomes a second `enter_tag`. freqtrade picks its columns by name and then
    # reads them by place, so what stands too often pushes the columns after it aside.
    frame = frame.copy(deep=False)
    for name in _READ[5:]:
        if name not in frame.columns:
            frame[name] = None if name.endswith("_tag") else 0
    read = frame[list(_READ)].iloc[:, : len(_READ)]
    read.columns = list(_READ)
    return concat([read, frame.loc[:, ~frame.columns.isin(_READ)]], axis=1)


def _reset(prepared: Prepared, strategy: IStrategy) -> None:
    # Locks, trades and custom data live in classes; what the strategy before this one left there goes.
    PairLocks.reset_locks()
    Trade.reset_trades()
    CustomDataWrapper.reset_custom_data()
    strategy.dp = prepared.provider
    strategy.wallets = Wallets(prepared.config, prepared.exchange, is_backtest=True)
    strategy.order_types["stoploss_on_exchange"] = False


def _check(strategy: IStrategy, doing: str, pair: str, candles: DataFrame, frame: object) -> None:
    about = f"strategy {strategy.get_strategy_name()!r} ({strategy.__file__}): {doing} of {pair}"
    if not isinstance(frame, DataFrame):
        raise UserError(f"{about} must return a DataFrame, returned {type(frame).__name__}")
    if len(frame) != len(candles):
        raise UserError(f"{about} must return {len(candles)} rows, returned {len(frame)}")
    for column in _PRICES:
        if column not in frame.columns:
            raise UserError(f"{about} must keep the column {column!r}, returned {list(frame.columns)[:12]}")
        unusable = ~np.isfinite(frame[column].to_numpy(dtype=np.float64))
        if unusable.any():
            row = int(np.argmax(unusable))
            raise UserError(
                f"{about} must keep finite prices, returned {column} {frame[column].iloc[row]} in row"
                f" {row + 1} ({candles['date'].iloc[row]:%Y-%m-%d %H:%M})"
            )


def _span(prepared: Prepared, name: str, frames: dict[str, DataFrame]) -> tuple[datetime, datetime]:
    trimmed = {
        pair: rows
        for pair, frame in frames.items()
        if not (rows := trim_dataframe(frame, prepared.timerange, startup_candles=prepared.startup)).empty
    }
    if not trimmed:
        longest = max(len(frame) for frame in frames.values())
        raise UserError(
            f"strategy {name!r}: startup_candle_count must leave a candle to trade on, was {prepared.startup}"
            f" of {longest} candles"
        )
    return history.get_timerange(trimmed)
