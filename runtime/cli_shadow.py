"""The command `parley shadow`: a run of freqtrade strategies beside their backtests.

Not here: what the command does (`runtime.commands.shadow`). Invariant: as in `cli`.
"""

from pathlib import Path
from typing import Annotated

import typer

from runtime.calling import call
from runtime.cli_backtest import Config, Data, Json, Range, User, Where

Journal = Annotated[
    Path | None, typer.Option("--journal", metavar="FILE", help="Journal to read [default: the newest run].")
]
Follow = Annotated[
    bool, typer.Option("--follow", help="Go on beside a run that trades, and print only what is new.")
]
Every = Annotated[float, typer.Option(metavar="S", min=0.5, help="With --follow: how often.")]


def shadow(
    journal: Journal = None,
    config: Config = None,
    strategy_path: Where = None,
    datadir: Data = None,
    timerange: Range = None,
    userdir: User = None,
    follow: Follow = False,
    every: Every = 10.0,
    as_json: Json = False,
) -> None:
    """Lay a run's freqtrade strategies beside their backtests.

    Each difference has one cause: data, code, latency, fill or desk. What is not given is as in the run.
    """
    given: dict[str, object] = {
        "config": tuple(config or ()), "strategy_path": strategy_path, "datadir": datadir,
        "timerange": timerange, "user_data_dir": userdir,
    }  # fmt: skip
    beside = {"every_s": every if follow else None, "as_json": as_json}
    call("runtime.commands.shadow:show_shadow", journal, given, **beside)
