"""Load strategies one by one, and name the attribute that is wrong where freqtrade's line does not.

Problem: freqtrade says "0.1 is greater than or equal to the maximum of 0" of a stop, "invalid literal for
int()" of a ROI table, and nothing of a file that calls `sys.exit`. What it knew is kept in the error it
raised from and in the configuration it had written the attributes into; here both are looked at.

Not here: finding files and classes (`resolving`), what a strategy computes (`analysis`). Invariant: a
strategy that cannot be run is one line with its name and file, and leaves the others of a list as they are.
"""

import traceback
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from freqtrade.constants import Config
from freqtrade.exceptions import ConfigurationError
from freqtrade.exchange import Exchange
from freqtrade.strategy.interface import IStrategy
from jsonschema import ValidationError

from freqtrade_bridge.config_keys import said
from freqtrade_bridge.faults import in_one_line
from freqtrade_bridge.resolving import Refused, load_strategy
from parley.errors import UserError

_FAILED = " failed in loading: "


def load_named(config: Config) -> IStrategy:
    """Load the strategy the configuration names, as `resolving.load_strategy` does.

    Raises
    ------
    UserError
        When it cannot be loaded; with the attribute that is wrong, if it is one.
    """
    try:
        return load_strategy(config)
    except UserError as error:
        if (better := _with_key(error, config)) is not None:
            raise UserError(better) from error
        raise
    except SystemExit as error:
        raise UserError(told_exit(str(config["strategy"]), error)) from error


def load_each(config: Config, names: Sequence[str]) -> list[IStrategy | Refused]:
    """Load several strategies, each with a configuration of its own; what cannot be loaded is named."""
    loaded: list[IStrategy | Refused] = []
    for name in names:
        own = deepcopy(config)
        own["strategy"] = name
        try:
            loaded.append(load_named(own))
        except UserError as error:
            loaded.append(Refused(name, str(error)))
    return loaded


def told_exit(name: str, error: SystemExit) -> str:
    """Say where a strategy's code ended the whole process, as `sys.exit` does."""
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if "_sitebuiltins" not in each.filename
    ]
    place = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "unknown file"
    return (
        f"strategy {name!r} ({place}): its code must not end the process, raised SystemExit({error.code!r})"
    )


def check_warm_up(
    strategies: Sequence[IStrategy], exchange: Exchange, timeframe: str
) -> tuple[tuple[IStrategy, ...], tuple[Refused, ...]]:
    """Tell strategies whose warm-up the exchange's candles can fill from those that ask for too much."""
    found: list[IStrategy] = []
    refused: list[Refused] = []
    for strategy in strategies:
        if (reason := _wrong_warm_up(strategy, exchange, timeframe)) is None:
            found.append(strategy)
        else:
            name = strategy.get_strategy_name()
            refused.append(Refused(name, f"strategy {name!r} ({strategy.__file__}): {reason}"))
    return tuple(found), tuple(refused)


def _wrong_warm_up(strategy: IStrategy, exchange: Exchange, timeframe: str) -> str | None:
    count: object = strategy.startup_candle_count
    if not isinstance(count, int):
        return f"startup_candle_count must be a whole number of candles, was {count!r}"
    try:
        exchange.validate_required_startup_candles(count, timeframe)
    except (ConfigurationError, OverflowError) as error:
        return f"startup_candle_count must be smaller, was {count}: {in_one_line(error)}"
    return None


def _with_key(error: UserError, config: Config) -> str | None:
    cause = error.__cause__
    if isinstance(cause, ConfigurationError) and isinstance(wrong := cause.__context__, ValidationError):
        return str(error).removesuffix(in_one_line(cause)) + said(wrong)
    head, failed, _ = str(error).partition(_FAILED)
    if failed and isinstance(cause, TypeError | ValueError | AttributeError):
        # freqtrade writes attributes into the configuration before it reads them as numbers.
        reason = _wrong_attribute(config)
        return None if reason is None else f"{head}: {reason}"
    return None


def _wrong_attribute(config: Config) -> str | None:
    roi: Any = config.get("minimal_roi", {})
    if not isinstance(roi, dict):
        return f"minimal_roi must be a table of minutes and ratios, was {roi!r}"
    for minutes in roi:
        if not _is_read_by(int, minutes):
            return f"minimal_roi must have whole minutes as keys, was {minutes!r}"
    stop, most = config.get("stoploss", 0.0), config.get("max_open_trades", 0)
    if not _is_read_by(float, stop):
        return f"stoploss must be a number below 0, was {stop!r}"
    return None if isinstance(most, int | float) else f"max_open_trades must be a number, was {most!r}"


def _is_read_by(kind: type[int] | type[float], value: Any) -> bool:
    try:
        kind(value)
    except (TypeError, ValueError):
        return False
    return True
