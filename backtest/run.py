"""Backtest from Python: a strategy, candles and a configuration in, the result out.

Problem: in a notebook there are classes and frames, not files and folders. They go the way files go: the
same loader, the same checks of every row and key, the same simulation.

Not here: tables, reports and files (`runtime.backtesting`). Invariant: a pure function. The same input gives
the same result, nothing given is changed and nothing is written; as in freqtrade, `FREQTRADE__` variables of
the environment count as configuration.
"""

import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pandas import DataFrame

from backtest.errors import NotSupported
from backtest.result import Result
from backtest.strategy_run import simulate_by_freqtrade, simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.given import Strategy, given_candles, require_timeframe
from freqtrade_bridge.hooks import CallbackErrors
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from parley.errors import UserError


def run(
    strategy: Strategy,
    candles: Mapping[str | tuple[str, ...], DataFrame],
    config: Mapping[str, Any],
    *,
    callback_errors: CallbackErrors = "default",
) -> Result:
    """Simulate a freqtrade strategy on candles in memory, trade for trade as `freqtrade backtesting` does.

    strategy: a class that extends freqtrade's `IStrategy`, an object of one, or the path of a file that has
        one.
    candles: by pair, frames with freqtrade's columns (date, open, high, low, close, volume), of whichever
        timeframe their dates are apart. What has another timeframe or is no candle of trades goes by
        (pair, timeframe) or by (pair, timeframe, kind), with freqtrade's kinds: "funding_rate", "mark".
    config: freqtrade's configuration. Without `exchange.pair_whitelist` every pair of the candles is traded.
    callback_errors: "default" goes on as freqtrade does when a callback raises, and the result's `faults` say
        so; "refuse" stops.

    Raises
    ------
    UserError
        When strategy, candles or configuration cannot be used: one line that says why.
    """
    _require_tables(candles, config)
    settings = deepcopy(dict(config))
    traded = [key for key in candles if isinstance(key, str)]
    settings["exchange"] = {"pair_whitelist": traded, **settings.get("exchange", {})}
    mode = str(settings.get("trading_mode", "spot"))
    with tempfile.TemporaryDirectory(prefix="parley-backtest-") as folder:
        named = isinstance(strategy, str | Path)
        options = Options(
            user_data_dir=Path(folder), settings=settings, export="none",
            strategy=str(Path(strategy).resolve()) if isinstance(strategy, str | Path) else None,
            given=None if named else strategy,
        )  # fmt: skip
        source = given_candles(candles, mode)
        timeframe = settings.get("timeframe") or getattr(strategy, "timeframe", None)
        if timeframe:
            require_timeframe(source, traded, str(timeframe))
        prepared = prepare(options, source)
        if len(prepared.strategies) != 1:
            names = ", ".join(each.get_strategy_name() for each in prepared.strategies)
            raise UserError(f"{strategy}: expected one strategy, found {names}")
        analysed = analyse(prepared, prepared.strategies[0])
        try:
            result = simulate_strategy(prepared, analysed, callback_errors)
        except NotSupported as why:
            name = prepared.strategies[0].get_strategy_name()
            result = simulate_by_freqtrade(prepare(options, source), name, why)
        unknown = tuple(f"{pair}: no funding is known, none is charged" for pair in prepared.funding_unknown)
        return result._replace(faults=result.faults + unknown)


def _require_tables(candles: object, config: object) -> None:
    if not isinstance(candles, Mapping):
        raise UserError(f"candles must be a table of frames by pair, was {type(candles).__name__}")
    if not isinstance(config, Mapping):
        raise UserError(f"config must be a table of freqtrade's settings, was {type(config).__name__}")
    if not isinstance(exchange := config.get("exchange", {}), Mapping):
        raise UserError(
            f"config: exchange must be a table such as {{'name': 'binance'}}, was {exchange!r:.80}"
        )
