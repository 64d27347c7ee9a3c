"""What freqtrade makes of a case before its loop begins: resolved settings, ticks, funding, limits.

Problem: a difference must be the engine's. So what `ours` derives from a case by its own means is compared
with what freqtrade derives, value by value, in a process that has freqtrade.

Not here: the backtest (`reference`).

Invariant: the names are those of `parley.kernels.settings`.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from freqtrade.exchange import timeframe_to_seconds
from freqtrade.optimize import backtesting
from freqtrade.plugins.protectionmanager import ProtectionManager

from tests.differential.case import Case
from tests.differential.outcome import Outcome, plain
from tests.differential.reference import full_config, loaded
from tests.differential.strategy import write_strategy

FROM_STRATEGY = (
    "stoploss", "trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset",
    "trailing_only_offset_is_reached", "use_exit_signal", "exit_profit_only", "exit_profit_offset",
    "ignore_roi_if_entry_signal", "can_short", "use_custom_stoploss", "use_custom_roi", "max_open_trades",
    "position_adjustment_enable", "max_entry_position_adjustment", "timeframe",
)  # fmt: skip


def run(case: Case) -> Outcome:
    """Return the settings of `case` as the counts of an outcome, those of pairs and funding as columns."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="parley-differential-") as folder:
        write_strategy(case, Path(folder))
        with loaded(case, full_config(case, Path(folder))) as (back, _, _):
            return Outcome(counts=_settings(back), columns={pair: [_pair(back, pair)] for pair in case.pairs})


def _settings(back: backtesting.Backtesting) -> dict[str, Any]:
    strategy, exchange, config = back.strategylist[0], back.exchange, back.config
    given = config.get("unfilledtimeout") or {}
    unit = {"minutes": 60.0, "seconds": 1.0}.get(given.get("unit", "minutes"), 0.0)
    values = {name: plain(getattr(strategy, name, None)) for name in FROM_STRATEGY}
    return values | {
        "stop_uses_after_fill": strategy._ft_stop_uses_after_fill,
        "minimal_roi": [list(entry) for entry in strategy.minimal_roi.items()],
        "timeframe_ms": back.timeframe_secs * 1000,
        "startup_candles": back.required_startup,
        "start_ms": back.timerange.startts * 1000 if back.timerange.starttype else None,
        "timeframe_detail_ms": timeframe_to_seconds(back.timeframe_detail) * 1000
        if back.timeframe_detail
        else None,
        "ignore_buying_expired_candle_after_s": float(strategy.ignore_buying_expired_candle_after),
        "fee": back.fee,
        "position_stacking": back._position_stacking,
        "precision_mode": back.precision_mode,
        "precision_mode_price": back.precision_mode_price,
        "trading_mode": str(back.trading_mode.value),
        "margin_mode": str(exchange.margin_mode.value),
        "liquidation_buffer": exchange.liquidation_buffer,
        "funding_fee_timeframe_ms": timeframe_to_seconds(exchange.get_option("funding_fee_timeframe")) * 1000,
        "amount_reserve_percent": config.get("amount_reserve_percent", 0.05),
        "tradable_balance_ratio": config["tradable_balance_ratio"],
        "available_capital": config.get("available_capital"),
        "amend_last_stake_amount": config["amend_last_stake_amount"],
        "last_stake_amount_min_ratio": config["last_stake_amount_min_ratio"],
        "stake_amount": config["stake_amount"],
        "entry_order_type": strategy.order_types["entry"],
        "exit_order_type": strategy.order_types["exit"],
        "entry_time_in_force": strategy.order_time_in_force["entry"],
        "exit_time_in_force": strategy.order_time_in_force["exit"],
        "unfilledtimeout_entry_s": given["entry"] * unit if "entry" in given else None,
        "unfilledtimeout_exit_s": given["exit"] * unit if "exit" in given else None,
        "enable_protections": back.enable_protections,
        "protections": [
            _protection(one) for one in ProtectionManager(config, strategy.protections)._protection_handlers
        ],
    }


def _protection(handler: Any) -> dict[str, Any]:
    mode = getattr(handler, "_calculation_mode", "ratios")
    return {
        "method": handler.name,
        "lookback_period_min": handler._lookback_period,
        "stop_duration_min": handler._stop_duration,
        "lookback_period_candles": handler._lookback_period_candles,
        "stop_duration_candles": handler._stop_duration_candles,
        "unlock_at": handler._unlock_at,
        "trade_limit": getattr(handler, "_trade_limit", 1),
        "required_profit": getattr(handler, "_required_profit", getattr(handler, "_profit_limit", 0.0)),
        "only_per_pair": getattr(handler, "_disable_global_stop", False),
        "only_per_side": getattr(handler, "_only_per_side", False),
        "max_allowed_drawdown": getattr(handler, "_max_allowed_drawdown", 0.0),
        "calculation_mode": mode,
    }


def _pair(back: backtesting.Backtesting, pair: str) -> dict[str, Any]:
    exchange = back.exchange
    ticks = back.price_pair_prec[pair].dropna()
    funding = back.futures_data.get(pair)
    return {
        "price_ticks": [[stamp.value // 10**6 if stamp.unit == "ns" else int(stamp.timestamp() * 1000), tick]
                        for stamp, tick in ticks.items()],
        "amount_precision": exchange.get_precision_amount(pair),
        "price_precision": exchange.get_precision_price(pair),
        "contract_size": exchange.get_contract_size(pair),
        "leverage_tiers": [list(tier.values()) for tier in exchange._leverage_tiers.get(pair, [])],
        "funding_times_ns": [] if funding is None else funding["_ff_date_ns"].tolist(),
        "funding_fee_per_unit": [] if funding is None else funding["_ff_fee_per_unit"].tolist(),
    }  # fmt: skip
