"""`parley backtest --desk FILE`: the whole desk on recorded candles, and what came of it.

Not here: running it (`runtime.desk_backtest`), showing it (`runtime.desk_report`), desks of freqtrade
strategies (`seated_backtest`). Invariant: with ``--json`` standard output holds one object; a ledger that
differs from the simulated venue is exit code 1.
"""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from parley.errors import UserError
from runtime.desk_backtest import run_desk_backtest
from runtime.desk_report import Asked, report
from runtime.settings import load_settings
from runtime.watching import progress

# Options of freqtrade's that a desk's settings have, too, by the settings' names.
_KNOWN: Final = {"pairs": "pairs", "timeframe": "timeframe", "datadir": "data", "dry_run_wallet": "capital"}
_OWN: Final = frozenset({"timerange", "page"})


def backtest_desk(config: Path, given: Mapping[str, Any], beside: Mapping[str, Any]) -> int:
    """Run the desk of a settings file over the candles it names; returns the exit code.

    given: what the command line says otherwise, by the names of `runtime.cli_backtest`'s options.
    beside: the fields of `Asked`.

    Raises
    ------
    UserError
        When settings, options or candles are wrong.
    """
    asked = Asked(**beside)
    asked.check()
    settings = load_settings(config, _options(given) | asked.settings)
    # What agents print is not the answer.
    with progress() as watch, redirect_stdout(sys.stderr):
        result = run_desk_backtest(settings, asked.spread, watch)
    return report(result, asked)


def _options(given: Mapping[str, Any]) -> dict[str, object]:
    """Translate options into settings; those that only a freqtrade strategy has are errors."""
    said = {name: v for name, v in given.items() if not (v is None or v is False or v == ())}
    strange = sorted(set(said) - set(_KNOWN) - _OWN)
    if strange:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in strange)
        raise UserError(f"{names} says nothing to a whole desk: its file describes strategies and money")
    options: dict[str, object] = {_KNOWN[name]: value for name, value in said.items() if name in _KNOWN}
    if "capital" in options:
        options["capital"] = Decimal(repr(options["capital"]))
    return options | _window(said.get("timerange"))


def _window(timerange: str | None) -> dict[str, object]:
    if timerange is None:
        return {}
    begin, dash, end = timerange.partition("-")
    if not dash or not (begin or end):
        raise UserError(f"--timerange must be FROM-TO, such as 20240101-20240201, was {timerange!r}")
    return {name: _moment(text) for name, text in (("start", begin), ("end", end)) if text}


def _moment(text: str) -> datetime:
    for form in ("%Y%m%d", "%Y%m%dT%H%M"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise UserError(f"--timerange must name days such as 20240101 or 20240101T1200, was {text!r}")
