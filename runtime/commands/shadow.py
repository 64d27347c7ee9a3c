"""`parley shadow`: how a run of freqtrade strategies differs from their backtests, by cause.

Not here: finding it out (`runtime.shadow`). Invariant: the exit code is 1 if a divergence of data, code or
latency stands for itself; while a run is followed, its newest candles wait until everybody had time for them.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from backtest.divergence import CAUSES, Divergence
from backtest.market_time import at
from parley.errors import UserError
from runtime.history import config_of, entries, home_folder, newest_journal, open_journal
from runtime.journal import JournalReader
from runtime.leftovers import CLAIM, is_claimed
from runtime.output import console, print_json, table
from runtime.shadow import Shadow, StrategyShadow, shadow, shadow_of, strategies_of
from runtime.shadow_journal import HEARD

_HELD_BACK: Final = 2  # candles, while the run goes on
_EXAMPLES: Final = 3
_MEANING: Final = {
    "data": "the desk saw other candles than the data folder has",
    "code": "on the same candles the strategy said something else",
    "latency": "it said the same, but after the candle it was about, or the desk's agents were too slow",
    "fill": "the same decision at another price, amount or fee",
    "desk": "the desk cut or refused it",
}


def show_shadow(path: Path | None, given: Mapping[str, Any], *, every_s: float | None, as_json: bool) -> int:
    """Compare a run with its backtests; returns the exit code.

    every_s: go on beside the run and look again so often; None: once.

    Raises
    ------
    UserError
        When there is no such journal, or no freqtrade strategy in it, or something of the run is gone.
    """
    with open_journal(path or newest_journal(home_folder())) as reader:
        if every_s is None:
            with redirect_stdout(sys.stderr):  # what strategies print is not the answer
                found = shadow(reader, given)
        else:
            found = _follow(reader, given, every_s, console(stderr=as_json))
    if as_json:
        print_json(_told(found))
    else:
        _show(found, console())
    return 1 if found.is_alarming else 0


def _follow(reader: JournalReader, given: Mapping[str, Any], every_s: float, out: Console) -> Shadow:
    run = config_of(reader)
    heard = strategies_of(reader, run)
    told: set[tuple[str, str]] = set()
    while True:
        goes_on = _goes_on(reader, run.run_id)
        heard.take(entries(reader, HEARD, after=heard.seq))
        goes_on = goes_on and not heard.is_over
        try:
            with redirect_stdout(sys.stderr):
                found = shadow_of(run, heard, given, _HELD_BACK if goes_on else 0)
        except UserError:
            # Too early to say; what is wrong with the run itself is still so at its end.
            if not goes_on or (heard.seq and heard.has_enough(_HELD_BACK)):
                raise
        else:
            for each in found.strategies:
                for divergence in each.compared.divergences:
                    if (each.agent, divergence.name) not in told:
                        told.add((each.agent, divergence.name))
                        out.print(_divergence(each.strategy, divergence), soft_wrap=True, markup=False)
            if not goes_on:
                return found
        time.sleep(every_s)


def _goes_on(reader: JournalReader, run_id: str) -> bool:
    """Whether the run's command line lives: it holds a claim on its folder, wherever its journal is."""
    folders = {reader.path.resolve().parent, home_folder() / "runs" / run_id}
    return any(is_claimed(folder / CLAIM) is not False for folder in folders)


def _show(found: Shadow, out: Console) -> None:
    for each in found.strategies:
        _show_one(each, out)
    for line in found.lines():
        out.print(line, soft_wrap=True, markup=False)


def _show_one(each: StrategyShadow, out: Console) -> None:
    compared = each.compared
    if compared.divergences:
        head = ("cause", "count", "follow", "what it means", "such as")
        shown = table(*head, title=f"{each.strategy} beside its backtest")
        for cause in CAUSES:
            of_cause = [one for one in compared.divergences if one.cause == cause]
            own = [one for one in of_cause if not one.follows]
            for number, one in enumerate(own[:_EXAMPLES] if of_cause else ()):
                counts = (f"{len(own):,}", f"{len(of_cause) - len(own):,}", _MEANING[cause])
                shown.add_row(
                    *((cause, *counts) if number == 0 else ("",) * 4), Text(f"{one.pair}: {one.sentence}")
                )
        out.print(shown)
    if each.changes:
        out.print(
            f"{len(each.changes):,} candles were not those of the data folder, first {each.changes[0].pair}"
            f" {at(each.changes[0].t_ms)}: {each.changes[0].what}",
            style="yellow", soft_wrap=True, markup=False,
        )  # fmt: skip


def _divergence(strategy: str, one: Divergence) -> str:
    mark = f" (follows from {one.follows})" if one.follows else ""
    return f"{at(one.t_ms)} {one.cause:<7} {strategy} {one.pair}: {one.sentence}{mark}"


def _told(found: Shadow) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "is_over": found.is_over,
        "seconds": found.seconds,
        "alarming": found.is_alarming,
        "strategies": [
            {
                "strategy": each.strategy,
                "agent": each.agent,
                "begin_ms": each.begin_ms,
                "end_ms": each.end_ms,
                "judged_ms": each.judged_ms,
                "unjudged": each.unjudged,
                "reference_trades": each.reference_trades,
                "seen_trades": each.seen_trades,
                "entries_as_backtest": each.compared.entries,
                "exits_as_backtest": each.compared.exits,
                "mean_slippage_bps": each.compared.mean_slippage_bps,
                "counts": {cause: each.compared.count(cause) for cause in CAUSES},
                "following": each.compared.followed,
                "changed_candles": [
                    {"pair": one.pair, "t_ms": one.t_ms, "what": one.what} for one in each.changes
                ],
                "divergences": [
                    {
                        "name": one.name, "pair": one.pair, "t_ms": one.t_ms, "cause": one.cause,
                        "what": one.what, "sentence": one.sentence, "figures": one.figures,
                        "follows": one.follows,
                    }
                    for one in each.compared.divergences
                ],
            }
            for each in found.strategies
        ],
    }  # fmt: skip
