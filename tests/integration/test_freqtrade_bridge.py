"""Parley's backtest of the proof strategies against the real freqtrade's, in a process of its own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from freqtrade_bridge.report import signal_candles
from runtime.backtesting import Backtested, run_backtest
from runtime.watching import UNWATCHED
from tests.kit.freqtrade_folder import STRATEGIES, futures_candles, spot_candles, write_config
from tests.kit.freqtrade_reference import differences, plain, reference_run

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
SIGNALS = ("TrendCross", "BandReversion", "ChannelBreakout", "GuardedDips", "TunedCross")
CALLBACKS = (
    "LadderStop",
    "TimedExit",
    "PatientPrices",
    "ChasedOrders",
    "Averaging",
    "OldNames",
    "Gatekeeper",
)
FUTURES = ("BothSides", "LeveragedSwing")


def options_of(folder: Path, names: tuple[str, ...], mode: str, **changes: Any) -> Options:
    if mode == "spot":
        spot_candles(folder / "data", 3000)
        for timeframe in ("5m", "1h"):
            leader = folder / "data" / f"AAA_USDT-{timeframe}.feather"
            leader.with_name(f"BTC_USDT-{timeframe}.feather").write_bytes(leader.read_bytes())
        config = write_config(folder / "config.json", **changes)
    else:
        futures_candles(folder / "data", 3000)
        config = write_config(
            folder / "config.json", trading_mode="futures", margin_mode=mode,
            exchange={"pair_whitelist": ["AAA/USDT:USDT", "BBB/USDT:USDT"]}, **changes,
        )  # fmt: skip
    return Options(
        user_data_dir=folder / "user", config=(config,), datadir=folder / "data", strategy_list=names,
        strategy_path=STRATEGIES, timeframe="5m", enable_protections=True,
        timerange="20240302T0330-20240310", export="signals",
        dataformat_ohlcv="feather",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "mode"),
    [(SIGNALS, "spot"), (CALLBACKS, "spot"), (FUTURES, "isolated"), (FUTURES, "cross")],
    ids=["signals", "callbacks", "isolated", "cross"],
)
def test_frames_trades_and_figures_are_freqtrades(tmp_path: Path, names: tuple[str, ...], mode: str) -> None:
    timeouts = {"unfilledtimeout": {"entry": 15, "exit": 25, "unit": "minutes"}}
    options = options_of(tmp_path, names, mode, **timeouts)
    theirs = reference_run(options, tmp_path)

    prepared = prepare(options)
    for strategy in prepared.strategies:
        analysed = analyse(prepared, strategy)
        for pair, frame in theirs["frames"][strategy.get_strategy_name()].items():
            if frame.columns.is_unique:
                assert_frame_equal(analysed.frames[pair], frame)
        assert (analysed.start, analysed.end) == tuple(theirs["span"])
    # Without a file of signals, frames of strategies without callbacks keep only what is read of them.
    ours: Backtested = run_backtest(replace(options, export="none"), UNWATCHED)

    assert set(ours.results) == set(names)
    for name in names:
        assert len(ours.results[name]["trades"]) >= 10
        assert differences(ours.results[name], theirs["stats"]["strategy"][name]) == {}
        mine, real = (each[name]["wallet_stats"] for each in (ours.results, theirs["stats"]["strategy"]))
        assert plain(mine) == plain(real)
    assert plain(ours.comparison) == plain(theirs["stats"]["strategy_comparison"])
    assert not [name for name in sys.modules if name.startswith("freqtrade.optimize")]


def test_exported_signals_are_freqtrades(tmp_path: Path) -> None:
    options = options_of(tmp_path, ("TrendCross",), "spot", max_open_trades=1)
    theirs = reference_run(options, tmp_path)["signals"]

    prepared = prepare(options)
    analysed = analyse(prepared, prepared.strategies[0])
    result = simulate_strategy(prepared, analysed)
    ours = signal_candles(prepared, analysed, result.trades, result.rejected)

    assert len(result.rejected) == result.rejected_signals > 10
    for kind in ("signals", "rejected", "exited"):
        wanted = theirs[kind]["TrendCross"]
        assert list(ours[kind]) == list(wanted)
        for pair, frame in wanted.items():
            assert_frame_equal(ours[kind][pair], frame)
