"""Strategies and seeded candles for the benchmark of the backtest: a year of 5m candles, or part of one.

Not here: running and timing (`backtest_vs_freqtrade`).

Invariant: everything follows from the seed, and both sides are handed the same case.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from tests.differential.candles import Market, draw_candles
from tests.differential.case import Case, Frames
from tests.differential.dice import Dice
from tests.differential.markets import HOUR_MS, TICK_SIZE, draw_funding, pair_name

YEAR: Final = 105_120
STEP_MS: Final = 300_000
START_MS: Final = 1_672_531_200_000  # 2023-01-01
SEED: Final = 2023
VOLATILITY: Final = 0.0015
PORTFOLIO: Final = "candles/binance-ALL_USDT-5m-202407-dev.parquet"

STOP = """
    def custom_stoploss(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        return -0.03 if current_profit < 0.02 else -0.015
"""
EXIT = """
    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        if current_profit > 0.025 and (current_time - trade.open_date_utc).total_seconds() > 7200:
            return "enough"
        return None
"""
CONFIRM = """
    def confirm_trade_entry(
        self, pair, order_type, amount, rate, time_in_force, current_time, entry_tag, side, **kwargs
    ):
        return current_time.minute != 35
"""
ADJUST = """
    def adjust_trade_position(
        self, trade, current_time, current_rate, current_profit, min_stake, max_stake, current_entry_rate,
        current_exit_rate, current_entry_profit, current_exit_profit, **kwargs,
    ):
        if current_profit < -0.05 and trade.nr_of_successful_entries < 3:
            return trade.stake_amount / trade.nr_of_successful_entries
        if current_profit > 0.08 and trade.nr_of_successful_exits == 0:
            return -trade.stake_amount / 2
        return None
"""
LEVERAGE = """
    def leverage(
        self, pair, current_time, current_rate, proposed_leverage, max_leverage, entry_tag, side, **kwargs
    ):
        return 3.0
"""


@dataclass(frozen=True)
class Shape:
    """How large a case is and how often it trades: ``entries`` is the share of candles with an entry."""

    pairs: int = 10
    candles: int = YEAR
    entries: float = 0.05
    exits: float = 0.04


def signals_only(shape: Shape) -> Case:
    """Profit table, stop and exit signals on a spot market."""
    return _case(shape, {"minimal_roi": {"0": 0.03, "60": 0.02, "240": 0.01}, "stoploss": -0.03})


def with_callbacks(shape: Shape) -> Case:
    """The same market with a custom stop, a custom exit and a confirmation of every entry."""
    attributes = {"minimal_roi": {"0": 0.06}, "stoploss": -0.05, "use_custom_stoploss": True}
    case = _case(Shape(shape.pairs, shape.candles, shape.entries, 0.003), attributes)
    return case.but(hooks={"custom_stoploss": STOP, "custom_exit": EXIT, "confirm_trade_entry": CONFIRM})


def futures(shape: Shape) -> Case:
    """Long and short with leverage, funding and positions that grow and shrink."""
    attributes = {
        "minimal_roi": {"0": 0.12}, "stoploss": -0.25, "can_short": True, "position_adjustment_enable": True,
    }  # fmt: skip
    case = _case(Shape(shape.pairs, shape.candles, shape.entries, 0.01), attributes, is_futures=True)
    return case.but(hooks={"leverage": LEVERAGE, "adjust_trade_position": ADJUST})


def portfolio(data: Path, pairs: int) -> Case:
    """Recorded candles of many pairs with signals from the crossing of two averages."""
    table = pd.read_parquet(data / PORTFOLIO)
    frames: Frames = {}
    for name, rows in table.groupby("pair" if "pair" in table else "symbol", sort=True):
        candles = rows[["date", "open", "high", "low", "close", "volume"]].reset_index(drop=True)
        candles["date"] = candles["date"].dt.as_unit("ms")
        fast, slow = (candles["close"].ewm(span=span).mean() for span in (6, 18))
        above = fast > slow
        candles["enter_long"] = (above & ~above.shift(1, fill_value=True)).astype("int64")
        candles["exit_long"] = (~above & above.shift(1, fill_value=False)).astype("int64")
        frames[str(name)] = candles
        if len(frames) == pairs:
            break
    attributes = {"minimal_roi": {"0": 0.02, "60": 0.01}, "stoploss": -0.04}
    return _finish(frames, attributes, {name: _record(name, 8) for name in frames}, is_futures=False)


def _case(shape: Shape, attributes: dict[str, Any], *, is_futures: bool = False) -> Case:
    frames: Frames = {}
    funding: Frames = {}
    mark: Frames = {}
    records: dict[str, dict[str, Any]] = {}
    for index in range(shape.pairs):
        name = pair_name(index, is_futures=is_futures)
        dice = Dice(SEED, index, "benchmark")
        market = Market(100.0, 3, VOLATILITY, 0.0, 0.01, 0.01, 0.0, 0.0)
        candles = draw_candles(dice, market, START_MS, STEP_MS, shape.candles)
        _keep_in_reach(candles)
        for side in ("long", "short") if is_futures else ("long",):
            for what, share in (("enter", shape.entries), ("exit", shape.exits)):
                drawn = dice.numbers.random(shape.candles) < share
                candles[f"{what}_{side}"] = drawn.astype(np.int64)
        frames[name], records[name] = candles, _record(name, 3)
        if is_futures:
            end = START_MS + shape.candles * STEP_MS
            funding[name], mark[name] = draw_funding(dice, market, START_MS, end, 8 * HOUR_MS)
            mark[name] = _marks(candles, mark[name])
    return _finish(frames, attributes, records, is_futures=is_futures).but(funding=funding, mark=mark)


def _keep_in_reach(candles: pd.DataFrame) -> None:
    # A walk of a year wanders off to where ticks are coarse; its slow part is taken out.
    prices = candles[["open", "high", "low", "close"]]
    slow = candles["close"].rolling(2000, min_periods=1, center=True).mean()
    for name in prices:
        candles[name] = np.round(prices[name] / slow * 100.0, 3)


def _marks(candles: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    hourly = candles.iloc[:: HOUR_MS // STEP_MS][["date", "open", "high", "low", "close", "volume"]]
    return hourly.reset_index(drop=True).iloc[: len(drawn)]


def _record(pair: str, places: int) -> dict[str, Any]:
    is_futures = ":" in pair
    base, quote = pair.split(":")[0].split("/")
    return {
        "id": base + quote, "symbol": pair, "base": base, "quote": quote, "active": True,
        "settle": quote if is_futures else None, "type": "swap" if is_futures else "spot",
        "spot": not is_futures, "swap": is_futures, "future": False, "margin": False, "option": False,
        "contract": is_futures, "linear": is_futures or None, "inverse": False if is_futures else None,
        "contractSize": 1.0 if is_futures else None,
        "precision": {"amount": float(f"1e-{places}"), "price": float(f"1e-{places}")},
        "limits": {
            "amount": {"min": None, "max": None}, "cost": {"min": 5.0, "max": None},
            "price": {"min": None, "max": None}, "leverage": {"min": 1, "max": 125},
        },
        "taker": 0.001, "maker": 0.001, "info": {}, "percentage": True, "tierBased": False, "feeSide": "get",
    }  # fmt: skip


def _finish(
    frames: Frames, attributes: dict[str, Any], records: dict[str, dict[str, Any]], *, is_futures: bool
) -> Case:
    config = {
        "stake_currency": "USDT", "trading_mode": "futures" if is_futures else "spot",
        "margin_mode": "isolated" if is_futures else "",
        "exchange": {"name": "binance", "pair_whitelist": list(frames), "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "other"}, "exit_pricing": {"price_side": "other"},
        "stake_amount": 100.0, "max_open_trades": len(frames), "dry_run_wallet": 1_000_000.0,
        "tradable_balance_ratio": 0.99, "amend_last_stake_amount": False, "last_stake_amount_min_ratio": 0.5,
        "fee": 0.0005,
    }  # fmt: skip
    tiers = [{
        "tier": 1, "minNotional": 0.0, "maxNotional": 1e9, "maintenanceMarginRate": 0.01, "maxLeverage": 20.0,
        "info": {"cum": "0.0"},
    }]  # fmt: skip
    return Case(
        seed=SEED, number=0, level=0, config=config,
        attributes={"timeframe": "5m", "can_short": False, "startup_candle_count": 0, **attributes},
        markets=records, frames=frames, precision_mode=TICK_SIZE,
        tiers={name: list(tiers) for name in frames} if is_futures else {},
    )  # fmt: skip
