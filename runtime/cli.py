"""The command `parley`: what there is to call, with which options.

Problem: a help text must not cost the import of an exchange library, and a mistake must not end in a
traceback. So commands are only declared here; what they do is loaded by name when one is called, and every
mistake of the user becomes one line on standard error.

Not here: what commands do (`runtime.commands`).

Invariant: exit codes are 0 done, 1 something is wrong with the run or file (said on standard error), 2 the
user can mend it, 130 stopped.
"""

from pathlib import Path
from typing import Annotated

import typer

from runtime.calling import DEBUG, call, call_with_settings
from runtime.cli_backtest import backtest, show_version
from runtime.cli_data import app as data_app
from runtime.cli_kill import kill, orphans, release
from runtime.cli_limits import limits, operators
from runtime.cli_route import route
from runtime.cli_shadow import shadow
from runtime.cli_trade import trade

app = typer.Typer(
    name="parley", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]},
    help="Crypto trading in which independent agents negotiate every order.",
)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Journal = Annotated[
    Path | None, typer.Option("--journal", metavar="FILE", help="Journal to read [default: the newest run].")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings [default: PARLEY_CONFIG's].",
        show_default=False),
]  # fmt: skip

UseDatabase = Annotated[
    bool | None,
    typer.Option(
        "--database/--no-database",
        help="Ship the run's journals into PostgreSQL [default: 'parley up' does, 'parley run' does not].",
        show_default=False,
    ),
]

Venue = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Exchange the sandbox speaks, see parley venues [default: binance]."),
]
Also = Annotated[
    str | None,
    typer.Option(metavar="NAME,..", help="Further exchanges to route orders to, at a --speed."),
]


def _use(database: bool | None) -> dict[str, bool] | None:
    return None if database is None else {"enabled": database}


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a mistake, not only a line.")
    ] = False,
) -> None:
    """Crypto trading in which independent agents negotiate every order."""
    DEBUG.set(debug)


@app.command()
def run(
    config: Config = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Recorded candles, parquet.")
    ] = None,
    trades: Annotated[
        str | None, typer.Option("--trades", metavar="A/B=FILE,..", help="Recorded trades instead, parquet.")
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(metavar="NAME", help="Exchange the candles are of [default: binance].")
    ] = None,
    venue: Venue = None,
    also: Also = None,
    pairs: Annotated[
        str | None,
        typer.Option(metavar="A/B,C/D", help="Pairs to trade [default: all in the account's currency]."),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(metavar="TF", help="Length of a candle [default: 1m recorded, 5m made up].")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First open time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="End, UTC, exclusive.")] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            metavar="max|N", help="Market seconds per second [default: max on recorded data, else 3000]."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of the market and of all chance [default: 1].")
    ] = None,
    capital: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Opening balance [default: 100000].")
    ] = None,
    quote: Annotated[
        str | None, typer.Option(metavar="ASSET", help="Currency of the account [default: USDT].")
    ] = None,
    crosses: Annotated[
        str | None,
        typer.Option(
            metavar="auto|none|A/B,..",
            help="Pairs only arbitrage looks at [default: auto, what closes a triangle].",
        ),
    ] = None,
    silent: Annotated[
        str | None, typer.Option(metavar="ROLE,..", help="Roles that never answer, to see what they change.")
    ] = None,
    duration: Annotated[float | None, typer.Option(metavar="S", help="Stop after this many seconds.")] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", metavar="FILE", help="Where to write the journal.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port of the sandbox exchange [default: a free one].")
    ] = None,
    placement: Annotated[
        str | None,
        typer.Option(
            metavar="packed|spread",
            help="Agents in the desk's process, or each in a Ray actor of its own [default: packed].",
        ),
    ] = None,
    database: UseDatabase = None,
    as_json: Json = False,
) -> None:
    """Run a desk on the sandbox exchange.

    The market is made up, or recorded with --data or --trades.
    """
    options = {
        "data": data, "trades": trades, "exchange": exchange, "venue": venue, "also": also, "pairs": pairs,
        "timeframe": timeframe, "start": start, "end": end, "speed": speed, "seed": seed,
        "capital": capital, "quote": quote, "crosses": crosses, "silent": silent,
        "duration": duration, "journal": journal, "port": port,
        "desk": {"placement": placement} if placement else None, "database": _use(database),
    }  # fmt: skip
    call("runtime.commands.run:run", config, options, as_json=as_json)


@app.command()
def up(
    config: Config = None,
    duration: Annotated[float | None, typer.Option(metavar="S", help="Stop after this many seconds.")] = None,
    database: UseDatabase = None,
    as_json: Json = False,
) -> None:
    """Run everything until Ctrl-C, as `make run`.

    Each agent is a Ray actor in a process of its own; the database and the API run beside the desk.
    """
    options = {"duration": duration, "desk": {"placement": "spread"}, "database": _use(database)}
    call("runtime.commands.run:run", config, options, as_json=as_json, with_database=True)


@app.command()
def status(config: Config = None, as_json: Json = False) -> None:
    """Show what runs, and how each agent is."""
    call_with_settings(config, "runtime.commands.status:show_status", as_json=as_json)


agents_app = typer.Typer(no_args_is_help=True, help="Pause, resume or restart one agent.")
app.add_typer(agents_app, name="agents")
Agent = Annotated[str, typer.Argument(metavar="NAME", help="Id role/name, or a unique part of it.")]


@agents_app.command()
def pause(name: Agent, config: Config = None, as_json: Json = False) -> None:
    """Let it say nothing until it is resumed.

    The desk counts its silence as no answer.
    """
    call_with_settings(config, "runtime.commands.seats:command_agent", "pause", name, as_json=as_json)


@agents_app.command()
def resume(name: Agent, config: Config = None, as_json: Json = False) -> None:
    """Let it answer again."""
    call_with_settings(config, "runtime.commands.seats:command_agent", "resume", name, as_json=as_json)


@agents_app.command()
def restart(name: Agent, config: Config = None, as_json: Json = False) -> None:
    """End its process and start the next.

    Ray starts it, and the desk makes it what the last one was.
    """
    call_with_settings(config, "runtime.commands.seats:command_agent", "restart", name, as_json=as_json)


@app.command()
def replay(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Journal [default: the newest run].")
    ] = None,
    journal: Journal = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Verify a journal and execute it again.

    Every decision and order is compared byte by byte.
    """
    call_with_settings(config, "runtime.commands.replay:replay_journal", file or journal, as_json=as_json)


@app.command()
def rounds(
    outcome: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only accept, reject, hold, expired, void or shed.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(metavar="A/B", help="Only rounds on this pair.")] = None,
    agent: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only rounds in which what this agent said was decided on."),
    ] = None,
    bids: Annotated[bool, typer.Option("--bids", help="Only rounds with at least one proposal.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many, newest first.")] = 20,
    journal: Journal = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List rounds, what was decided and why."""
    call_with_settings(
        config, "runtime.commands.rounds:list_rounds", journal, outcome=outcome, symbol=symbol, agent=agent,
        bids=bids,
        limit=limit, as_json=as_json,
    )  # fmt: skip


@app.command()
def explain(
    round_: Annotated[
        str, typer.Argument(metavar="ROUND", help="Id of a round, or enough of its beginning.")
    ],
    journal: Journal = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell one round in full.

    Proposals, votes, who cut what and why, the decision, orders, fills, PnL.
    """
    call_with_settings(config, "runtime.commands.explain:explain_round", journal, round_, as_json=as_json)


@app.command()
def orders(
    symbol: Annotated[str | None, typer.Option(metavar="A/B", help="Only orders on this pair.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only orders in this state, such as open or filled.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many, newest first.")] = 50,
    journal: Journal = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List orders with their last known state."""
    call_with_settings(
        config,
        "runtime.commands.account:list_orders",
        journal,
        symbol=symbol,
        state=state,
        limit=limit,
        as_json=as_json,
    )


@app.command()
def costs(
    by: Annotated[
        str, typer.Option(metavar="WHAT", help="Put orders together by style, agent or symbol.")
    ] = "style",
    symbol: Annotated[str | None, typer.Option(metavar="A/B", help="Only orders on this pair.")] = None,
    journal: Journal = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what working orders cost against their decisions.

    Delay, spread, impact, fees and what was missed, by way of working.
    """
    call_with_settings(
        config, "runtime.commands.costs:show_costs", journal, by=by, symbol=symbol, as_json=as_json
    )


@app.command()
def positions(journal: Journal = None, config: Config = None, as_json: Json = False) -> None:
    """Show balances, positions and who holds them.

    As of the journal's last state.
    """
    call_with_settings(config, "runtime.commands.account:show_positions", journal, as_json=as_json)


@app.command()
def doctor(journal: Journal = None, config: Config = None, as_json: Json = False) -> None:
    """Check this machine and the newest journal.

    Python, packages, disk, sockets, SQLite, data folder.
    """
    call_with_settings(config, "runtime.commands.doctor:examine", journal, as_json=as_json)


@app.command()
def venues(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="An exchange of ccxt's [default: the certified ones]."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All exchanges that ccxt has streams of.")] = False,
    as_json: Json = False,
) -> None:
    """List exchanges and what each can do.

    Also where real money is refused, and why. Nobody is asked: it is what the adapters were certified for,
    and what ccxt says of the others.
    """
    call("runtime.commands.exchanges:show_venues", name, is_all=every, as_json=as_json)


Folder = Annotated[
    Path | None,
    typer.Option(
        "--database",
        metavar="FOLDER",
        help="Folder of the embedded server [default: DATABASE_URL, else the home's own].",
    ),
]


@app.command()
def migrate(database: Folder = None, config: Config = None, as_json: Json = False) -> None:
    """Bring the database to the schema of this version."""
    call_with_settings(config, "runtime.commands.store:migrate", database, as_json=as_json)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder to write to.")],
    database: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Back up every journal and the database.

    Also while a desk runs; keys are not part of it.
    """
    call_with_settings(config, "runtime.commands.store:backup", folder, database, as_json=as_json)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a backup.")],
    database: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back, and verify it.

    Into an empty home and an empty database.
    """
    call_with_settings(config, "runtime.commands.store:restore", folder, database, as_json=as_json)


@app.command()
def rebuild(
    unasked: Annotated[
        bool, typer.Option("--all", help="Also runs that were made without a database.")
    ] = False,
    database: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make the database anew from the home's journals.

    The home's runs are removed from it and shipped again; no desk may run.
    """
    call_with_settings(config, "runtime.commands.store:rebuild", database, unasked=unasked, as_json=as_json)


app.command()(backtest)
app.command()(trade)
app.command()(route)
app.command()(shadow)
app.command()(kill)
app.command()(release)
app.command()(orphans)
app.add_typer(data_app, name="data")
app.add_typer(limits, name="limits")
app.add_typer(operators, name="operators")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
