"""Backtest a case with the installed freqtrade: its classes, its checks, its loop, in memory.

Problem: freqtrade wants an exchange on the network, candles in files and a database. It runs offline when the
exchange object it is given already has markets and does not reload them, when candles come from memory in
place of files, and when backtesting has switched the database off, as it does itself.

Not here: the process this runs in (`worker`).

Invariant: nothing of freqtrade that decides about a trade is replaced. What is: where markets, leverage tiers
and candles are read from.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.data.converter import trim_dataframe
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import Exchange, timeframe_to_seconds
from freqtrade.optimize import backtesting
from freqtrade.resolvers import ExchangeResolver

from tests.differential import wallets
from tests.differential.case import STRATEGY, Case, Frames
from tests.differential.outcome import COUNTS, KEPT_COUNTS, Outcome, plain, plain_columns, plain_dtypes
from tests.differential.strategy import carried, write_strategy

FAR_FUTURE_MS = 10**15  # as the time of the last refresh: markets are never reloaded


def run(case: Case) -> Outcome:
    """Backtest `case` and return what freqtrade reports, or the error it ended with."""
    logging.disable(logging.CRITICAL)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="parley-differential-") as folder:
        write_strategy(case, Path(folder))
        try:
            content = _backtest(case, full_config(case, Path(folder)))
        except Exception as error:  # noqa: BLE001 - whatever freqtrade ends with is the case's outcome
            text = f"{type(error).__name__}: {error}"
            return Outcome(error=text, seconds=time.perf_counter() - started)
    return _outcome(content, time.perf_counter() - started)


def full_config(case: Case, folder: Path) -> dict[str, Any]:
    """Return the configuration of `case` with what freqtrade's own start would have added."""
    config = copy.deepcopy(case.config)
    config.update(
        strategy=STRATEGY, strategy_path=str(folder), user_data_dir=folder, datadir=folder,
        runmode=RunMode.BACKTEST, dry_run=True, export="none", original_config={}, config_files=[],
        internals={}, dataformat_ohlcv="feather", dataformat_trades="feather",
    )  # fmt: skip
    return config


def make_exchange(case: Case, config: dict[str, Any]) -> Exchange:
    """Return freqtrade's exchange object with the markets of `case` and without any network."""
    exchange = ExchangeResolver.load_exchange(config, validate=False)
    exchange._markets = case.markets
    exchange._last_markets_refresh = FAR_FUTURE_MS
    exchange.reload_markets = lambda *arguments, **options: None
    exchange._api.markets = exchange._api_async.markets = case.markets
    exchange._api.precisionMode = exchange._api_async.precisionMode = case.precision_mode
    exchange._leverage_tiers = {
        pair: [exchange.parse_leverage_tier(tier) for tier in tiers] for pair, tiers in case.tiers.items()
    }
    return exchange


def _backtest(case: Case, config: dict[str, Any]) -> dict[str, Any]:
    with loaded(case, config) as (run, candles, timerange):
        run.backtest_one_strategy(run.strategylist[0], candles, timerange)
        return {**run.all_bt_content[STRATEGY], **{name: getattr(run, name) for name in KEPT_COUNTS}}


@contextlib.contextmanager
def loaded(case: Case, config: dict[str, Any]) -> Iterator[tuple[backtesting.Backtesting, Frames, Any]]:
    """Give freqtrade's backtesting with the candles of `case` loaded, the candles and the time range."""
    exchange = make_exchange(case, config)
    genuine = backtesting.history
    backtesting.history = SimpleNamespace(
        load_data=lambda **wanted: _load(case, exchange, **wanted), get_timerange=genuine.get_timerange
    )
    try:
        run = backtesting.Backtesting(config, exchange)
        yield run, *run.load_bt_data()
    finally:
        backtesting.history = genuine
        backtesting.Backtesting.cleanup()
        exchange.close()


def _load(
    case: Case, exchange: Exchange, *, timeframe: str, candle_type: CandleType, timerange: TimeRange,
    startup_candles: int = 0, **_: Any,
) -> Frames:  # fmt: skip
    frames = _read(case, exchange, timeframe, candle_type)
    # As freqtrade's reader of files cuts what it has read.
    wanted = timerange.copy()
    wanted.subtract_start(timeframe_to_seconds(timeframe) * startup_candles)
    return {
        pair: trim_dataframe(frame, wanted).reset_index(drop=True) if len(frame) else frame
        for pair, frame in frames.items()
    }


def _read(case: Case, exchange: Exchange, timeframe: str, candle_type: CandleType) -> Frames:
    if candle_type == CandleType.FUNDING_RATE:
        return _copies(case.funding)
    if candle_type == CandleType.from_string(exchange.get_option("mark_ohlcv_price")):
        return _copies(case.mark)
    if timeframe == case.config.get("timeframe_detail"):
        return _copies(case.detail)
    return {pair: case.frames[pair].rename(columns=carried(case, pair)) for pair in case.pairs}


def _copies(frames: Frames) -> Frames:
    return {pair: frame.copy() for pair, frame in frames.items()}


def _outcome(content: dict[str, Any], seconds: float) -> Outcome:
    trades: pd.DataFrame = content["results"]
    locks = [
        {
            "pair": lock.pair, "lock_time": plain(lock.lock_time), "lock_end_time": plain(lock.lock_end_time),
            "reason": lock.reason, "side": lock.side, "active": lock.active,
        }
        for lock in content["locks"]
    ]  # fmt: skip
    return Outcome(
        columns=plain_columns(trades),
        dtypes=plain_dtypes(trades),
        counts={name: plain(content[name]) for name in (*COUNTS, *KEPT_COUNTS)},
        locks=locks,
        wallet=wallets.of_freqtrade(content["wallet_summary"]),
        seconds=seconds,
    )
