"""Backtest a case with Parley's engine.

Problem: the engine takes analysed frames, resolved settings and pair rules; here they are made of a case
directly, without freqtrade, so that a difference is the engine's and not the loader's.

Not here: the loader (`freqtrade_bridge`), the engine (`backtest`), the strategy's callbacks (`binding`).

Invariant: `freqtrade.optimize` is not loaded by this process, before or after a case; otherwise it refuses to
run. What the engine does not simulate yet raises `NotSupported`, which is not an outcome.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from backtest.errors import NotSupported, SimulationError
from backtest.locks import LockBook
from backtest.result import Result
from backtest.simulation import FundingFees, simulate
from parley.kernels import settings as kernels
from tests.differential import wallets
from tests.differential.binding import bind_hooks, hook_names
from tests.differential.case import TIMEFRAME_MS, Case, Frames
from tests.differential.outcome import COUNTS, KEPT_COUNTS, Outcome, plain_columns, plain_dtypes

FORBIDDEN = "freqtrade.optimize"
NEVER_MS = 10**13  # of dates of candles, before and after 1970
FORMULAS: dict[str, kernels.LiquidationFormula] = {
    "binance": "binance",
    "bybit": "bybit",
    "bitget": "bitget",
}
UNITS_S = {"minutes": 60.0, "seconds": 1.0}
# freqtrade's defaults by protection.
TRADE_LIMITS = {"StoplossGuard": 10}


def run(case: Case) -> Outcome:
    """Backtest `case` and return what Parley reports; raise `NotSupported` for what it cannot do yet."""
    check_modules()
    simulation = prepare(case, notes_wallet=True)
    started = time.perf_counter()
    try:
        result = simulation()
    except NotSupported:
        raise
    except SimulationError as error:
        return Outcome(error=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - started)
    seconds = time.perf_counter() - started
    check_modules()
    return outcome_of(case, result, seconds)


def prepare(case: Case, *, notes_wallet: bool = False) -> Callable[[], Result]:
    """Return the simulation of `case` with everything it needs but not begun; it can be called again."""
    case = within_range(case)
    frames = analysed(case)
    bound = bind_hooks(case, frames)
    ready = partial(
        simulate,
        frames,
        settings_of(case),
        {pair: spec_of(case, pair) for pair in case.pairs},
        hooks=bound.hooks or None,
        detail=case.detail or None,
        funding={pair: funding_of(case, pair) for pair in case.pairs} if case.is_futures else None,
        notes_wallet=notes_wallet,
    )

    def simulation() -> Result:
        book = LockBook(TIMEFRAME_MS[case.timeframe])
        bound.use_locks(book)
        with bound.asking() as opened:
            return ready(locks=book, opened=opened)

    return simulation


def within_range(case: Case) -> Case:
    """Return `case` with the rows that its time range leaves: warm-up before it, nothing else outside.

    Without a range it begins where the warm-up of the first candles ends, as freqtrade's does.
    """
    begin, _, end = case.config.get("timerange", "-").partition("-")
    first = int(begin) * 1000 if begin else -NEVER_MS
    last = int(end) * 1000 if end else NEVER_MS
    warm_up = case.option("startup_candle_count", 0) * TIMEFRAME_MS[case.timeframe]
    frames = _cut(case.frames, first - warm_up, last)
    earliest = min(int(frame["date"].iloc[0].timestamp() * 1000) for frame in frames.values())
    # Without candles to warm up on before the range, it begins where they have passed.
    if not begin or (warm_up and earliest >= first):
        first = earliest + warm_up
    others = {name: _cut(getattr(case, name), first, last) for name in ("detail", "funding", "mark")}
    return case.but(frames=frames, **others)


def _cut(frames: Frames, first_ms: int, last_ms: int) -> Frames:
    return {
        pair: frame[
            (frame["date"] >= pd.Timestamp(first_ms, unit="ms", tz="UTC"))
            & (frame["date"] <= pd.Timestamp(last_ms, unit="ms", tz="UTC"))
        ].reset_index(drop=True)
        for pair, frame in frames.items()
    }


def check_modules() -> None:
    """Raise `RuntimeError` if this process holds freqtrade's own backtest."""
    if FORBIDDEN in sys.modules:
        raise RuntimeError(f"Parley's process must not hold {FORBIDDEN!r}, but it is loaded")


def settings_of(case: Case) -> kernels.SimulationSettings:
    """Return the settings of `case` as freqtrade resolves them."""
    config, option = case.config, case.option
    wallet = config["dry_run_wallet"]
    balances = wallet if isinstance(wallet, dict) else {config["stake_currency"]: wallet}
    slots = float(option("max_open_trades", -1))
    types = option("order_types", {"entry": "limit", "exit": "limit"})
    in_force = option("order_time_in_force", {"entry": "GTC", "exit": "GTC"})
    roi = {int(age): ratio for age, ratio in option("minimal_roi", {}).items()}
    first = case.markets[case.pairs[0]]
    return kernels.SimulationSettings(
        timeframe=case.timeframe,
        timeframe_ms=TIMEFRAME_MS[case.timeframe],
        startup_candles=option("startup_candle_count", 0),
        timeframe_detail_ms=TIMEFRAME_MS.get(config.get("timeframe_detail", "")),
        ignore_buying_expired_candle_after_s=float(option("ignore_buying_expired_candle_after", 0)),
        stake_currency=config["stake_currency"],
        stake_amount=config["stake_amount"],
        dry_run_wallet=float(balances[config["stake_currency"]]),
        other_balances=tuple(
            (name, float(amount)) for name, amount in balances.items() if name != config["stake_currency"]
        ),
        available_capital=config.get("available_capital"),
        tradable_balance_ratio=config["tradable_balance_ratio"],
        amend_last_stake_amount=config["amend_last_stake_amount"],
        last_stake_amount_min_ratio=config["last_stake_amount_min_ratio"],
        amount_reserve_percent=config.get("amount_reserve_percent", 0.05),
        fee=config.get("fee", max(first["taker"], first["maker"])),
        max_open_trades=slots if slots >= 0 else float("inf"),
        position_stacking=config.get("position_stacking", False),
        exchange=config["exchange"]["name"],
        precision_mode=case.precision_mode,
        precision_mode_price=case.precision_mode,
        trading_mode=config["trading_mode"],
        margin_mode=config["margin_mode"],
        liquidation_formula=FORMULAS.get(config["exchange"]["name"], "default"),
        liquidation_buffer=config.get("liquidation_buffer", 0.05),
        minimal_roi=tuple(sorted(roi.items())),
        stoploss=float(option("stoploss")),
        trailing_stop=option("trailing_stop", False),
        trailing_stop_positive=option("trailing_stop_positive"),
        trailing_stop_positive_offset=option("trailing_stop_positive_offset", 0.0),
        trailing_only_offset_is_reached=option("trailing_only_offset_is_reached", False),
        use_exit_signal=option("use_exit_signal", True),
        exit_profit_only=option("exit_profit_only", False),
        exit_profit_offset=option("exit_profit_offset", 0.0),
        ignore_roi_if_entry_signal=option("ignore_roi_if_entry_signal", False),
        can_short=option("can_short", False),
        entry_order_type=types["entry"],
        exit_order_type=types["exit"],
        entry_time_in_force=in_force["entry"],
        exit_time_in_force=in_force["exit"],
        unfilledtimeout_entry_s=_timeout_s(case, "entry"),
        unfilledtimeout_exit_s=_timeout_s(case, "exit"),
        enable_protections=config.get("enable_protections", False),
        protections=tuple(_protection(case, given) for given in option("protections", [])),
        hooks=hook_names(case),
        use_custom_stoploss=option("use_custom_stoploss", False),
        use_custom_roi=option("use_custom_roi", False),
        stop_uses_after_fill="after_fill" in case.hooks.get("custom_stoploss", ""),
        position_adjustment_enable=option("position_adjustment_enable", False),
        max_entry_position_adjustment=option("max_entry_position_adjustment", -1),
    )


def analysed(case: Case) -> Frames:
    """Return the frames as freqtrade's analysis leaves them: it gives every candle an empty tag first."""
    frames = {pair: case.frames[pair].copy(deep=False) for pair in case.pairs}
    for frame in frames.values():
        for name in ("enter_tag", "exit_tag"):
            if name not in frame:
                frame[name] = pd.Series("", index=frame.index, dtype="str")
    return frames


def spec_of(case: Case, pair: str) -> kernels.PairSpec:
    """Return the rules of `pair` as freqtrade reads them from the market's record."""
    market = case.markets[pair]
    size = market["contractSize"]
    limits = market["limits"]
    # freqtrade's class of this venue does not read the market's upper limits.
    is_open_ended = case.config["exchange"]["name"] == "okx"
    tiers = tuple(
        kernels.LeverageTier(
            min_notional=tier["minNotional"],
            max_notional=tier["maxNotional"],
            maintenance_margin_rate=tier["maintenanceMarginRate"],
            max_leverage=tier["maxLeverage"],
            maintenance_amount=float(tier["info"]["cum"]) if "cum" in tier["info"] else None,
        )
        for tier in case.tiers.get(pair, [])
    )
    return kernels.PairSpec(
        pair=pair,
        base_currency=market["base"],
        amount_precision=market["precision"]["amount"],
        price_precision=market["precision"]["price"],
        price_ticks=price_ticks(case.frames[pair]),
        contract_size=1.0 if size is None else float(size),
        cost_min=limits["cost"]["min"],
        cost_max=None if is_open_ended else limits["cost"]["max"],
        amount_min=limits["amount"]["min"],
        amount_max=None if is_open_ended else limits["amount"]["max"],
        taker_fee=market["taker"],
        inverse=bool(market["inverse"]),
        leverage_tiers=tiers,
    )


def price_ticks(candles: pd.DataFrame) -> tuple[tuple[int, float], ...]:
    """Return (begin of the month in ms, tick): the most decimals of any price of that month."""
    prices = candles[["open", "high", "low", "close"]].to_numpy()
    places = np.array([max(map(_decimals, row)) for row in prices.tolist()], dtype=np.float64)
    months = candles["date"].dt.tz_localize(None).to_numpy().astype("datetime64[M]")
    ticks: list[tuple[int, float]] = []
    for month in np.unique(months):
        most = places[months == month].max()
        if most > 0:  # freqtrade has no opinion on a month of whole prices
            ticks.append((int(month.astype("datetime64[ms]").astype(np.int64)), float(1 / 10**most)))
    return tuple(ticks)


def funding_of(case: Case, pair: str) -> FundingFees:
    """Return the funding per coin of `pair`: rate times mark price where both are known."""
    rates = case.funding[pair][["date", "open"]].rename(columns={"open": "rate"})
    marks = case.mark[pair][["date", "open"]]
    substitute = case.config.get("futures_funding_rate")
    both = marks.merge(rates, on="date", how="inner" if substitute is None else "left")
    if substitute is not None:
        known = both["rate"].first_valid_index()
        leading = both.index <= (len(both) if known is None else known)
        both.loc[both["rate"].isna() & leading, "rate"] = substitute
        both = both.dropna()
    fees = both["rate"] * both["open"]
    return FundingFees(
        both["date"].dt.as_unit("ns").astype("int64").to_numpy(), fees.to_numpy(dtype=np.float64)
    )


def _decimals(price: float) -> int:
    text = np.format_float_positional(price, precision=14, unique=False, fractional=False, trim="-")
    return len(text.partition(".")[2].rstrip("0"))


def _timeout_s(case: Case, side: str) -> float | None:
    given = case.config.get("unfilledtimeout")
    return None if given is None else float(given[side] * UNITS_S[given["unit"]])


def _protection(case: Case, given: dict[str, Any]) -> kernels.ProtectionSettings:
    step = TIMEFRAME_MS[case.timeframe] // 60_000
    looked = given.get("lookback_period_candles")
    stopped = given.get("stop_duration_candles")
    # With a time of day to unlock at, freqtrade's duration stays nothing.
    minutes = 0 if "unlock_at" in given else given.get("stop_duration", 60)
    limit = given.get("trade_limit", TRADE_LIMITS.get(given["method"], 1))
    return kernels.ProtectionSettings(
        method=given["method"],
        lookback_period_min=looked * step if looked is not None else given["lookback_period"],
        stop_duration_min=stopped * step if stopped is not None else minutes,
        lookback_period_candles=looked,
        stop_duration_candles=stopped,
        unlock_at=given.get("unlock_at"),
        trade_limit=limit,
        required_profit=given.get("required_profit", 0.0),
        only_per_pair=given.get("only_per_pair", False),
        only_per_side=given.get("only_per_side", False),
        max_allowed_drawdown=given.get("max_allowed_drawdown", 0.0),
        calculation_mode=given.get("calculation_mode", "ratios"),
    )


def outcome_of(case: Case, result: Result, seconds: float) -> Outcome:
    """Return what Parley reported as plain values."""
    locks = [
        {
            "pair": lock.pair, "lock_time": lock.lock_time_ms * 10**6,
            "lock_end_time": lock.lock_end_time_ms * 10**6, "reason": lock.reason, "side": lock.side,
            "active": lock.active,
        }
        for lock in result.locks
    ]  # fmt: skip
    return Outcome(
        columns=plain_columns(result.trades),
        dtypes=plain_dtypes(result.trades),
        counts={name: getattr(result, name) for name in (*COUNTS, *KEPT_COUNTS)},
        locks=locks,
        wallet=None if result.wallet is None else wallets.of_ours(within_range(case), result),
        seconds=seconds,
    )
