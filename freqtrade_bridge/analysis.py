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

import numpy as np
from freqtrade.data import history
from freqtrade.data.converter import trim_dataframe
from freqtrade.strategy.interface import IStrategy
from freqtrade.strategy.strategy_validation import StrategyResultValidator
from freqtrade.wallets import Wallets
from msgspec import structs
from pandas import DataFrame, concat

from freqtrade_bridge.faults import in_one_line, strategy_code
from freqtrade_bridge.kept_state import is_used, reset
from freqtrade_bridge.lean_frames import PRICES, READ, Packed, give_back_memory, lean, pack, unpack
from freqtrade_bridge.overrides import is_own, overridden_hooks
from freqtrade_bridge.preparing import Prepared
from freqtrade_bridge.settings import pair_specs, simulation_settings
from freqtrade_bridge.tick_sizes import PriceDecimals, as_steps, count_decimals
from parley.errors import UserError
from parley.kernels.settings import PairSpec, SimulationSettings


@dataclass(frozen=True, slots=True)
class Analysed:
    """One strategy, ready to be simulated.

    ``start`` and ``end`` are the first and last candle after warm-up; ``indicators`` the columns each frame
    had before the signals; ``asks`` whether the strategy has callbacks, which may ask for any candle;
    ``wrote_state`` whether it locked pairs while it made its signals.
    """

    strategy: IStrategy
    frames: dict[str, DataFrame]
    indicators: dict[str, tuple[str, ...]]
    settings: SimulationSettings
    pairs: dict[str, PairSpec]
    start: datetime
    end: datetime
    asks: bool
    wrote_state: bool = False


def analyse(prepared: Prepared, strategy: IStrategy, each: Callable[[str], None] | None = None) -> Analysed:
    """Start a strategy and compute its frames; `each` is told of every pair that is done.

    Raises
    ------
    UserError
        When the strategy fails, returns frames that cannot be used, or no candle is left after its warm-up.
    """
    name, file = strategy.get_strategy_name(), strategy.__file__
    _reset(prepared, strategy)
    can_short = bool(strategy.can_short)  # freqtrade reads it here, and not again
    with strategy_code(name, file, "bot_start"):
        strategy.ft_bot_start()
    # Where no callback and no file asks for indicators again, a year of twenty pairs need not be kept.
    is_lean = not overridden_hooks(strategy) and prepared.config.get("export") != "signals"
    together = _indicated_together(prepared, strategy) if ranks_pairs(strategy) else None
    indicated: dict[str, DataFrame | Packed] = {}
    decimals: dict[str, PriceDecimals] = {}
    dates: dict[str, DataFrame] = {}
    columns: dict[str, tuple[str, ...]] = {}
    for pair, candles in prepared.candles.items():
        decimals[pair] = count_decimals(candles)
        seen = _seen(candles, decimals[pair])
        with strategy_code(name, file, f"populate_indicators of {pair}"):
            frame = (
                together.pop(pair) if together else _indicated(strategy, pair, candles, seen.copy(deep=False))
            )
        _check(strategy, "populate_indicators", pair, candles, frame)
        columns[pair], dates[pair] = tuple(frame.columns), frame[["date"]]
        indicated[pair] = pack(frame, seen) if is_lean else frame
    del frame, seen
    start, end = _span(prepared, name, dates)
    steps = {
        pair: as_steps(decimals[pair].steps(candles["date"])) for pair, candles in prepared.candles.items()
    }
    # As freqtrade: what indicators were computed with is forgotten, what comes with the signals stays.
    prepared.provider.clear_cache()
    reset()
    frames: dict[str, DataFrame] = {}
    for pair, candles in prepared.candles.items():
        kept, counted = indicated.pop(pair), decimals.pop(pair)
        frame = unpack(kept, _seen(candles, counted)) if isinstance(kept, Packed) else kept
        with strategy_code(name, file, f"populate_entry_trend or populate_exit_trend of {pair}"):
            signals = strategy.ft_advise_signals(frame, {"pair": pair})
        _check(strategy, "populate_entry_trend and populate_exit_trend", pair, candles, signals)
        if not is_lean:
            prepared.provider._set_cached_df(
                pair, str(prepared.config["timeframe"]), signals, prepared.config["candle_type_def"]
            )
        read = signals if signals.columns.is_unique else _as_read(signals)
        frames[pair] = lean(read, candles) if is_lean else read
        if each is not None:
            each(pair)
    del frame, kept, signals, read
    give_back_memory()
    with strategy_code(name, file, "its attributes"):
        settings = simulation_settings(
            prepared.config, strategy, prepared.exchange, prepared.timerange, prepared.startup, prepared.fee
        )
    settings = structs.replace(settings, can_short=can_short)
    specs = pair_specs(frames, prepared.exchange, steps)
    return Analysed(
        strategy=strategy, frames=frames, indicators=columns, settings=settings, pairs=specs, start=start,
        end=end, asks=bool(overridden_hooks(strategy)), wrote_state=is_used(),
    )  # fmt: skip


def _seen(candles: DataFrame, decimals: PriceDecimals) -> DataFrame:
    # What freqtrade hands to a strategy: the candles, and its counts of decimals as columns.
    seen = candles.copy(deep=False)
    for name, counts in decimals.columns().items():
        seen[name] = counts
    return seen


def _indicated(strategy: IStrategy, pair: str, candles: DataFrame, seen: DataFrame) -> DataFrame:
    # `advise_all_indicators` for one pair, without its copies: pandas copies what a strategy writes to.
    validator = StrategyResultValidator(candles, warn_only=strategy.disable_dataframe_checks)
    frame: DataFrame = strategy.advise_indicators(seen, {"pair": pair})
    # Before freqtrade's own check, which says that a length is wrong and not which.
    _check_rows(strategy, "populate_indicators", pair, candles, frame)
    validator.assert_df(frame)
    return frame


def ranks_pairs(strategy: IStrategy) -> bool:
    """Say whether the strategy computes the indicators of all its pairs together, in a method of its own."""
    return is_own(strategy, "advise_all_indicators")


def _indicated_together(prepared: Prepared, strategy: IStrategy) -> dict[str, DataFrame]:
    name, file = strategy.get_strategy_name(), strategy.__file__
    with strategy_code(name, file, "advise_all_indicators"):
        found = strategy.advise_all_indicators(
            {pair: _seen(candles, count_decimals(candles)) for pair, candles in prepared.candles.items()}
        )
    # freqtrade goes on with whatever pairs come back, in their order; its report does not.
    if not isinstance(found, dict) or list(found) != list(prepared.candles):
        told = list(found)[:12] if isinstance(found, dict) else type(found).__name__
        raise UserError(
            f"strategy {name!r} ({file}): advise_all_indicators must return a frame of each of"
            f" {list(prepared.candles)[:12]}, in this order, returned {told}"
        )
    return dict(found)


def _as_read(frame: DataFrame) -> DataFrame:
    # An older strategy's `buy_tag` becomes a second `enter_tag`. freqtrade picks its columns by name and then
    # reads them by place, so what stands too often pushes the columns after it aside.
    frame = frame.copy(deep=False)
    for name in READ[5:]:
        if name not in frame.columns:
            frame[name] = None if name.endswith("_tag") else 0
    read = frame[list(READ)].iloc[:, : len(READ)]
    read.columns = list(READ)
    return concat([read, frame.loc[:, ~frame.columns.isin(READ)]], axis=1)


def _reset(prepared: Prepared, strategy: IStrategy) -> None:
    # Locks, trades and custom data live in classes; what the strategy before this one left there goes.
    reset()
    strategy.dp = prepared.provider
    strategy.wallets = Wallets(prepared.config, prepared.exchange, is_backtest=True)
    strategy.order_types["stoploss_on_exchange"] = False


def _check_rows(strategy: IStrategy, doing: str, pair: str, candles: DataFrame, frame: object) -> str:
    about = f"strategy {strategy.get_strategy_name()!r} ({strategy.__file__}): {doing} of {pair}"
    if not isinstance(frame, DataFrame):
        raise UserError(f"{about} must return a DataFrame, returned {type(frame).__name__}")
    if len(frame) != len(candles):
        raise UserError(f"{about} must return {len(candles)} rows, returned {len(frame)}")
    return about


def _check(strategy: IStrategy, doing: str, pair: str, candles: DataFrame, frame: DataFrame) -> None:
    about = _check_rows(strategy, doing, pair, candles, frame)
    for column in PRICES:
        if column not in frame.columns:
            raise UserError(f"{about} must keep the column {column!r}, returned {list(frame.columns)[:12]}")
        try:
            unusable = ~np.isfinite(frame[column].to_numpy(dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise UserError(f"{about} must keep finite prices, {column}: {in_one_line(error)}") from error
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
