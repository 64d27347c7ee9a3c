"""Small seeded markets with signals, and settings for them."""

from typing import Any

import numpy as np
import pandas as pd

from parley.kernels.settings import TICK_SIZE, PairSpec, SimulationSettings


def frame(seed: int, candles: int, *, start: str = "2024-01-01", signals: float = 0.05) -> pd.DataFrame:
    """5m candles of a random walk with entry and exit signals."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.004, candles))), 3)
    open_ = np.concatenate([[100.0], close[:-1]])
    table = pd.DataFrame(
        {
            "date": pd.date_range(start, periods=candles, freq="5min", tz="UTC", unit="ms"),
            "open": open_,
            "high": np.round(np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.002, candles))), 3),
            "low": np.round(np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.002, candles))), 3),
            "close": close,
            "volume": 1.0,
            "enter_tag": "",
            "exit_tag": "",
        }
    )
    for name in ("enter_long", "exit_long", "enter_short", "exit_short"):
        table[name] = (rng.random(candles) < signals).astype(np.int64)
    table.loc[table["enter_long"] == 1, "enter_tag"] = "dip"
    return table


def spec(pair: str, **fields: Any) -> PairSpec:
    """Rules of a pair with ticks and a least cost."""
    rules = {"amount_precision": 1e-4, "price_precision": 1e-3, "cost_min": 5.0, "amount_min": 1e-4, **fields}
    return PairSpec(pair=pair, base_currency=pair.split("/")[0], **rules)


def settings(**fields: Any) -> SimulationSettings:
    """A spot run with a stop, a table of profits and exit signals."""
    rules: dict[str, Any] = {
        "timeframe": "5m",
        "timeframe_ms": 300_000,
        "stake_currency": "USDT",
        "stake_amount": 100.0,
        "dry_run_wallet": 1000.0,
        "fee": 0.001,
        "max_open_trades": 3.0,
        "exchange": "binance",
        "precision_mode": TICK_SIZE,
        "precision_mode_price": TICK_SIZE,
        "minimal_roi": ((0, 0.03), (30, 0.01), (120, 0.0)),
        "stoploss": -0.02,
        **fields,
    }
    return SimulationSettings(**rules)


def world(pairs: int = 3, candles: int = 600, **fields: Any) -> dict[str, Any]:
    """The arguments of `backtest.simulation.simulate`."""
    names = [f"COIN{k}/USDT" for k in range(pairs)]
    return {
        "frames": {name: frame(k, candles) for k, name in enumerate(names)},
        "settings": settings(**fields),
        "pairs": {name: spec(name) for name in names},
    }
