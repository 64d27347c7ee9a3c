"""A freqtrade user's folder in small: configuration, seeded candles, strategies.

Not here: running anything. Invariant: the same seed gives the same candles; prices have the decimals of an
exchange, highs and lows enclose opens and closes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-03-01", tz="UTC")
STRATEGIES = Path(__file__).resolve().parent.parent.parent / "freqtrade_bridge" / "strategies"

CONFIG: dict[str, Any] = {
    "max_open_trades": 3,
    "stake_currency": "USDT",
    "stake_amount": 100,
    "dry_run": True,
    "dry_run_wallet": 1000,
    "tradable_balance_ratio": 0.99,
    "trading_mode": "spot",
    "entry_pricing": {"price_side": "other", "use_order_book": True},
    "exit_pricing": {"price_side": "other", "use_order_book": True},
    "exchange": {"name": "binance", "pair_whitelist": ["AAA/USDT", "BBB/USDT", "CCC/USDT"]},
    "pairlists": [{"method": "StaticPairList"}],
}


def walk(seed: int, count: int, *, price: float = 100.0, minutes: int = 5, places: int = 4) -> pd.DataFrame:
    """Return seeded candles whose price wanders about half a percent a candle."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, 0.004, count)))
    opened = np.concatenate([[price], close[:-1]])
    reach = np.abs(rng.normal(0, 0.003, (2, count)))
    frame = pd.DataFrame({
        "date": pd.date_range(START, periods=count, freq=f"{minutes}min").as_unit("ms"),
        "open": opened,
        "high": np.maximum(opened, close) * (1 + reach[0]),
        "low": np.minimum(opened, close) * (1 - reach[1]),
        "close": close,
        "volume": rng.integers(0, 1000, count).astype(float),
    })  # fmt: skip
    prices = ["open", "high", "low", "close"]
    frame[prices] = frame[prices].round(places)
    return frame


def hourly(frame: pd.DataFrame) -> pd.DataFrame:
    """Join candles to hours."""
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return frame.resample("1h", on="date").agg(rules).reset_index()


def write_candles(folder: Path, frames: Mapping[str, pd.DataFrame], data_format: str = "feather") -> Path:
    """Write frames by freqtrade's file stem, such as `AAA_USDT-5m`, as freqtrade writes them."""
    for stem, frame in frames.items():
        path = folder / stem
        path.parent.mkdir(parents=True, exist_ok=True)
        match data_format:
            case "feather":
                frame.to_feather(path.with_name(path.name + ".feather"))
            case "parquet":
                frame.to_parquet(path.with_name(path.name + ".parquet"))
            case _:
                rows = frame.assign(date=frame["date"].dt.as_unit("ms").astype("int64"))
                suffix = ".json.gz" if data_format == "jsongz" else ".json"
                rows.to_json(
                    path.with_name(path.name + suffix), orient="values",
                    compression="gzip" if data_format == "jsongz" else None,
                )  # fmt: skip
    return folder


def spot_candles(folder: Path, count: int = 1500, data_format: str = "feather") -> Path:
    """Write three pairs of 5m candles and their hours."""
    frames: dict[str, pd.DataFrame] = {}
    for seed, name in enumerate(("AAA", "BBB", "CCC"), 1):
        candles = walk(seed, count, price=10.0**seed)
        frames |= {f"{name}_USDT-5m": candles, f"{name}_USDT-1h": hourly(candles)}
    return write_candles(folder, frames, data_format)


def futures_candles(folder: Path, count: int = 1500) -> Path:
    """Write two perpetuals with mark prices and funding every eight hours."""
    frames: dict[str, pd.DataFrame] = {}
    for seed, name in enumerate(("AAA", "BBB"), 1):
        candles = walk(seed, count, price=10.0**seed)
        hours = hourly(candles)
        funding = hours.loc[hours["date"].dt.hour % 8 == 0, ["date"]].reset_index(drop=True)
        funding["funding_rate"] = np.random.default_rng(seed).normal(0.0001, 0.0002, len(funding)).round(8)
        frames |= {
            f"futures/{name}_USDT_USDT-5m-futures": candles,
            f"futures/{name}_USDT_USDT-1h-mark": hours,
            f"futures/{name}_USDT_USDT-1h-funding_rate": funding,
        }
    return write_candles(folder, frames)


def write_config(path: Path, **changes: Any) -> Path:
    """Write the configuration with these keys replaced; a dictionary replaces single keys of one."""
    content = json.loads(json.dumps(CONFIG))
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            content[key] |= value
        else:
            content[key] = value
    path.write_text(json.dumps(content, indent=2))
    return path
