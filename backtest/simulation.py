"""One simulation: analysed frames in, freqtrade's result out; a pure function."""

import gc
import math
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from backtest import candles, trade_frame
from backtest.candles import PairCandles
from backtest.compile import entry_point
from backtest.driver import Driver
from backtest.errors import NotSupported, SimulationError
from backtest.locks import LockBook
from backtest.result import Result
from backtest.surroundings import Surroundings
from backtest.tables import Tables, address
from parley.kernels import codes
from parley.kernels.settings import PairSpec, SimulationSettings
from parley.kernels.simulate import simulate as walk


class FundingFees(NamedTuple):
    """Funding per unit of amount: `_ff_date_ns` and `_ff_fee_per_unit` of `combine_funding_and_mark`."""

    times_ns: NDArray[np.int64]
    fee_per_unit: NDArray[np.float64]


def simulate(
    frames: Mapping[str, DataFrame],
    settings: SimulationSettings,
    pairs: Mapping[str, PairSpec],
    *,
    hooks: Mapping[str, Callable[..., Any]] | None = None,
    detail: Mapping[str, DataFrame] | None = None,
    funding: Mapping[str, FundingFees] | None = None,
    locks: LockBook | None = None,
    opened: Callable[[Surroundings], None] | None = None,
    lists_rejected: bool = False,
    notes_wallet: bool = False,
) -> Result:
    """Simulate the strategy whose analysed frames these are.

    frames: pair to frame in the order of the pair list, as `advise_all_indicators` followed by
        `ft_advise_signals` leaves it: neither trimmed nor shifted. Not changed.
    hooks: the strategy's callbacks by freqtrade's names, called with freqtrade's keyword arguments; the
        same names as `settings.hooks`.
    detail: candles of `settings.timeframe_detail_ms`, by pair.
    funding: needed for futures, by pair.
    locks: a fresh book; give one to let the strategy's own `lock_pair` write into it.
    opened: called once before the first candle, with what the callbacks may ask about the run.
    lists_rejected: whether the result names each signal that found no free slot.
    notes_wallet: whether the result has what the wallet held.
    """
    refuse(settings)
    missing = sorted(settings.hooks - set(hooks or {}))
    if missing:
        raise SimulationError(f"settings name the callbacks {', '.join(missing)}, hooks has none of them")
    unknown = [pair for pair in frames if pair not in pairs]
    if unknown:
        raise SimulationError(
            f"no pair rules for {', '.join(unknown)}; rules are there for {', '.join(pairs)}"
        )
    # Thousands of small objects are made and none is garbage: spare the collector the looking, except while
    # the strategy's own code runs.
    collecting = gc.isenabled()
    if not hooks:
        gc.disable()
    rows: list[PairCandles] = []
    try:
        rows += candles.read(frames, settings).values()
        tables = Tables(settings, [pairs[name] for name in frames], rows, funding or {})
        if settings.timeframe_detail_ms is not None:
            tables.add_detail(candles.read_detail(detail or {}))
        tables.shown.zone = next((zone for each in frames.values() if (zone := _zone(each))), UTC)
        tables.desk[0]["notes_rejected"] = lists_rejected
        tables.desk[0]["notes_wallet"] = notes_wallet
        if opened is not None:
            opened(Surroundings(tables))
        return _walk(tables, hooks or {}, LockBook(settings.timeframe_ms) if locks is None else locks)
    finally:
        if not hooks:
            # Tables and driver know each other, so they stay until the collector comes; candles need not.
            rows.clear()
        if collecting:
            gc.enable()


def _zone(frame: DataFrame) -> tzinfo | None:
    zone: tzinfo | None = getattr(frame["date"].dtype, "tz", None)
    return zone


# freqtrade adds None to its profits there and ends with a TypeError.
_NO_PROFIT = "a trade was closed whose exits do not add up to its amount: it has no profit"


def _walk(tables: Tables, hooks: Mapping[str, Callable[..., Any]], locks: LockBook) -> Result:
    driver = Driver(tables, locks, hooks)
    tables.connect(driver.answers)
    kernel = entry_point(walk)
    desk = tables.desk[0]
    try:
        status = kernel(address(tables.desk))
        while status == codes.GROW:
            tables.grow()
            status = kernel(address(tables.desk))
    except Exception as error:
        # The walk goes on behind such a trade: what a callback says to a wallet without a value counts not.
        if math.isnan(desk["total_profit"]):
            raise SimulationError(_NO_PROFIT) from error
        raise
    gc.disable()
    if tables.shown.refused:  # and the strategy's own code caught it
        raise NotSupported(tables.shown.refused)
    if math.isnan(desk["total_profit"]):
        raise SimulationError(_NO_PROFIT)
    if status == codes.NO_PRICE:
        at, row = int(tables.box[0]), int(tables.box[1])
        candle = tables.candles[at]
        raise SimulationError(
            f"{tables.specs[at].pair}: a price of row {row + candle.offset} is not a number: open "
            f"{candle.opens[row]}, high {candle.highs[row]}, low {candle.lows[row]}, "
            f"close {candle.closes[row]}"
        )
    if status != codes.DONE:
        raise SimulationError(_STOPS.get(status, f"the simulation stopped with status {status}"))
    return Result(
        trades=trade_frame.build(tables, tables.words.texts),
        final_balance=float(desk["wallet_total"]),
        starting_balance=tables.starting_balance(),
        rejected_signals=int(desk["rejected"]),
        wallet=driver.wallet.notes() if desk["notes_wallet"] else None,
        rejected=tuple(driver.rejected),
        timedout_entry_orders=int(desk["timedout_entry"]),
        timedout_exit_orders=int(desk["timedout_exit"]),
        canceled_trade_entries=int(desk["canceled_trades"]),
        canceled_entry_orders=int(desk["canceled_entry"]),
        replaced_entry_orders=int(desk["replaced_entry"]),
        canceled_exit_orders=int(desk["canceled_exit"]),
        replaced_exit_orders=int(desk["replaced_exit"]),
        locks=locks.all(),
        start_ms=tables.start_ms,
        end_ms=tables.end_ms,
    )


_STOPS = {
    codes.STAKE_ABOVE_TIERS: "the stake is above every step of the pair's margin table",
    codes.NO_MAINTENANCE_AMOUNT: "the margin table lacks the maintenance amount of this venue's formula",
}


def refuse(settings: SimulationSettings) -> None:
    """Say no to what is not simulated yet, before anything runs."""
    reasons = []
    if settings.dynamic_pairlist:
        reasons.append("enable_dynamic_pairlist")
    if settings.timeframe_ms < 60_000:
        reasons.append(f"timeframe {settings.timeframe}: shorter than a minute")
    if settings.other_balances and settings.margin_mode == "cross":
        reasons.append("dry_run_wallet with several currencies and cross margin")
    if settings.trading_mode == "futures":
        if settings.liquidation_formula == "hyperliquid":
            reasons.append(f"liquidation prices of {settings.liquidation_formula}")
        if settings.margin_mode == "cross" and settings.liquidation_formula != "binance":
            reasons.append(f"cross margin on {settings.exchange}")
    if reasons:
        raise NotSupported("not simulated yet: " + "; ".join(reasons))
