"""Make freqtrade's configuration of a backtest, by freqtrade's own loader and its own checks.

Problem: what a configuration means (several files, files that add files, `FREQTRADE__` variables, options
over files, deprecated names) is freqtrade's to say; how a mistake is told is ours.

Not here: the syntax and the keys of single files (`config_keys`), strategies (`resolving`). Invariant: the
result is what `freqtrade backtesting` would hand to its simulator, run mode `backtest`, dry run, with nothing
logged and nothing asked of the network.
"""

import json
import logging
import math
import tempfile
from pathlib import Path
from typing import Any

from freqtrade.configuration import Configuration, validate_config_consistency
from freqtrade.constants import UNLIMITED_STAKE_AMOUNT, Config
from freqtrade.enums import RunMode, TradingMode
from freqtrade.misc import deep_merge_dicts
from freqtrade.util import get_dry_run_wallet

from freqtrade_bridge.config_keys import (
    check_environment,
    check_files,
    check_merged,
    check_settings,
    clash,
)
from freqtrade_bridge.faults import told
from freqtrade_bridge.options import Options
from parley.errors import ConfigError, UserError

# freqtrade tells its log how far it is; Parley's commands have their own words for that.
_log = logging.getLogger("freqtrade")
_log.setLevel(logging.ERROR)
# What freqtrade logs as an error it also raises; without a handler it would stand on the screen twice.
_log.addHandler(logging.NullHandler())


class _Quiet(Configuration):
    """freqtrade's loader without its log set-up, which would take over the process's handlers."""

    def _process_logging_options(self, config: Config) -> None:
        config.setdefault("verbosity", 0)
        config["print_colorized"] = False


def load_configuration(options: Options) -> Config:
    """Return the configuration of a backtest with these options.

    Raises
    ------
    UserError
        When a file or folder is not there; ConfigError when a setting is unknown or wrong.
    """
    check_files(options.config, allow_unknown=options.allow_unknown_keys)
    check_environment(allow_unknown=options.allow_unknown_keys)
    check_settings(options.settings, allow_unknown=options.allow_unknown_keys)
    if options.datadir is not None and not options.datadir.is_dir():
        raise UserError(f"there is no folder of candles {str(options.datadir)!r}")
    if options.strategy_path is not None and not options.strategy_path.is_dir():
        raise UserError(f"there is no folder of strategies {str(options.strategy_path)!r}")
    options.user_data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, told("configuration"):
        files = [str(path) for path in options.config]
        if options.settings:
            given = Path(folder) / "settings.json"
            given.write_text(json.dumps(options.settings))
            files.append(str(given))
        try:
            config = _Quiet({**_arguments(options), "config": files}, RunMode.BACKTEST).get_config()
        except TypeError as error:
            if (what := clash(tuple(Path(file) for file in files))) is None:
                raise
            raise ConfigError(what) from error
        config["dry_run"] = True
        _require(config)
        check_merged(config)
        validate_config_consistency(config, preliminary=True)
        _check_stake(config)
    return config


def _arguments(options: Options) -> dict[str, Any]:
    given = {
        "user_data_dir": str(options.user_data_dir),
        "datadir": None if options.datadir is None else str(options.datadir),
        "strategy": options.strategy,
        "strategy_list": list(options.strategy_list) or None,
        "strategy_path": None if options.strategy_path is None else str(options.strategy_path),
        "recursive_strategy_search": options.recursive_strategy_search,
        "timeframe": options.timeframe,
        "timeframe_detail": options.timeframe_detail,
        "timerange": options.timerange,
        "pairs": list(options.pairs) or None,
        "dataformat_ohlcv": options.dataformat_ohlcv,
        "max_open_trades": options.max_open_trades,
        "stake_amount": options.stake_amount,
        "dry_run_wallet": options.dry_run_wallet,
        "fee": options.fee,
        "enable_protections": options.enable_protections,
        "position_stacking": options.position_stacking,
        "enable_dynamic_pairlist": options.enable_dynamic_pairlist,
        "export": options.export,
        "exportdirectory": options.backtest_directory,
        "backtest_breakdown": list(options.breakdown) or None,
        "backtest_notes": options.notes,
    }
    return {name: value for name, value in given.items() if value is not None}


def _require(config: Config) -> None:
    # freqtrade wants these named; without a file there is one answer that asks nobody.
    config.setdefault("pairlists", [{"method": "StaticPairList"}])
    # Looked at by freqtrade's checks only: a backtest has no order book to take a side of.
    for side in ("entry_pricing", "exit_pricing"):
        config.setdefault(side, {"price_side": "other", "use_order_book": True})
    if not config.get("exchange", {}).get("name"):
        raise ConfigError("configuration: exchange.name must name an exchange that ccxt knows, was not given")
    for key, what in (
        ("stake_currency", "a currency such as 'USDT'"),
        ("stake_amount", "a number or 'unlimited'"),
    ):
        if config.get(key) in (None, ""):
            raise ConfigError(f"configuration: {key} must be {what}, was not given")
    _check_money(config)
    if config.get("freqai", {}).get("enabled", False):
        raise ConfigError("configuration: freqai.enabled must be false, FreqAI is not supported yet")
    if config["exchange"].get("use_public_trades", False):
        raise ConfigError(
            "configuration: exchange.use_public_trades must be false, order flow is not supported yet"
        )
    if config["trading_mode"] == TradingMode.MARGIN:
        raise ConfigError("configuration: trading_mode must be 'spot' or 'futures', was 'margin'")


def _check_money(config: Config) -> None:
    # Before the schema, which takes "not a number" for a number and any text with "unlimited" in it.
    stake = config["stake_amount"]
    if stake != UNLIMITED_STAKE_AMOUNT:
        if not isinstance(stake, int | float):
            raise ConfigError(f"configuration: stake_amount must be a number or 'unlimited', was {stake!r}")
        if not 0 < stake < math.inf:
            raise ConfigError(f"configuration: stake_amount must be above 0 or 'unlimited', was {stake!r}")
    wallet = config.get("dry_run_wallet", 0)
    for name, amount in wallet.items() if isinstance(wallet, dict) else (("", wallet),):
        if isinstance(amount, int | float) and not 0 <= amount < math.inf:
            key = f"dry_run_wallet.{name}" if name else "dry_run_wallet"
            raise ConfigError(f"configuration: {key} must be at least 0, was {amount!r}")
    for key in ("fee", "max_open_trades"):
        if isinstance(value := config.get(key, 0), float) and math.isnan(value):
            raise ConfigError(f"configuration: {key} must be a number, was {value!r}")


def _check_stake(config: Config) -> None:
    wallet = get_dry_run_wallet(config)
    usable = wallet * config["tradable_balance_ratio"]
    stake = config["stake_amount"]
    if stake != UNLIMITED_STAKE_AMOUNT and stake > usable:
        raise ConfigError(
            "configuration: stake_amount must be at most dry_run_wallet * tradable_balance_ratio ="
            f" {usable:g} {config['stake_currency']}, was {stake:g}"
        )


def merged(config: Config, settings: dict[str, Any]) -> Config:
    """Return a copy of a configuration with settings laid over it."""
    return deep_merge_dicts(settings, dict(config))
