"""Backtest a strategy with freqtrade's own loop: what is not simulated here still gives freqtrade's trades.

Problem: a strategy may change its settings while it runs, replace freqtrade's own rules, or use what the
simulation refuses. There is one program that knows what then happens, and it is installed.

Not here: when this is done (`runtime.backtesting`, `backtest.run`). Invariant: nothing of freqtrade that
decides about a trade is replaced; candles, exchange, pairs and strategy are the run's own.
`freqtrade.optimize` is loaded by the first such run and by nothing else.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from freqtrade import __version__
from freqtrade.constants import Config
from freqtrade.enums import TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.strategy.interface import IStrategy

from freqtrade_bridge.faults import strategy_code
from freqtrade_bridge.kept_state import reset, unwatched
from freqtrade_bridge.preparing import Prepared

_MONTH = re.match(r"(20\d\d)\.(\d\d?)\b", __version__)
PUBLISHED_MS: Final = (
    int(datetime(int(_MONTH[1]), int(_MONTH[2]), 1, tzinfo=UTC).timestamp() * 1000) if _MONTH else 0
)
"""When the installed freqtrade came out, ms; no clock that it reads stands before that."""


class OwnLoop(NamedTuple):
    """What freqtrade's `backtest()` returned, and the counts only its object keeps."""

    content: dict[str, Any]
    starting_balance: float
    canceled_exit_orders: int
    replaced_exit_orders: int
    rejected: dict[str, list[Any]]
    start_ms: int
    end_ms: int


def run_own_loop(
    prepared: Prepared, strategy: IStrategy, each: Callable[[float], None] = lambda part: None
) -> OwnLoop:
    """Backtest a freshly loaded strategy; `each` is told the part that is done, 0 to 1.

    Raises
    ------
    UserError
        When freqtrade stops, in one line.
    """
    from freqtrade.optimize import backtesting as module  # here: nobody else's process shall hold it

    name = strategy.get_strategy_name()
    doing = strategy_code(name, strategy.__file__, "freqtrade's own loop")
    with doing, unwatched(), _given(module, prepared, strategy):
        config = _of_loaded(prepared)
        back = module.Backtesting(config, prepared.exchange, progress_callback=_told(each))
        back.pairlists, back.fee = prepared.pairlists, prepared.fee
        back.timerange, back.required_startup = prepared.timerange, prepared.startup
        data = {pair: rows.copy() for pair, rows in prepared.candles.items()}
        back.price_pair_prec = {pair: module.get_tick_size_over_time(rows) for pair, rows in data.items()}
        back.available_pairs = list(data)
        back.detail_data, back.futures_data = prepared.detail, prepared.funding
        if back.trading_mode == TradingMode.FUTURES:
            settled = prepared.exchange.get_option("funding_fee_timeframe")
            back.funding_fee_timeframe_secs = timeframe_to_seconds(settled)
        # What another strategy of the same run left in freqtrade's classes goes.
        reset()
        start, end = back.backtest_one_strategy(strategy, data, back.timerange)
    return OwnLoop(
        content=back.all_bt_content[name],
        starting_balance=back.starting_balance,
        canceled_exit_orders=back.canceled_exit_orders,
        replaced_exit_orders=back.replaced_exit_orders,
        rejected=back.rejected_dict,
        start_ms=int(start.timestamp() * 1000),
        end_ms=int(end.timestamp() * 1000),
    )


def _of_loaded(prepared: Prepared) -> Config:
    """The configuration without strategies of the list that could not be loaded: freqtrade asks for each."""
    config = prepared.config
    if not config.get("strategy_list"):
        return config
    loaded = {each.get_strategy_name() for each in prepared.strategies}
    # by the class: the list may name a file
    names = [name for name in config["strategy_list"] if name in loaded]
    return {**config, "strategy_list": names or sorted(loaded)}


@contextmanager
def _given(module: Any, prepared: Prepared, strategy: IStrategy) -> Iterator[None]:
    """Hand freqtrade's backtesting what it would load from files: provider and strategies."""
    loaded = {each.get_strategy_name(): each for each in prepared.strategies}
    loaded[strategy.get_strategy_name()] = strategy

    class Resolver:
        @staticmethod
        def load_strategy(config: Config) -> IStrategy:
            return loaded[config["strategy"]]

    stand_ins = {
        "StrategyResolver": Resolver,
        "DataProvider": lambda config, exchange: prepared.provider,
        "validate_config_consistency": lambda config: None,  # was done when the strategy was loaded
        "migrate_data": lambda config, exchange: None,  # moves old files about in the user's folder
    }
    genuine = {name: getattr(module, name) for name in stand_ins}
    for name, stand_in in stand_ins.items():
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        for name, before in genuine.items():
            setattr(module, name, before)


def _told(each: Callable[[float], None]) -> Callable[[Any], None]:
    def tell(task: Any) -> None:
        if task.description == "backtest" and task.total:
            each(min(1.0, task.completed / task.total))

    return tell
