"""The strategy of a case loaded by `freqtrade_bridge`, for its callbacks.

Not here: when this is needed (`binding`).

Invariant: the strategy is started, and what an earlier case left in freqtrade's classes is gone.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from freqtrade.enums import CandleType, MarginMode, RunMode, TradingMode
from freqtrade.persistence import CustomDataWrapper, PairLocks, Trade, disable_database_use

from backtest.locks import LockBook, StrategyLocks
from freqtrade_bridge.asking import asking
from freqtrade_bridge.hooks import Faults, strategy_hooks
from freqtrade_bridge.provider import OfflineDataProvider
from freqtrade_bridge.resolving import load_strategy
from tests.differential.case import STRATEGY, TIMEFRAME_MS, Case, Frames


def bind(case: Case, path: Path, frames: Frames) -> tuple[Any, ...]:
    """Return the callbacks of the strategy in the file ``path``, what gives it a book of locks, and what lets
    it ask about the run."""
    logging.disable(logging.CRITICAL)
    mode = TradingMode(case.config["trading_mode"])
    config: dict[str, Any] = {
        **case.config, "strategy": STRATEGY, "strategy_path": str(path.parent), "user_data_dir": path.parent,
        "runmode": RunMode.BACKTEST, "dry_run": True, "trading_mode": mode,
        "margin_mode": MarginMode(case.config["margin_mode"]),
        "candle_type_def": CandleType.get_default(mode),
    }  # fmt: skip
    strategy = load_strategy(config)
    disable_database_use(case.timeframe)
    PairLocks.reset_locks()
    Trade.reset_trades()
    CustomDataWrapper.reset_custom_data()
    strategy.ft_bot_start()
    nowhere: Any = None  # callbacks ask for analysed frames only, which are given below
    provider = OfflineDataProvider(config, nowhere, nowhere)
    for pair, frame in frames.items():
        provider._set_cached_df(pair, case.timeframe, frame, config["candle_type_def"])
    wallet = case.config["dry_run_wallet"]
    purse: Any = SimpleNamespace(
        _config=config, _exchange=None, _stake_currency=case.config["stake_currency"],
        _start_cap=wallet if isinstance(wallet, dict) else {case.config["stake_currency"]: wallet},
    )  # fmt: skip
    strategy.dp, strategy.wallets = provider, purse

    def use_locks(book: LockBook) -> None:
        methods = StrategyLocks(book, TIMEFRAME_MS[case.timeframe])
        for name in ("lock_pair", "unlock_pair", "unlock_reason", "is_pair_locked"):
            setattr(strategy, name, getattr(methods, name))

    return strategy_hooks(strategy, provider, Faults()), use_locks, partial(asking, strategy, provider)
