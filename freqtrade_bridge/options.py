"""What a backtest is asked for: freqtrade's own command line options by freqtrade's own names.

Not here: defaults that depend on the machine (`runtime.commands.simulate`), what the options mean
(`configuration`). Invariant: an option left at None leaves configuration and strategy as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `parley backtest` and of `freqtrade backtesting`.

    ``settings`` is merged over the configuration files and ``given`` is a strategy class or object in place
    of a name, for callers that have no file. ``markets`` and ``leverage_tiers`` are JSON files as ccxt's
    `load_markets` and `fetch_leverage_tiers` give them.
    """

    user_data_dir: Path
    config: tuple[Path, ...] = ()
    datadir: Path | None = None
    strategy: str | None = None
    strategy_list: tuple[str, ...] = ()
    strategy_path: Path | None = None
    recursive_strategy_search: bool = False
    timeframe: str | None = None
    timeframe_detail: str | None = None
    timerange: str | None = None
    pairs: tuple[str, ...] = ()
    dataformat_ohlcv: str | None = None
    max_open_trades: int | None = None
    stake_amount: str | None = None
    dry_run_wallet: float | None = None
    fee: float | None = None
    enable_protections: bool = False
    position_stacking: bool = False
    enable_dynamic_pairlist: bool = False
    export: str | None = None
    backtest_directory: Path | None = None
    breakdown: tuple[str, ...] = ()
    notes: str | None = None
    markets: Path | None = None
    leverage_tiers: Path | None = None
    allow_unknown_keys: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Any = None
