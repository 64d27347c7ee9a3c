"""Import freqtrade's strategy side without one line of `freqtrade.optimize`.

Problem: `freqtrade.strategy` and `freqtrade.data.btanalysis` each import one small name from the package that
holds freqtrade's simulator, so the plain import would bring `freqtrade.optimize` into this process and nobody
could show that Parley's results are its own. While those modules are imported, three stand-ins of ours take
the places of the names they ask for; afterwards the stand-ins leave `sys.modules` again. A strategy that
itself imports `freqtrade.optimize.space` still gets freqtrade's own module then.

Not here: anything that optimises or simulates. Invariant: when freqtrade was not imported before, no module
whose name begins with `freqtrade.optimize` is in `sys.modules` after `take_away`, and no file of it was read.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final

import rapidjson
from freqtrade.enums import HyperoptState

_PACKAGE: Final = "freqtrade.optimize"


class HyperoptStateContainer:
    """What a parameter asks to know whether it is being optimised; here it never is."""

    state: ClassVar[HyperoptState] = HyperoptState.OPTIMIZE


class HyperoptTools:
    """The two questions a strategy asks when it loads its parameters."""

    @staticmethod
    def load_params_from_file(file: Path) -> dict[str, Any]:
        """Read a parameter file; NaN and infinity are allowed in it."""
        return HyperoptTools.load_params(file.read_text())

    @staticmethod
    def load_params(text: bytes | str) -> dict[str, Any]:
        """Read the text of a parameter file."""
        found: dict[str, Any] = rapidjson.loads(text, number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)
        return found

    @staticmethod
    def has_space(config: dict[str, Any], space: str) -> bool:
        """Say that no space is optimised."""
        return False


def get_backtest_metadata_filename(file: Path | str) -> Path:
    """Name the file of metadata beside a result file."""
    return Path(file).with_suffix(".meta.json")


def put() -> dict[str, ModuleType]:
    """Put the stand-ins where freqtrade will look; none when its simulator is here already."""
    if any(name == _PACKAGE or name.startswith(_PACKAGE + ".") for name in sys.modules):
        return {}
    package = ModuleType(_PACKAGE)
    # An empty path: any other submodule is "not there", as where optional parts are not installed.
    package.__path__ = []
    tools = ModuleType(f"{_PACKAGE}.hyperopt_tools")
    vars(tools).update(HyperoptStateContainer=HyperoptStateContainer, HyperoptTools=HyperoptTools)
    caching = ModuleType(f"{_PACKAGE}.backtest_caching")
    vars(caching).update(get_backtest_metadata_filename=get_backtest_metadata_filename)
    made = {module.__name__: module for module in (package, tools, caching)}
    sys.modules.update(made)
    return made


def take_away() -> None:
    """Remove the stand-ins; who asks from now on gets freqtrade's own."""
    for name, module in _PUT.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


# On import, for the imports that follow in the package's `__init__` have to find them.
_PUT: Final = put()
