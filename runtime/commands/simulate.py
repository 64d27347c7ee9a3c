"""`parley backtest`: simulate freqtrade strategies and show what freqtrade would show.

Not here: loading, simulating, figures (`runtime.backtesting`), tables (`runtime.backtest_tables`). Invariant:
with ``--json`` standard output holds one object; a strategy that could not be run is one line on standard
error and exit code 1, nothing that could be run is exit code 2.
"""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import typer

from freqtrade_bridge.options import Options
from freqtrade_bridge.report import plain
from parley.errors import UserError, nearest
from runtime.backtest_tables import show_comparison, show_strategy
from runtime.backtesting import Backtested, Wanted, run_backtest
from runtime.foresight_report import show_foresight, told_foresight
from runtime.freqtrade_log import freqtrade_log
from runtime.history import home_folder
from runtime.output import console, print_json
from runtime.watching import progress

_EXPORTS: Final = ("none", "trades", "signals")
_PERIODS: Final = ("day", "week", "month", "year", "weekday")
_FORMATS: Final = ("feather", "parquet", "json", "jsongz")
_AGES: Final = ("none", "day", "week", "month")
_FREQAI: Final = ("freqaimodel", "freqaimodel_path", "freqai_backtest_live_models")
# Of the command, and not of the run.
_NO_OPTIONS: Final = frozenset({*_FREQAI, "cache", "export_filename", "verbose", "logfile"})


def backtest(given: Mapping[str, Any], *, as_json: bool) -> int:
    """Run the backtest these options ask for; returns the exit code.

    Raises
    ------
    UserError
        When nothing could be run.
    """
    # One allocator for everything: what one frees, the other can use, and a year of many pairs needs both.
    pa.set_memory_pool(pa.system_memory_pool())
    beside = Wanted(foresight=not given["no_lookahead_check"], pages=given["page"], candles=False)
    options = options_of({k: v for k, v in given.items() if k not in ("no_lookahead_check", "page")})
    # What strategies print is not the answer.
    with (
        freqtrade_log(given.get("verbose"), given.get("logfile")),
        progress() as watch,
        redirect_stdout(sys.stderr),
    ):
        done = run_backtest(options, watch, wanted=beside)
    if as_json:
        print_json(_told(done))
    else:
        _show(done, options.breakdown)
    for refused in done.refused:
        typer.echo(f"parley: {refused.reason}", err=True)
    return 1 if done.refused or not all(each.is_clean for each in done.foresight.values()) else 0


def options_of(given: Mapping[str, Any]) -> Options:
    """Make of the command line's options, by their names in `runtime.cli_backtest`, what the bridge takes.

    Raises
    ------
    UserError
        When a value is none of those that are possible.
    """
    for name in _FREQAI:
        if given.get(name):
            raise UserError(f"--{name.replace('_', '-')}: FreqAI is not supported yet")
    for name, known in (("export", _EXPORTS), ("dataformat_ohlcv", _FORMATS), ("cache", _AGES)):
        value = given.get(name)
        if value is not None and value not in known:
            raise UserError(f"{name} must be one of {', '.join(known)}, was {value!r}")
    for period in given["breakdown"]:
        if period not in _PERIODS:
            raise UserError(f"there is no breakdown by {period!r}: {nearest(period, list(_PERIODS))}")
    chosen = {name: value for name, value in given.items() if name not in _NO_OPTIONS}
    if given.get("export_filename") is not None and not chosen["backtest_directory"]:
        chosen["backtest_directory"] = _folder_of_results(given["export_filename"])
    userdir: Path | None = chosen["user_data_dir"]
    if userdir is not None and not userdir.is_dir():
        raise UserError(f"there is no folder of user data {str(userdir)!r}")
    chosen["user_data_dir"] = userdir or _user_data()
    chosen["config"] = chosen["config"] or _configuration(chosen["user_data_dir"])
    return Options(**chosen)


def _folder_of_results(named: Path) -> Path | None:
    # freqtrade's own rule: a folder is one for results, a file's name is not looked at any more.
    if named.is_dir():
        return named
    typer.echo(
        f"parley: --export-filename {named} says nothing, as in freqtrade: name a folder with"
        " --backtest-directory, or a text with --notes",
        err=True,
    )
    return None


def _user_data() -> Path:
    # freqtrade's own place, where somebody uses freqtrade here; else one of ours, so that no folder appears.
    beside = Path.cwd() / "user_data"
    return beside if beside.is_dir() else home_folder() / "freqtrade"


def _configuration(userdir: Path) -> tuple[Path, ...]:
    found = [path for path in (userdir / "config.json", Path("config.json")) if path.is_file()]
    return tuple(found[:1])


def _show(done: Backtested, periods: tuple[str, ...]) -> None:
    out = console()
    for name, figures in done.results.items():
        show_strategy(out, name, figures, periods)
    show_comparison(out, done.results, done.comparison)
    candles = sum(len(rows) for rows in done.prepared.candles.values())
    spent = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in done.seconds.items())
    out.print(f"{candles:,} candles of {len(done.prepared.candles)} pairs; {spent}", style="dim")
    if done.prepared.skipped:
        out.print(f"without candles in this time: {', '.join(done.prepared.skipped)}", style="yellow")
    for line in done.warnings:
        out.print(line, style="yellow")
    show_foresight(out, done.foresight)
    if done.file is not None:
        out.print(f"result: {done.file}", style="dim")
    for page in done.pages:
        out.print(f"page: {page}", style="dim", soft_wrap=True)


def _told(done: Backtested) -> dict[str, Any]:
    told: dict[str, Any] = plain({
        "strategies": done.results,
        "comparison": done.comparison,
        "refused": {each.name: each.reason for each in done.refused},
        "warnings": list(done.warnings),
        "skipped_pairs": list(done.prepared.skipped),
        "seconds": done.seconds,
        "performance": {name: each._asdict() for name, each in done.performance.items()},
        "lookahead": told_foresight(done.foresight),
        "pages": [str(page) for page in done.pages],
        "file": None if done.file is None else str(done.file),
    })  # fmt: skip
    return told
