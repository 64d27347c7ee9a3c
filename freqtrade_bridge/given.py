"""Strategies and candles that the caller has in memory, as the loader takes what it finds in files.

Not here: files and folders (`resolving`, `sources`). Invariant: what was given is never changed; a strategy
is made anew for every run, with freqtrade's own order of configuration over attributes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import numpy as np
from freqtrade.configuration import TimeRange
from freqtrade.constants import Config
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.resolvers import StrategyResolver
from freqtrade.strategy.interface import IStrategy
from pandas import DataFrame, to_datetime

from freqtrade_bridge.loading import load_named
from freqtrade_bridge.markets import PAIR
from freqtrade_bridge.sources import GivenFrames, Key
from parley.errors import DataError, UserError

Strategy = str | Path | IStrategy | type[IStrategy]
_UNITS = ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
# What belongs to the run an object was used in before.
_LENT = ("config", "dp", "wallets")


def load_given(config: Config, strategy: IStrategy | type[IStrategy]) -> IStrategy:
    """Load a class, or a fresh object that is like the given one, as a named strategy is loaded.

    Raises
    ------
    UserError
        When it is no strategy of today's interface or has no timeframe.
    """
    kind = strategy if isinstance(strategy, type) else type(strategy)
    if not issubclass(kind, IStrategy) or kind is IStrategy:
        raise UserError(
            f"strategy must be a class that extends IStrategy, an object of one or a path, was {strategy!r}"
        )
    config["strategy"] = kind.__name__
    with _resolved_to(strategy, kind):
        return load_named(config)


@contextmanager
def _resolved_to(strategy: IStrategy | type[IStrategy], kind: type[IStrategy]) -> Iterator[None]:
    def make(name: str, config: Config, extra_dir: str | None = None) -> IStrategy:
        return StrategyResolver.validate_strategy(_made(strategy, kind, config))

    genuine = vars(StrategyResolver)["_load_strategy"]
    StrategyResolver._load_strategy = staticmethod(make)  # type: ignore[method-assign]
    try:
        yield
    finally:
        StrategyResolver._load_strategy = genuine


def _made(strategy: IStrategy | type[IStrategy], kind: type[IStrategy], config: Config) -> IStrategy:
    made = kind(config)
    # A run writes into tables such as `order_types`; they must not be the class's own.
    for name in dir(kind):
        value = getattr(kind, name)
        if not name.startswith("_") and isinstance(value, dict | list | set):
            setattr(made, name, deepcopy(value))
    if not isinstance(strategy, type):
        for name, value in vars(strategy).items():
            if not name.startswith(("_", "ft_")) and name not in _LENT:
                setattr(made, name, deepcopy(value))
    return made


class GivenCandles(GivenFrames):
    """Frames of which funding rates and mark prices are found under any timeframe, as in Parley's folders."""

    def read(self, key: Key, timerange: TimeRange | None) -> DataFrame:
        """Return a copy of the frame, or of the only other one of that pair and kind."""
        pair, _, kind = key
        if kind in (CandleType.FUNDING_RATE, CandleType.MARK) and key not in self.available():
            others = [each for each in self.available() if (each[0], each[2]) == (pair, kind)]
            key = others[0] if len(others) == 1 else key
        return super().read(key, timerange)


def given_candles(candles: Mapping[str | tuple[str, ...], DataFrame], mode: str) -> GivenCandles:
    """Return the source of these frames: by pair, by pair and timeframe, or with the kind of candle as well.

    Raises
    ------
    DataError
        When a key is no pair, or a frame does not say its timeframe and its rows do not show it.
    """
    usual = CandleType.get_default(TradingMode(mode))
    frames: dict[Key, DataFrame] = {}
    for given, frame in candles.items():
        pair, timeframe, kind = (given, "", "") if isinstance(given, str) else (*given, "", "")[:3]
        if not PAIR.fullmatch(pair):
            raise DataError(
                f"the frames must go by pair, such as 'BTC/USDT' or 'BTC/USDT:USDT', one goes by {pair!r}"
            )
        if not isinstance(frame, DataFrame):
            raise DataError(f"the frame of {pair}: expected a DataFrame, was {type(frame).__name__}")
        shown = timeframe or _timeframe(pair, frame)
        frames[pair, shown, CandleType.from_string(kind) if kind else usual] = frame
    return GivenCandles(frames)


def _timeframe(pair: str, frame: DataFrame) -> str:
    if "date" not in frame.columns:
        raise DataError(f"the frame of {pair}: expected a column 'date', has {list(frame.columns)}")
    dates = to_datetime(frame["date"], utc=True).to_numpy(dtype="datetime64[s]").astype(np.int64)
    apart = np.abs(np.diff(dates))
    if not (apart > 0).any():
        raise DataError(f"the frame of {pair}: expected candles of at least two times, has {len(frame)} rows")
    seconds = int(apart[apart > 0].min())
    return next(f"{seconds // unit}{name}" for unit, name in _UNITS if seconds % unit == 0)


def require_timeframe(source: GivenFrames, pairs: list[str], timeframe: str) -> None:
    """Refuse frames of another timeframe than the one that is traded."""
    for pair in pairs:
        has = sorted({key[1] for key in source.available() if key[0] == pair}, key=timeframe_to_seconds)
        if has and timeframe not in has:
            raise DataError(f"the frame of {pair}: expected candles of {timeframe}, was {', '.join(has)}")
