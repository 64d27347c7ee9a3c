"""Run one loaded strategy: the bridge's callbacks, locks and questions bound to one simulation.

Problem: the simulation knows no freqtrade and the bridge knows no simulation; here one is given to the other,
for the command and for Python alike.

Not here: loading (`freqtrade_bridge.preparing`), what the loop does (`simulation`). Invariant: what the
strategy object is lent for the run is taken back at its end, whatever happens.
"""

from collections.abc import Callable, Mapping

import numpy as np
from pandas import DataFrame

from backtest.callbacks import Hook
from backtest.locks import LockBook, StrategyLocks
from backtest.result import Result
from backtest.simulation import FundingFees, simulate
from backtest.surroundings import Surroundings
from freqtrade_bridge.analysis import Analysed
from freqtrade_bridge.asking import asking
from freqtrade_bridge.hooks import CallbackErrors, Faults, strategy_hooks
from freqtrade_bridge.preparing import Prepared
from parley.kernels.settings import SimulationSettings

Hooks = Mapping[str, Hook]


def simulate_strategy(
    prepared: Prepared,
    analysed: Analysed,
    errors: CallbackErrors = "default",
    *,
    settings: SimulationSettings | None = None,
    around: Callable[[Hooks], Hooks] | None = None,
    opened: Callable[[Surroundings], None] | None = None,
) -> Result:
    """Simulate a strategy that has looked at its candles.

    settings: instead of the strategy's own. around: makes of the strategy's callbacks those that are asked,
    such as a desk's that asks the strategy's first. opened: told of the simulation before its first candle.

    Raises
    ------
    UserError
        When a callback asks or answers something that cannot be simulated, or freqtrade would stop here.
    """
    strategy, provider = analysed.strategy, prepared.provider
    settings = settings or analysed.settings
    faults = Faults()
    book = LockBook(settings.timeframe_ms)
    methods = StrategyLocks(book, settings.timeframe_ms)
    # On the object, not the class: freqtrade's own methods write where no simulation of ours looks.
    strategy.lock_pair, strategy.is_pair_locked = methods.lock_pair, methods.is_pair_locked
    strategy.unlock_pair, strategy.unlock_reason = methods.unlock_pair, methods.unlock_reason
    hooks = strategy_hooks(strategy, provider, faults, errors)
    if around is not None:
        hooks = around(hooks)
    try:
        with asking(strategy, provider) as tell:

            def begin(surroundings: Surroundings) -> None:
                tell(surroundings)
                if opened is not None:
                    opened(surroundings)

            result = simulate(
                analysed.frames, settings, analysed.pairs,
                hooks=hooks or None,
                detail=prepared.detail or None,
                funding={pair: _funding_fees(fees) for pair, fees in prepared.funding.items()} or None,
                locks=book,
                opened=begin if hooks else None,
                lists_rejected=prepared.config.get("export") == "signals",
            )  # fmt: skip
    finally:
        provider.leave(analysed.end)
        # The strategy keeps the book: through it, it would keep the simulation's tables.
        book.watch(lambda: None)
    return result._replace(faults=tuple(faults.lines()))


def _funding_fees(fees: DataFrame) -> FundingFees:
    # Without a settlement at which both rate and mark price are known, freqtrade charges nothing.
    if fees.empty:
        return FundingFees(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))
    return FundingFees(fees["_ff_date_ns"].to_numpy(), fees["_ff_fee_per_unit"].to_numpy())
