"""freqtrade's sample strategy and Parley's own on recorded candles: every trade and figure is freqtrade's.

Spot candles are Binance's over the fall of FTX, perpetuals Bybit's over 2025-10-10, with their mark prices
and funding. Strategies that only buy run on both. Each side takes its time: these tests are `long`.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import freqtrade.templates
import orjson
import pandas as pd
import pytest

from freqtrade_bridge.options import Options
from runtime.backtesting import Backtested, run_backtest
from runtime.watching import UNWATCHED
from tests.kit.freqtrade_folder import STRATEGIES, hourly, write_candles, write_config
from tests.kit.freqtrade_reference import reference_run

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
COINS = ("BTC", "ETH", "SOL", "XRP", "ADA", "LINK", "AVAX", "ALICE")
PERPETUALS = ("BTC", "ETH", "APE")
LAST = pd.Timestamp("2025-11-14 23:55", tz="UTC")  # BTC's go on, the others' end there
LEAST_TRADES = 5
# Wall time, and figures of the wallet's course: equal but for what `freqtrade_bridge.report.wallet` names.
APART = {"backtest_run_start_ts", "backtest_run_end_ts", "wallet_stats"}
WAITING = {"PatientPrices", "ChasedOrders"}
LAST_CANDLE = "2026"


def class_of(path: Path) -> str:
    *_, strategy = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    return strategy.name


SAMPLE = Path(freqtrade.templates.__file__ or "").parent / "sample_strategy.py"
NAMES = sorted(class_of(path) for path in (SAMPLE, *STRATEGIES.glob("[!_]*.py")))
SPOT = [name for name in NAMES if name not in ("BothSides", "LeveragedSwing")]
# Callbacks by their older names freqtrade takes for spot markets only; the other one looks at a spot pair.
FUTURES = [name for name in NAMES if name not in ("OldNames", "TunedCross")]


@pytest.fixture(scope="module")
def folder(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recorded")
    (made / "strategies").mkdir()
    for path in (SAMPLE, *STRATEGIES.glob("[!_]*")):
        if path.is_file():
            shutil.copy(path, made / "strategies")
    spot: dict[str, pd.DataFrame] = {}
    for coin in COINS:
        candles = pd.read_parquet(market_data / f"candles/binance-{coin}_USDT-5m-2022ftx.parquet")
        spot |= {f"{coin}_USDT-5m": candles, f"{coin}_USDT-1h": hourly(candles)}
    write_candles(made / "spot", spot)
    futures: dict[str, pd.DataFrame] = {}
    for coin in PERPETUALS:
        stem, file = market_data / f"futures/bybit-{coin}_USDT_USDT", f"futures/{coin}_USDT_USDT"
        candles = pd.read_parquet(f"{stem}-5m-futures.parquet")
        candles = candles[candles["date"] <= LAST].reset_index(drop=True)
        futures |= {
            f"{file}-5m-futures": candles,
            f"{file}-1h-futures": hourly(candles),
            f"{file}-1h-mark": pd.read_parquet(f"{stem}-1h-mark.parquet"),
            f"{file}-1h-funding_rate": pd.read_parquet(f"{stem}-8h-funding_rate.parquet"),
        }
    write_candles(made / "futures", futures)
    return made


def options_of(folder: Path, config: Path, name: str, market: str) -> Options:
    timeouts = {"unfilledtimeout": {"entry": 15, "exit": 25, "unit": "minutes"}}
    if market == "spot":
        pairs: dict[str, Any] = {"pair_whitelist": [f"{coin}/USDT" for coin in COINS]}
        write_config(config, exchange=pairs, **timeouts)
    else:
        pairs = {"name": "bybit", "pair_whitelist": [f"{coin}/USDT:USDT" for coin in PERPETUALS]}
        write_config(config, exchange=pairs, trading_mode="futures", margin_mode="isolated", **timeouts)
    return Options(
        user_data_dir=config.parent / "user", config=(config,), datadir=folder / market, strategy=name,
        strategy_path=folder / "strategies", timeframe="5m", enable_protections=True, export="none",
        dataformat_ohlcv="feather",
    )  # fmt: skip


def plain(value: object) -> Any:
    return orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY))


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    mine, real = plain({**ours, "trades": list(ours["trades"])}), plain(theirs)
    for lock in (*mine["locks"], *real["locks"]):
        # A lock of the strategy's own begins at the computer's time in freqtrade, at none in Parley.
        if lock["lock_time"] == "1970-01-01 00:00:00" or lock["lock_time"] > LAST_CANDLE:
            lock["lock_time"] = lock["lock_timestamp"] = "now"
    return {
        key: (mine.get(key), real.get(key))
        for key in sorted({*mine, *real} - APART)
        if mine.get(key) != real.get(key)
    }


@pytest.mark.parametrize(
    ("name", "market"),
    [*((name, "spot") for name in SPOT), *((name, "futures") for name in FUTURES)],
)
def test_trades_on_recorded_candles_are_freqtrades(
    name: str, market: str, folder: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    options = options_of(folder, tmp_path / "config.json", name, market)

    theirs = reference_run(options, tmp_path)["stats"]["strategy"][name]
    found: Backtested = run_backtest(options, UNWATCHED)

    trades = len(theirs["trades"])
    record_property("trades", trades)
    sys.stderr.write(f"{market} {name}: {trades} trades\n")
    assert trades >= LEAST_TRADES
    assert differences(found.results[name], theirs) == {}
    if name not in WAITING:
        mine, real = plain(found.results[name]["wallet_stats"]), plain(theirs["wallet_stats"])
        assert mine.keys() == real.keys()
        # Part of a perpetual sold: funding until then is in freqtrade's wallet at once, in ours at the end.
        near = 1e-5 if (name, market) == ("Averaging", "futures") else 1e-12
        for key, value in real.items():
            assert mine[key] == (
                pytest.approx(value, rel=near, abs=near) if isinstance(value, float) else value
            ), key
    assert not [module for module in sys.modules if module.startswith("freqtrade.optimize")]


def test_there_are_thirteen_strategies_and_freqtrades_sample() -> None:
    assert "SampleStrategy" in NAMES
    assert len(NAMES) >= 14
