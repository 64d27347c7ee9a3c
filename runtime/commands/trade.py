"""`parley trade --mode paper`: freqtrade strategies trade with a desk on the sandbox exchange.

Not here: planning the run (`runtime.paper`), running it (`run`), what came of it beside a backtest
(`runtime.shadow`). Invariant: as in `run`; nothing is started before strategies and candles are found good.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from parley.errors import ParleyError, UserError
from runtime.commands.live import live
from runtime.commands.run import play
from runtime.commands.simulate import options_of
from runtime.history import open_journal
from runtime.output import console
from runtime.paper import plan
from runtime.settings import load_settings
from runtime.shadow import shadow

_TERMINATED = 143
SPEED = 300.0  # market seconds per second
PARTS = 8
MODES = ("paper", "live")


def trade(
    mode: str, desk: Path | None, settings: Mapping[str, object], given: Mapping[str, Any], *,
    consent: bool, confirmed: str | None = None, resumes: str = "", forgets: bool = False,
    as_json: bool,
) -> int:  # fmt: skip
    """Trade freqtrade strategies until their candles end or somebody stops it; returns the exit code.

    given: freqtrade's options, by the names of `runtime.cli_backtest`'s. The rest: as `live`.

    Raises
    ------
    UserError
        When mode, settings, a strategy or candles are wrong.
    """
    if mode not in MODES:
        raise UserError(f"there is no mode {mode!r}: modes are {', '.join(MODES)}")
    if mode == "live":
        _refuse_of_freqtrade(given, consent=consent)
        return live(
            desk,
            {**settings, "pairs": given["pairs"] or None},
            confirmed,
            resumes,
            forgets=forgets,
            as_json=as_json,
        )
    if confirmed is not None or resumes or forgets:
        raise UserError(
            "--real-money, --resume and --new belong to --mode live: a run on paper begins and ends"
        )
    loaded = load_settings(desk, settings)
    if loaded.also:
        further = ", ".join(loaded.also)
        raise UserError(f"also: strategies of freqtrade trade at one exchange, was {further} beside it")
    if loaded.speed is None:
        loaded = loaded.model_copy(update={"speed": SPEED})
    if "candle_parts" not in loaded.model_fields_set:
        loaded = loaded.model_copy(update={"candle_parts": PARTS})
    home = loaded.home.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    _remove_markets(home)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with tempfile.TemporaryDirectory(prefix=f"market-{os.getpid()}-", dir=home) as name:
            console(stderr=True).print("loading strategies and candles", style="dim")
            with redirect_stdout(sys.stderr):  # what strategies print is not the answer
                paper = plan(loaded, options_of(given), Path(name), consent=consent)
            return play(
                paper.settings, paper.compose,
                as_json=as_json, with_database=loaded.pace != "max", market=paper.market,
                afterwards=lambda journal: {"data": None, **_beside_a_backtest(journal, as_json=as_json)},
            )  # fmt: skip
    except _Terminated:
        return _TERMINATED


def _refuse_of_freqtrade(given: Mapping[str, Any], *, consent: bool) -> None:
    named = [
        name
        for name, value in given.items()
        if not (value is None or value is False or value == ()) and name != "pairs"
    ]
    if named:
        raise UserError(
            f"{', '.join(named)}: freqtrade's strategies and options are for paper so far; with --mode live"
            " the desk's own strategies trade, as the settings of --desk say"
        )
    if consent:
        raise UserError("--consent takes away whoever could object: not with real money")


class _Terminated(BaseException):
    """Somebody asks the command to end: so that the folder goes. Not what a strategy's `sys.exit` raises."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _remove_markets(home: Path) -> None:
    """Remove the candles of runs that were killed before they could."""
    for folder in home.glob("market-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _beside_a_backtest(journal: Path, *, as_json: bool) -> dict[str, object]:
    """Lay the run beside backtests of its candles; what keeps that from being possible is said, no more."""
    with redirect_stdout(sys.stderr):
        try:
            found = shadow(open_journal(journal))
        except ParleyError as error:
            console(stderr=True).print(f"note: no shadow backtest: {error}", style="dim")
            return {"shadow": None}
    if not as_json:
        for line in found.lines():
            console().print(line, soft_wrap=True)
        console().print("in full: parley shadow", style="dim")
    return {"shadow": {"is_alarming": found.is_alarming, "lines": found.lines()}}
