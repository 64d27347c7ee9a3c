"""A whole backtest in a process of its own: load, indicators, signals, loop, report, for time and memory.

``python -m benchmarks.backtest_whole parley|freqtrade FOLDER`` runs the strategy in a prepared folder of user
data and prints one JSON line: seconds from the configuration to the written result file, and how far the peak
of memory lies above what the process had after its imports. Imports are in neither, those included that
either side makes when it first needs them; the compile cache is warm unless the caller made it cold.

Not here: comparing and printing (`backtest_vs_freqtrade`).
"""

import contextlib
import importlib
import json
import logging
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks import simulated_markets as made
from tests.differential.worker import ONE_THREAD

NAME: Final = "Crossing"
STRATEGY: Final = """
import talib.abstract as ta
from freqtrade.strategy import IStrategy


class Crossing(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi = {"0": 0.03, "120": 0.01}
    stoploss = -0.03
    startup_candle_count = 30

    def populate_indicators(self, dataframe, metadata):
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=8)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=21)
        dataframe["strength"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        crossed = (dataframe["fast"] > dataframe["slow"]) & (dataframe["fast"].shift() <= dataframe["slow"].shift())
        dataframe.loc[crossed & (dataframe["strength"] < 70), ["enter_long", "enter_tag"]] = (1, "crossed")
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        crossed = (dataframe["fast"] < dataframe["slow"]) & (dataframe["fast"].shift() >= dataframe["slow"].shift())
        dataframe.loc[crossed, "exit_long"] = 1
        return dataframe
"""  # noqa: E501
# Libraries of others that a backtest loads on its way, the same for both sides.
LOADED_LATER: Final = (
    "freqtrade.commands", "freqtrade.data.history.datahandlers.featherdatahandler", "pyarrow.feather",
    "talib.abstract",
)  # fmt: skip
MEGABYTE: Final = 1 << 20
LIMIT_S: Final = 1800


def prepare(folder: Path, shape: made.Shape) -> None:
    """Write user data for both sides: candles, strategy and configuration."""
    case = made.signals_only(shape)
    (folder / "data").mkdir(parents=True)
    (folder / "strategies").mkdir()
    for pair, frame in case.frames.items():
        candles = frame[["date", "open", "high", "low", "close", "volume"]]
        candles.to_feather(folder / "data" / f"{pair.replace('/', '_')}-5m.feather", compression="lz4")
    (folder / "strategies" / f"{NAME}.py").write_text(STRATEGY)
    (folder / "config.json").write_text(json.dumps(case.config))


def run_child(side: str, folder: Path) -> dict[str, Any]:
    """Run one side in a process of its own and return its figures."""
    command = [sys.executable, "-m", "benchmarks.backtest_whole", side, str(folder)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr.decode()[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def result_of(side: str, folder: Path) -> dict[str, Any]:
    """Return the strategy's part of the result file that a side wrote."""
    archive = next((folder / side).glob("*.zip"))
    with zipfile.ZipFile(archive) as inside:
        content = json.loads(inside.read(f"{archive.stem}.json"))
    part: dict[str, Any] = content["strategy"][NAME]
    return part


def _options(folder: Path, side: str) -> dict[str, Any]:
    (folder / side).mkdir()
    return {
        "user_data_dir": folder, "config": (folder / "config.json",), "datadir": folder / "data",
        "strategy": NAME, "export": "trades", "backtest_directory": folder / side,
    }  # fmt: skip


def _parley(folder: Path) -> Callable[[], object]:
    simulate = importlib.import_module("runtime.commands.simulate")
    # The fence against look-ahead is a check of its own and not what freqtrade does: off, as in all cases.
    given = {**_options(folder, "parley"), "breakdown": (), "no_lookahead_check": True, "page": None}
    return lambda: simulate.backtest(given, as_json=False)


def _freqtrade(folder: Path) -> Callable[[], object]:
    # First, so that the bridge leaves freqtrade's own modules in place.
    backtesting = importlib.import_module("freqtrade.optimize.backtesting")
    configuration = importlib.import_module("freqtrade_bridge.configuration")
    exchanges = importlib.import_module("freqtrade_bridge.exchange")
    options = importlib.import_module("freqtrade_bridge.options").Options(**_options(folder, "freqtrade"))

    def run() -> None:
        config = configuration.load_configuration(options)
        exchange = exchanges.offline_exchange(config, options, config["exchange"]["pair_whitelist"])
        backtesting.Backtesting(config, exchange).start()

    return run


def main() -> None:
    """Run the side named on the command line."""
    side, folder = sys.argv[1], Path(sys.argv[2])
    logging.disable(logging.CRITICAL)
    run = {"parley": _parley, "freqtrade": _freqtrade}[side](folder)
    for library in LOADED_LATER:
        importlib.import_module(library)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
    # Of this program alone: getrusage's maximum also knows the process it was forked from.
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    figures = {"seconds": seconds, "imported_mb": before / MEGABYTE, "above_mb": (peak - before) / MEGABYTE}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
