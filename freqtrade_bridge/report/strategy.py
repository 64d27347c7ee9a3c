"""The result of one strategy as freqtrade's result file holds it: about ninety fields by freqtrade's names.

Not here: figures of groups (`figures`), files (`files`), tables for people. Invariant: every field freqtrade
writes is there, computed as freqtrade computes it from the same trades; the fields that depend on the course
of the wallet are in ``wallet_stats``, empty where no course is known.
"""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from freqtrade.constants import BACKTEST_BREAKDOWNS, DATETIME_PRINT_FORMAT, Config
from freqtrade.data import metrics
from freqtrade.util import decimals_per_coin, fmt_coin, get_dry_run_wallet
from pandas import DataFrame

from freqtrade_bridge.report.drawdown import deepest_fall
from freqtrade_bridge.report.figures import (
    READ,
    TOTAL,
    Figures,
    Period,
    by_pair,
    by_period,
    by_tag,
    daily_figures,
    group_figures,
    holding_figures,
    profits_in_time,
)
from freqtrade_bridge.report.outcome import Lock, Outcome
from freqtrade_bridge.report.records import TradeRecords

_FORCED: Final = "force_exit"
_OF_THE_TOTAL: Final = (
    "expectancy", "expectancy_ratio", "sortino", "sharpe", "calmar", "sqn", "p_value",
)  # fmt: skip
_COUNTS: Final = (
    "rejected_signals", "timedout_entry_orders", "timedout_exit_orders", "canceled_trade_entries",
    "canceled_entry_orders", "replaced_entry_orders",
)  # fmt: skip
# Settings of the strategy that freqtrade repeats in its result, with what it writes where there are none.
_REPEATED: Final[dict[str, Any]] = {
    "trailing_stop": False, "trailing_stop_positive": None, "trailing_stop_positive_offset": 0.0,
    "trailing_only_offset_is_reached": False, "use_custom_stoploss": False,
}  # fmt: skip
_REPEATED_ALWAYS: Final = (
    "minimal_roi", "use_exit_signal", "exit_profit_only", "exit_profit_offset", "ignore_roi_if_entry_signal",
    "trading_mode", "margin_mode",
)  # fmt: skip


def strategy_figures(
    name: str, config: Config, outcome: Outcome, candles: dict[str, DataFrame], start: datetime,
    end: datetime, began_s: int, ended_s: int, wallet_stats: Figures | None = None,
) -> Figures:  # fmt: skip
    """Return the result of a strategy; `config` is the strategy's own, `began_s` and `ended_s` wall time."""
    trades, pairs = outcome.trades, list(candles)
    period = Period(start, end, get_dry_run_wallet(config))
    profits, is_short = trades["profit_abs"], trades["is_short"].astype(bool)
    long, short = profits[~is_short], profits[is_short]
    narrow = trades[[*READ]]
    total = group_figures(TOTAL, narrow, period)
    by_pairs = by_pair(pairs, trades, total, period)
    left = trades[trades["exit_reason"] == _FORCED]
    single = [line for line in by_pairs if line["key"] != TOTAL]
    earned, count = profits.sum(), len(trades)
    return {
        "trades": TradeRecords(trades),
        "locks": [_lock(position, lock) for position, lock in enumerate(outcome.locks, 1)],
        "best_pair": max(single, key=lambda line: line["profit_total_abs"]) if single else None,
        "worst_pair": min(single, key=lambda line: line["profit_total_abs"]) if single else None,
        "results_per_pair": by_pairs,
        "results_per_enter_tag": by_tag("enter_tag", trades, total, period),
        "exit_reason_summary": by_tag("exit_reason", trades, total, period),
        "mix_tag_stats": by_tag(["enter_tag", "exit_reason"], trades, total, period),
        "left_open_trades": by_pair(pairs, left, group_figures(TOTAL, left, period), period, traded=True),
        "total_trades": count,
        "trade_count_long": len(long),
        "trade_count_short": len(short),
        "total_volume": _volume(trades),
        "avg_stake_amount": trades["stake_amount"].mean() if count else 0,
        "profit_mean": trades["profit_ratio"].mean() if count else 0,
        "profit_median": trades["profit_ratio"].median() if count else 0,
        "profit_total": earned / period.balance,
        "profit_total_long": long.sum() / period.balance,
        "profit_total_short": short.sum() / period.balance,
        "profit_total_abs": earned,
        "profit_total_long_abs": long.sum(),
        "profit_total_short_abs": short.sum(),
        "cagr": metrics.calculate_cagr(period.days, period.balance, outcome.final_balance),
        **{name: total[name] for name in _OF_THE_TOTAL},
        "wallet_stats": wallet_stats or {},
        "profit_factor": total["profit_factor"],
        "backtest_start": start.strftime(DATETIME_PRINT_FORMAT),
        "backtest_start_ts": int(start.timestamp() * 1000),
        "backtest_end": end.strftime(DATETIME_PRINT_FORMAT),
        "backtest_end_ts": int(end.timestamp() * 1000),
        "backtest_days": period.days,
        "backtest_run_start_ts": began_s,
        "backtest_run_end_ts": ended_s,
        "trades_per_day": round(count / period.days, 2),
        "market_change": _market_change(candles, start),
        **_settings(name, config, pairs, period.balance),
        "final_balance": outcome.final_balance,
        **{field: getattr(outcome, field) for field in _COUNTS},
        "periodic_breakdown": {each: by_period(narrow, each) for each in BACKTEST_BREAKDOWNS},
        **daily_figures(narrow),
        **holding_figures(narrow),
        **_drawdown(trades, period.balance),
    }


def compare_strategies(results: dict[str, Figures]) -> list[Figures]:
    """Return one line per strategy: the figures of all its trades under its name."""
    lines = []
    for name, result in results.items():
        line = deepcopy(result["results_per_pair"][-1])
        line["key"] = name
        line["max_drawdown_account"] = result["max_drawdown_account"]
        line["max_drawdown_abs"] = fmt_coin(result["max_drawdown_abs"], result["stake_currency"], False)
        lines.append(line)
    return lines


def _market_change(candles: dict[str, DataFrame], start: datetime) -> float:
    # `metrics.calculate_market_change` without copies of the frames.
    changes = []
    for rows in candles.values():
        closes = rows["close"].to_numpy(dtype=np.float64)[int(rows["date"].searchsorted(start)) :]
        known = closes[~np.isnan(closes)]
        if len(closes):
            changes.append((known[-1] - known[0]) / known[0])
    return float(np.mean(changes)) if changes else 0.0


def _volume(trades: DataFrame) -> float:
    return sum([sum([order["cost"] for order in orders]) for orders in trades["orders"].tolist()])


def _lock(position: int, lock: Lock) -> Figures:
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (lock.lock_time_ms, lock.lock_end_time_ms))
    return {
        "id": None, "pair": lock.pair,
        "lock_time": start.strftime(DATETIME_PRINT_FORMAT), "lock_timestamp": lock.lock_time_ms,
        "lock_end_time": end.strftime(DATETIME_PRINT_FORMAT), "lock_end_timestamp": lock.lock_end_time_ms,
        "reason": lock.reason, "side": lock.side, "active": lock.active,
    }  # fmt: skip


def _settings(name: str, config: Config, pairs: list[str], balance: float) -> Figures:
    most = config["max_open_trades"]
    return {
        "pairlist": pairs,
        "stake_amount": config["stake_amount"],
        "stake_currency": config["stake_currency"],
        "stake_currency_decimals": decimals_per_coin(config["stake_currency"]),
        "starting_balance": balance,
        "dry_run_wallet": balance,
        "max_open_trades": min(most, len(pairs)),
        "max_open_trades_setting": most if most != float("inf") else -1,
        "timeframe": config["timeframe"],
        "timeframe_detail": config.get("timeframe_detail", ""),
        "timerange": config.get("timerange", ""),
        "enable_protections": config.get("enable_protections", False),
        "strategy_name": name,
        "freqaimodel": config.get("freqaimodel"),
        "freqai_identifier": config.get("freqai", {}).get("identifier"),
        "stoploss": config["stoploss"],
        **{key: config.get(key, default) for key, default in _REPEATED.items()},
        **{key: config[key] for key in _REPEATED_ALWAYS},
    }


def _drawdown(trades: DataFrame, balance: float) -> Figures:
    if trades.empty:
        never = datetime(1970, 1, 1, tzinfo=UTC)
        zeros = dict.fromkeys(("max_drawdown_account", "max_relative_drawdown", "max_drawdown_abs"), 0.0)
        zeros |= dict.fromkeys(("max_drawdown_low", "max_drawdown_high"), 0.0)
        return {
            **zeros, "drawdown_start": never, "drawdown_start_ts": 0, "drawdown_end": never,
            "drawdown_end_ts": 0, "csum_min": 0, "csum_max": 0,
        }  # fmt: skip
    profits = profits_in_time(trades)
    deepest = deepest_fall(profits, balance)
    underwater = deepest_fall(profits, balance, relative=True)
    closes = trades["close_date"].sort_values()
    start, end = closes.iloc[deepest.high], closes.iloc[deepest.low]
    lasted = end - start
    lowest, highest = metrics.calculate_csum(trades, balance)
    return {
        "max_drawdown_account": deepest.relative,
        "max_relative_drawdown": underwater.relative,
        "max_drawdown_abs": deepest.absolute,
        "drawdown_start": start.strftime(DATETIME_PRINT_FORMAT),
        "drawdown_start_ts": start.timestamp() * 1000,
        "drawdown_end": end.strftime(DATETIME_PRINT_FORMAT),
        "drawdown_end_ts": end.timestamp() * 1000,
        "drawdown_duration": lasted,
        "drawdown_duration_s": lasted.total_seconds(),
        "max_drawdown_low": deepest.low_value,
        "max_drawdown_high": deepest.high_value,
        "csum_min": lowest,
        "csum_max": highest,
    }
