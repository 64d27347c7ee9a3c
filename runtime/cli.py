"""The command `parley`: what there is to call, with which options.

Problem: a help text must not cost the import of an exchange library, and a mistake must not end in a
traceback. So commands are only declared here; what they do is loaded by name when one is called, and every
mistake of the user becomes one line on standard error.

Not here: what commands do (`runtime.commands`).

Invariant: exit codes are 0 done, 1 something is wrong with the run or file (said on standard error), 2 the
user can mend it, 130 stopped.
"""

from pathlib import Path
from typing import Annotated, cast

import typer

from parley.errors import ParleyError, UserError
from runtime.host import load
from runtime.journal import JournalError

app = typer.Typer(
    name="parley", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]},
    help="Crypto trading in which independent agents negotiate every order.",
)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Journal = Annotated[
    Path | None, typer.Option("--journal", metavar="FILE", help="Journal to read [default: the newest run].")
]


def call(command: str, *arguments: object, **options: object) -> None:
    """Load a command's function, call it, and turn its result or its errors into an exit code."""
    try:
        code = cast("int | None", load(command)(*arguments, **options))  # type: ignore[operator]
    except UserError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(2) from None
    except (ParleyError, JournalError) as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if code:
        raise typer.Exit(code)


def show_version(wanted: bool) -> None:
    """Print which Parley this is, and end."""
    if wanted:
        call("runtime.provenance:print_version")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show the version.")
    ] = False,
) -> None:
    """Crypto trading in which independent agents negotiate every order."""


@app.command()
def run(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML file of settings.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Recorded candles, parquet.")
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(help="Exchange the candles are of [default: binance].")
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(metavar="A/B,C/D", help="Pairs to trade [default: all in the account's currency]."),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="Length of a candle [default: 1m recorded, 5m made up].")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First open time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="End, UTC, exclusive.")] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            metavar="max|N", help="Market seconds per second [default: max on recorded data, else 3000]."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the market and of all chance [default: 1].")] = None,
    capital: Annotated[str | None, typer.Option(help="Opening balance [default: 100000].")] = None,
    quote: Annotated[str | None, typer.Option(help="Currency of the account [default: USDT].")] = None,
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
        int | None, typer.Option(help="Port of the sandbox exchange [default: a free one].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a desk against the local sandbox exchange: a made-up market, or recorded candles with --data."""
    options = {
        "data": data, "exchange": exchange, "pairs": pairs, "timeframe": timeframe, "start": start,
        "end": end,
        "speed": speed, "seed": seed, "capital": capital, "quote": quote, "crosses": crosses,
        "silent": silent,
        "duration": duration, "journal": journal, "port": port,
    }  # fmt: skip
    call("runtime.commands.run:run", config, options, as_json=as_json)


@app.command()
def replay(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Journal [default: the newest run].")
    ] = None,
    journal: Journal = None,
    as_json: Json = False,
) -> None:
    """Verify a journal, execute it again, and compare every decision and order byte by byte."""
    call("runtime.commands.replay:replay_journal", file or journal, as_json=as_json)


@app.command()
def rounds(
    outcome: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only accept, reject, hold, expired or void.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Only rounds on this pair.")] = None,
    agent: Annotated[
        str | None, typer.Option(help="Only rounds in which this agent said something that was decided on.")
    ] = None,
    bids: Annotated[bool, typer.Option("--bids", help="Only rounds with at least one proposal.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    journal: Journal = None,
    as_json: Json = False,
) -> None:
    """List negotiation rounds with what was decided and why."""
    call(
        "runtime.commands.rounds:list_rounds", journal, outcome=outcome, symbol=symbol, agent=agent,
        bids=bids,
        limit=limit, as_json=as_json,
    )  # fmt: skip


@app.command()
def explain(
    round_: Annotated[
        str, typer.Argument(metavar="ROUND", help="Id of a round, or enough of its beginning.")
    ],
    journal: Journal = None,
    as_json: Json = False,
) -> None:
    """Tell one round: proposals, votes, who cut what and why, the decision, orders, fills, PnL."""
    call("runtime.commands.explain:explain_round", journal, round_, as_json=as_json)


@app.command()
def orders(
    symbol: Annotated[str | None, typer.Option(help="Only orders on this pair.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only orders in this state, such as open or filled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    journal: Journal = None,
    as_json: Json = False,
) -> None:
    """List orders with their last known state."""
    call(
        "runtime.commands.account:list_orders",
        journal,
        symbol=symbol,
        state=state,
        limit=limit,
        as_json=as_json,
    )


@app.command()
def positions(journal: Journal = None, as_json: Json = False) -> None:
    """Show balances, positions and which agent holds what, as of the journal's last state."""
    call("runtime.commands.account:show_positions", journal, as_json=as_json)


@app.command()
def doctor(journal: Journal = None, as_json: Json = False) -> None:
    """Check this machine: Python, packages, disk, sockets, SQLite, data folder, the newest journal."""
    call("runtime.commands.doctor:examine", journal, as_json=as_json)


Folder = Annotated[
    Path | None,
    typer.Option(
        "--database",
        metavar="FOLDER",
        help="Folder of the embedded server [default: DATABASE_URL, else the home's own].",
    ),
]


@app.command()
def migrate(database: Folder = None, as_json: Json = False) -> None:
    """Bring the database to the schema of this version."""
    call("runtime.commands.store:migrate", database, as_json=as_json)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder to write to.")],
    database: Folder = None,
    as_json: Json = False,
) -> None:
    """Back up every journal and the database, also while a desk runs; keys are not part of it."""
    call("runtime.commands.store:backup", folder, database, as_json=as_json)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a backup.")],
    database: Folder = None,
    as_json: Json = False,
) -> None:
    """Bring a backup into an empty home and an empty database, and verify it."""
    call("runtime.commands.store:restore", folder, database, as_json=as_json)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
