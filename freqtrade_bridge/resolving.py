"""Find and load strategies by freqtrade's own resolver, and say why one cannot be loaded.

Problem: freqtrade's resolver answers "does not exist or contains Python code errors" for a misspelt name, a
missing library and a syntax error alike. Here the reason is looked up afterwards: the nearest name, or the
file, the line and what Python said.

Not here: what a strategy computes (`analysis`). Invariant: a strategy that loads has every attribute as
freqtrade resolves it (configuration over parameter file over class), and one that does not load leaves the
others of a list as they are.
"""

import ast
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from freqtrade.configuration import validate_config_consistency
from freqtrade.constants import Config
from freqtrade.resolvers import StrategyResolver
from freqtrade.strategy.interface import IStrategy

from freqtrade_bridge.faults import strategy_code, told
from parley.errors import UserError, nearest

# What freqtrade says of a parameter file that names another strategy.
_OTHERS_PARAMETERS = "Invalid parameter file provided."
_CLASS = re.compile(r"^class\s+(?P<name>\w+)\s*\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Refused:
    """A strategy that cannot be run, and why in one line."""

    name: str
    reason: str


def named_strategies(config: Config, names: Sequence[str]) -> tuple[str, ...]:
    """Return class names: a file or folder given in place of a name stands for the strategies in it.

    Its folder becomes the configuration's `strategy_path`.

    Raises
    ------
    UserError
        When there is no strategy in it, or several folders are named.
    """
    found: list[str] = []
    for name in names:
        path = Path(name)
        if ":" in name or not (path.suffix == ".py" or "/" in name):
            found.append(name)
            continue
        if not path.exists():
            raise UserError(f"there is no strategy file or folder {name!r}")
        folder = path if path.is_dir() else path.parent
        known = config.get("strategy_path")
        if known is not None and Path(known).resolve() != folder.resolve():
            raise UserError(
                f"strategies must come from one folder, were from {str(known)!r} and {str(folder)!r}"
            )
        config["strategy_path"] = str(folder)
        files = sorted(folder.glob("*.py")) if path.is_dir() else [path]
        inside = [each for file in files for each in _strategies_in(file)]
        if not inside:
            raise UserError(f"{name}: expected a class that extends IStrategy, found none")
        found.extend(inside)
    return tuple(dict.fromkeys(found))


def load_strategy(config: Config) -> IStrategy:
    """Load the strategy the configuration names; its attributes are written into the configuration.

    Raises
    ------
    UserError
        When it is not there, does not import, is no strategy of today's interface or has no timeframe.
    """
    name = str(config["strategy"])
    file = _file_of(config, name)
    with strategy_code(name, file, "loading"):
        # The error is looked up before freqtrade turns it into another one.
        try:
            strategy = StrategyResolver.load_strategy(config)
        except Exception as error:
            raise _explained(config, name, file, error) from error
    if not config.get("timeframe"):
        raise UserError(
            f"strategy {name!r} ({file or strategy.__file__}): timeframe must be set in the strategy, the"
            " configuration or by --timeframe, was not"
        )
    with told(f"strategy {name!r} ({strategy.__file__})"):
        validate_config_consistency(config)
    return strategy


def _explained(config: Config, name: str, file: Path | None, error: Exception) -> Exception:
    if ":" in name:
        return error
    if file is not None and str(error) == _OTHERS_PARAMETERS:
        return _told_parameters(name, file)
    if file is None:
        known = sorted({each for path in _files(config) for each in _strategies_in(path)})
        hint = nearest(name, known) if known else "there are no strategies"
        folders = ", ".join(repr(str(folder)) for folder in _folders(config))
        return UserError(f"there is no strategy {name!r} in {folders}: {hint}")
    return _import_error(file) or error


def _told_parameters(name: str, file: Path) -> UserError:
    parameters = file.with_suffix(".json")
    was = json.loads(parameters.read_text(encoding="utf-8")).get("strategy_name")
    return UserError(f"strategy {name!r} ({file}): {parameters}: strategy_name must be {name!r}, was {was!r}")


def _import_error(file: Path) -> Exception | None:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        return None
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:  # noqa: BLE001 - whatever the file raises is what the user has to know
        return error
    finally:
        sys.path.remove(str(file.parent))
    return None


def _file_of(config: Config, name: str) -> Path | None:
    return next((path for path in _files(config) if name in _classes_in(path)), None)


def _files(config: Config) -> Iterator[Path]:
    for folder in _folders(config):
        deep = config.get("recursive_strategy_search", False)
        yield from sorted(folder.rglob("*.py") if deep else folder.glob("*.py"))


def _folders(config: Config) -> list[Path]:
    extra = config.get("strategy_path")
    paths = [Path(extra)] if extra else []
    return [path for path in [*paths, Path(config["user_data_dir"]) / "strategies"] if path.is_dir()]


def _classes_in(file: Path) -> list[str]:
    return _CLASS.findall(file.read_text(encoding="utf-8", errors="replace"))


def _strategies_in(file: Path, above: frozenset[Path] = frozenset()) -> list[str]:
    """Name the classes of a file that extend a strategy, also one of this file or of a file beside it."""
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        statements = ast.parse(text).body
    except SyntaxError:  # said when it is loaded
        return [
            name for name in _CLASS.findall(text) if re.search(rf"class\s+{name}\s*\([^)]*Strategy", text)
        ]
    found: list[str] = []
    beside: set[str] = set()
    for each in statements:
        if isinstance(each, ast.ImportFrom) and each.module:
            other = file.parent.joinpath(*each.module.split(".")).with_suffix(".py")
            if other.is_file() and other not in above:
                known = _strategies_in(other, above | {file})
                beside |= {alias.asname or alias.name for alias in each.names if alias.name in known}
        elif isinstance(each, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in each.bases}
            if bases & {*found, *beside} or any("Strategy" in base for base in bases):
                found.append(each.name)
    return found
