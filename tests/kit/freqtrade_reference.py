"""One backtest by the real freqtrade in a process of its own, for tests that compare what Parley made of it.

Not here: which strategies and candles. Invariant: the configuration and the markets are those of
`freqtrade_bridge`; strategy loading, candles, simulation and report are freqtrade's own. The test's process
never imports `freqtrade.optimize`.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent.parent

LATEST_CANDLE = "2025"
# Wall time, and what needs the course of the wallet.
APART = {"backtest_run_start_ts", "backtest_run_end_ts", "wallet_stats"}


def reference_run(options: Any, folder: Path) -> dict[str, Any]:
    """Backtest with these `freqtrade_bridge.options.Options`; `folder` is for the exchange of files.

    Returns what freqtrade's `backtest()` gave per strategy (`content`), the analysed frames (`frames`), its
    report (`stats`), the candles after loading (`candles`) and the time range.
    """
    return run_apart("tests.kit.freqtrade_reference", options, folder)


def run_apart(module: str, options: Any, folder: Path) -> dict[str, Any]:
    """Run a module on pickled options in a process of its own; returns what it left in ``result.pickle``."""
    (folder / "options.pickle").write_bytes(pickle.dumps(options))
    command = [sys.executable, "-m", module, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = pickle.loads((folder / "result.pickle").read_bytes())
    return result


def plain(value: object) -> Any:
    """Return a report as plain values, as a file of results has them."""
    return orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY))


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what one strategy's figures and freqtrade's have otherwise, by field; empty if nothing."""
    mine, real = plain({**ours, "trades": list(ours["trades"])}), plain(theirs)
    for locks in (mine["locks"], real["locks"]):
        for lock in locks:
            # A lock of the strategy's own begins at the computer's time in freqtrade, at none in Parley.
            if lock["lock_time"] == "1970-01-01 00:00:00" or lock["lock_time"] > LATEST_CANDLE:
                lock["lock_time"] = lock["lock_timestamp"] = "now"
    return {
        key: (mine.get(key), real.get(key))
        for key in sorted({*mine, *real} - APART)
        if mine.get(key) != real.get(key)
    }


def _backtest(folder: Path) -> dict[str, Any]:
    # In the child only: the parent must stay without freqtrade's simulator.
    import logging

    from freqtrade_bridge.configuration import load_configuration
    from freqtrade_bridge.exchange import offline_exchange
    from freqtrade_bridge.sources import open_folder

    logging.disable(logging.CRITICAL)
    from freqtrade.optimize.backtesting import Backtesting
    from freqtrade.optimize.optimize_reports import generate_backtest_stats

    options = pickle.loads((folder / "options.pickle").read_bytes())
    config = load_configuration(options)
    source = open_folder(
        config["datadir"], config["dataformat_ohlcv"], config["exchange"]["name"], config["trading_mode"]
    )
    exchange = offline_exchange(config, options, [key[0] for key in source.available()])
    run = Backtesting(config, exchange)
    candles, timerange = run.load_bt_data()
    frames = {}
    span = None
    for strategy in run.strategylist:
        span = run.backtest_one_strategy(strategy, candles, timerange)
        cached = run.dataprovider._DataProvider__cached_pairs  # type: ignore[attr-defined]
        frames[strategy.get_strategy_name()] = {key[0]: value[0] for key, value in cached.items()}
    assert span is not None
    stats = generate_backtest_stats(candles, run.all_bt_content, *span)
    content = {
        name: {
            **{key: value for key, value in each.items() if key not in ("config", "locks")},
            "locks": [lock.to_json() for lock in each["locks"]],
        }
        for name, each in run.all_bt_content.items()
    }
    return {
        "content": content, "frames": frames, "stats": stats, "candles": candles, "span": span,
        "timerange": (timerange.startts, timerange.stopts), "startup": run.required_startup, "fee": run.fee,
        "funding": run.futures_data, "signals": dict(run.analysis_results),
    }  # fmt: skip


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.pickle").write_bytes(pickle.dumps(_backtest(where)))
