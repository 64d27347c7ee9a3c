"""`parley backtest --desk FILE --strategy NAME`: freqtrade strategies at a desk, beside each alone.

Not here: running it (`runtime.desk_strategies`), showing a desk (`runtime.desk_report`). Invariant: as in
`desk_backtest`; candles, pairs and money are those of freqtrade's configuration.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from backtest.comparison import Standing
from backtest.seated import SeatedStrategy
from parley.errors import UserError
from runtime.commands.simulate import options_of
from runtime.desk_backtest import DeskResult
from runtime.desk_report import Asked, report
from runtime.desk_strategies import alone, compare, run_seated_backtest
from runtime.foresight_report import show_foresight, told_foresight
from runtime.freqtrade_log import freqtrade_log
from runtime.output import console, table
from runtime.settings import load_settings
from runtime.watching import progress

# freqtrade's options that have no meaning where a desk decides.
_NOT_AT_A_DESK: Final = (
    "export",
    "backtest_directory",
    "breakdown",
    "notes",
    "enable_dynamic_pairlist",
    "export_filename",
)


def backtest_seated(config: Path, given: Mapping[str, Any], beside: Mapping[str, Any]) -> int:
    """Run a desk with freqtrade strategies and each of them alone; returns the exit code.

    given: freqtrade's options, by the names of `runtime.cli_backtest`'s. beside: the fields of `Asked`.

    Raises
    ------
    UserError
        When settings, options, a strategy or candles are wrong.
    """
    asked = Asked(**beside)
    asked.check()
    if asked.spread:
        raise UserError("--spread is not possible with freqtrade strategies: they trade at their own price")
    settings, options = load_settings(config, asked.settings), options_of(_bridged(given))
    # What strategies print is not the answer.
    log = freqtrade_log(given.get("verbose"), given.get("logfile"))
    with log, progress() as watch, redirect_stdout(sys.stderr):
        without = alone(options, watch, foresight=not given.get("no_lookahead_check"))
        result, players = run_seated_backtest(settings, options, watch, consent=asked.consent)
    standings = compare(result, players, without)
    foresight = {each.chosen.agent: each.foresight for each in without if each.foresight is not None}
    notes = _notes(result, players, consent=asked.consent)
    told = _told_seats(players, standings) | {"lookahead": told_foresight(foresight)}
    code = report(replace(result, notes=notes), asked, told)
    if not asked.as_json:
        _show_seats(players, standings)
        show_foresight(console(), foresight)
    return code if all(each.is_clean for each in foresight.values()) else 1


def _bridged(given: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in given.items() if name != "no_lookahead_check"}
    strange = sorted(name for name in _NOT_AT_A_DESK if said.get(name))
    if strange:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in strange)
        raise UserError(f"{names} says nothing to a desk: run the strategy without --desk for it")
    return said


def _notes(result: DeskResult, players: Sequence[SeatedStrategy], *, consent: bool) -> tuple[str, ...]:
    notes = [*result.notes]
    for player in players:
        notes += [f"{player.name}: {line}" for line in (player.result.faults if player.result else ())]
        if player.left:
            notes.append(f"{player.name}: {player.left} positions could not be sold at the end and are held")
    if consent and any(player.cut or player.refused or player.kept for player in players):
        notes.append("the gate objected: the strategies did not trade all they trade alone")
    return tuple(notes)


def _told_seats(players: Sequence[SeatedStrategy], standings: Sequence[Standing]) -> dict[str, Any]:
    if not players:
        return {}
    return {
        "strategies": {
            each.name: {
                "trades": len(each.trades),
                "cut": each.cut,
                "refused": each.refused,
                "exits_refused": each.kept,
                "adjusted": each.adjusted,
                "flattened": each.flattened,
                "left": each.left,
            }
            for each in players
        },
        "comparison": [each._asdict() for each in standings],
    }


def _show_seats(players: Sequence[SeatedStrategy], standings: Sequence[Standing]) -> None:
    if not players:
        return
    head = ("strategy", "trades", "cut", "refused", "exits refused", "flattened", "left")
    seats = table(*head, title="freqtrade strategies at the desk")
    for player in players:
        counts = (len(player.trades), player.cut, player.refused, player.kept, player.flattened, player.left)
        seats.add_row(player.name, *(f"{count:,}" for count in counts))
    console().print(seats)
    beside = table("", "trades", "return", "drawdown", "turnover", "costs", title="with and without the desk")
    for each in standings:
        beside.add_row(
            each.name, f"{each.trades:,}", f"{each.total_return:+.2%}", f"{each.max_drawdown:.2%}",
            f"{each.turnover:.1f}x", f"{each.costs:.2%}",
        )  # fmt: skip
    console().print(beside)
    console().print("of what each began with; drawdowns are realised", style="dim")
    console().print("the account counts fills, and its drawdown is of marked equity", style="dim")
