"""Check each configuration file by itself: its syntax, its keys, the kinds of its values.

Problem: freqtrade ignores a key it does not know and reports a wrong value without saying where it stands, so
a misspelt `stoplos` changes a result in silence. Here every key is looked up in freqtrade's own schema while
the file it came from is still known, and the error names file, line, key, what was expected and what was
there.

Not here: how files are merged and what they mean (`configuration`). Invariant: a file that passes is merged
by freqtrade without a change; keys that begin with `$` or `_` are comments and never looked at.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rapidjson
from freqtrade.config_schema import CONF_SCHEMA
from freqtrade.configuration.config_validation import FreqtradeValidator
from freqtrade.configuration.environment_vars import environment_vars_to_dict
from freqtrade.constants import ENV_VAR_PREFIX, UNLIMITED_STAKE_AMOUNT
from jsonschema import Draft4Validator, ValidationError
from jsonschema.exceptions import best_match

from parley.errors import ConfigError, UserError, nearest

_JSON: Final = rapidjson.PM_COMMENTS | rapidjson.PM_TRAILING_COMMAS
_DEEPEST: Final = 5
# Read by freqtrade although its schema does not list them: options of its command line that a file may set,
# attributes that a file may set for a strategy, older names that it still moves to the new ones.
_UNLISTED: Final = frozenset(
    (
        "timerange",
        "timeframe_detail",
        "strategy_list",
        "pairs",
        "position_stacking",
        "enable_protections",
        "enable_dynamic_pairlist",
        "exportfilename",
        "exportdirectory",
        "backtest_notes",
        "backtest_show_pair_list",
        "freqai_backtest_live_models",
        "logfile",
        "verbosity",
        "print_colorized",
        "config_files",
        "futures_funding_rate",
        "pairlist_refresh_period",
        "startup_candle_count",
        "use_custom_stoploss",
        "use_custom_roi",
        "protections",
        "ticker_interval",
        "db_url_from",
        "sd_notify",
        "ask_strategy",
        "bid_strategy",
        "forcebuy_enable",
        "use_sell_signal",
        "sell_profit_only",
        "sell_profit_offset",
        "ignore_roi_if_buy_signal",
        "edge",
    )
)
_UNLISTED_WITHIN: Final[Mapping[str, frozenset[str]]] = {
    "exchange": frozenset(
        (
            "_ft_has_params",
            "demo_trading",
            "only_from_ccxt",
            "skip_open_order_update",
            "apiKey",
            "accountId",
            "walletAddress",
            "privateKey",
            "use_public_trades",
            "skip_pair_validation",
        )
    ),
    "order_types": frozenset(
        ["buy", "sell", "emergencysell", "forcebuy", "forcesell", "emergencyexit", "forceexit", "forceentry"]
    ),
    "order_time_in_force": frozenset({"buy", "sell"}),
    "unfilledtimeout": frozenset({"buy", "sell"}),
    "entry_pricing": frozenset({"order_book_min", "order_book_max"}),
    "exit_pricing": frozenset({"order_book_min", "order_book_max"}),
}


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    text: str
    content: dict[str, Any]

    def line_of(self, key: str) -> int | None:
        found = re.search(rf'"{re.escape(key)}"\s*:', self.text)
        return self.text.count("\n", 0, found.start()) + 1 if found else None

    def place(self, key: str) -> str:
        line = self.line_of(key)
        return f"{self.path}, line {line}" if line else str(self.path)


def check_files(paths: tuple[Path, ...], *, allow_unknown: bool = False) -> None:
    """Read every configuration file, those they add included, and refuse the first thing that is wrong.

    Raises ------ UserError When a file is not there; ConfigError when it is no JSON, has an unknown key or a
    value of a wrong kind.
    """
    for path in paths:
        for file in _read_all(path, 0):
            if not allow_unknown:
                _check_keys(file.content, file)
            _check_values(file.content, file)


def check_environment(*, allow_unknown: bool = False) -> None:
    """Refuse an environment variable of freqtrade's prefix whose key nobody knows."""
    if allow_unknown:
        return
    for key in environment_vars_to_dict():
        if not _is_known(key, _known_keys()):
            raise ConfigError(
                f"environment variable {ENV_VAR_PREFIX}{key.upper()}: there is no setting {key!r},"
                f" {nearest(key, _known_keys())}"
            )


def check_settings(settings: Mapping[str, Any], *, allow_unknown: bool = False) -> None:
    """Refuse unknown keys and wrong kinds in settings that come from no file."""
    file = _File(Path("settings"), "", dict(settings))
    if not allow_unknown:
        _check_keys(file.content, file)
    _check_values(file.content, file)


def check_merged(config: Mapping[str, Any]) -> None:
    """Refuse a merged configuration that lacks a key one of its parts must have, and that has no default."""
    # On a copy: freqtrade's validator writes the defaults into what it looks at.
    wrong = list(FreqtradeValidator(CONF_SCHEMA).iter_errors(deepcopy(dict(config))))
    if wrong:
        # Told of what the user gave, without the defaults.
        stay = {(tuple(each.absolute_path), each.message) for each in wrong}
        given = Draft4Validator(CONF_SCHEMA).iter_errors(config)
        told = [each for each in given if (tuple(each.absolute_path), each.message) in stay]
        raise ConfigError(_told(best_match(told or wrong), _File(Path("configuration"), "", {})))


def clash(paths: tuple[Path, ...]) -> str | None:
    """Say which key one file has as an object and another not; freqtrade cannot merge them."""
    files = [file for path in paths for file in _read_all(path, 0)]
    for key in dict.fromkeys(key for file in files for key in file.content):
        having = [file for file in files if key in file.content]
        objects = [file for file in having if isinstance(file.content[key], dict)]
        others = [file for file in having if file not in objects]
        if objects and others:
            was = _short(others[0].content[key])
            return f"{others[0].place(key)}: {key} must be an object as in {objects[0].place(key)}, was {was}"
    return None


def _read_all(path: Path, depth: int) -> Iterator[_File]:
    if depth > _DEEPEST:
        raise ConfigError(f"{path}: configuration files add each other in a circle")
    if str(path) == "-":
        return
    file = _read(path)
    yield file
    for added in file.content.get("add_config_files", []):
        yield from _read_all(path.resolve().parent / str(added), depth + 1)


def _read(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no configuration file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    try:
        content = rapidjson.loads(text, parse_mode=_JSON)
    except rapidjson.JSONDecodeError as error:
        offset = re.search(r"offset (\d+)", str(error))
        line = text.count("\n", 0, int(offset[1])) + 1 if offset else 1
        reason = str(error).partition(": ")[2] or str(error)
        raise ConfigError(f"{path}, line {line}: expected JSON, {reason[:1].lower()}{reason[1:]}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a JSON object, was {type(content).__name__}")
    return _File(path, text, content)


def _known_keys() -> list[str]:
    return sorted({*CONF_SCHEMA["properties"], *_UNLISTED})


def _is_known(key: str, known: list[str]) -> bool:
    return key in known or key.startswith(("$", "_"))


def _check_keys(content: Mapping[str, Any], file: _File) -> None:
    top = _known_keys()
    for key, value in content.items():
        if not _is_known(key, top):
            raise ConfigError(f"{file.place(key)}: there is no setting {key!r}, {nearest(key, top)}")
        if key not in _UNLISTED_WITHIN or not isinstance(value, dict):
            continue
        within = sorted({*_properties_of(key), *_UNLISTED_WITHIN[key]})
        for name in value:
            if not _is_known(name, within):
                raise ConfigError(
                    f"{file.place(name)}: there is no setting {key + '.' + name!r}, {nearest(name, within)}"
                )


def _properties_of(key: str) -> list[str]:
    schema = CONF_SCHEMA["properties"][key]
    if "$ref" in schema:
        schema = CONF_SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    return list(schema["properties"])


def _check_values(content: Mapping[str, Any], file: _File) -> None:
    # A key that another file adds is not missing yet.
    wrong = [
        error for error in Draft4Validator(CONF_SCHEMA).iter_errors(content) if error.validator != "required"
    ]
    if wrong:
        raise ConfigError(_told(best_match(wrong), file))


def _told(error: ValidationError, file: _File) -> str:
    keys = [str(part) for part in error.absolute_path]
    key = next((part for part in reversed(keys) if not part.isdigit()), "")
    return f"{file.place(key)}: {said(error)}"


def said(error: ValidationError) -> str:
    """Say in a few words which key of the schema is wrong, what was expected and what was there."""
    named = ".".join(str(part) for part in error.absolute_path) or "configuration"
    was = "" if error.validator == "required" else f", was {_short(error.instance)}"
    return f"{named} {_expected(error)}{was}"


def _expected(error: ValidationError) -> str:
    wanted = error.validator_value
    match error.validator:
        case "type":
            return "must be " + (" or ".join(wanted) if isinstance(wanted, list) else str(wanted))
        case "enum":
            return "must be one of " + ", ".join(repr(each) for each in wanted)
        case "minimum":
            return f"must be {'above' if error.schema.get('exclusiveMinimum') else 'at least'} {wanted}"
        case "maximum":
            return f"must be {'below' if error.schema.get('exclusiveMaximum') else 'at most'} {wanted}"
        case "pattern" if wanted == UNLIMITED_STAKE_AMOUNT:
            return f"must be a number or {wanted!r}"
        case "required":
            return f"must have {error.message.partition(' is ')[0]}, has {', '.join(sorted(error.instance))}"
        case _:
            return f"is not what freqtrade's schema asks for ({error.validator} {_short(wanted)})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
