"""The commands `parley data ...`: what there is to call, with which options.

Not here: what they do (`runtime.commands.data`, `runtime.commands.download`). Invariant: as in `cli`.
"""

from pathlib import Path
from typing import Annotated

import typer

from runtime.calling import call, call_with_settings

app = typer.Typer(no_args_is_help=True, help="Import, check and download market data.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings [default: PARLEY_CONFIG's].",
        show_default=False),
]  # fmt: skip
Store = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Folder of the market store [default: market in the home]."),
]
Database = Annotated[
    Path | None,
    typer.Option(
        "--database",
        metavar="FOLDER",
        help="Folder of an embedded server [default: the settings' database, else the home's own].",
    ),
]
Exchange = Annotated[
    str, typer.Option(metavar="NAME", help="Exchange, where the file's name does not say it.")
]
Pair = Annotated[
    str, typer.Option(metavar="A/B", help="Pair such as BTC/USDT, where the file's name does not say it.")
]
Timeframe = Annotated[
    str, typer.Option(metavar="TF", help="Timeframe such as 5m, where the file's name does not say it.")
]
Kind = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="spot, futures, mark, index, premiumIndex, trades, aggtrades or funding_rate, likewise.",
    ),
]


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or folders of files.")],
    exchange: Exchange = "",
    pair: Pair = "",
    timeframe: Timeframe = "",
    kind: Kind = "",
    store: Store = None,
    database: Database = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring market data into the store.

    All files or none, and into the database, where there is one. Reads Parquet, Feather, freqtrade's JSON
    (also .gz) and CSV, called as freqtrade or Parley call them. Importing again changes nothing.
    """
    given = {"exchange": exchange, "pair": pair, "timeframe": timeframe, "kind": kind}
    call_with_settings(
        config, "runtime.commands.data:import_data", paths, given, store, database, as_json=as_json
    )


@app.command("list")
def list_(
    exchange: Annotated[str, typer.Option(metavar="NAME", help="Only of this exchange.")] = "",
    pair: Annotated[str, typer.Option(metavar="A/B", help="Only of this pair.")] = "",
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List what is in the store: span, rows and gaps of every series."""
    call_with_settings(config, "runtime.commands.data:list_data", exchange, pair, store, as_json=as_json)


@app.command()
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", help="Files or folders [default: the market store]."),
    ] = None,
    allow: Annotated[
        str, typer.Option(metavar="CODE,..", help="Findings that shall not fail, such as gap,duplicate.")
    ] = "",
    exchange: Exchange = "",
    pair: Pair = "",
    timeframe: Timeframe = "",
    kind: Kind = "",
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Find gaps, duplicates and other faults.

    With their places; the exit code is 1 if there are some.
    """
    given = {"exchange": exchange, "pair": pair, "timeframe": timeframe, "kind": kind}
    call_with_settings(
        config, "runtime.commands.data:check_data", paths or [], given, allow, store, as_json=as_json
    )


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="File or folder, also a market store.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Folder, or file when it is one series.")],
    to: Annotated[
        str, typer.Option(metavar="FORMAT", help="parquet, feather, json, jsongz or csv [default: parquet].")
    ] = "",
    to_timeframe: Annotated[
        str, typer.Option("--to-timeframe", metavar="TF", help="Make longer candles, or candles of trades.")
    ] = "",
    names: Annotated[
        str, typer.Option(metavar="parley|freqtrade", help="Whose file names the folder gets.")
    ] = "parley",
    exchange: Exchange = "",
    pair: Pair = "",
    timeframe: Timeframe = "",
    kind: Kind = "",
    as_json: Json = False,
) -> None:
    """Write market data in another form.

    In another format, under other names or in a longer timeframe.
    """
    given = {"exchange": exchange, "pair": pair, "timeframe": timeframe, "kind": kind}
    call(
        "runtime.commands.data:convert_data", source, target, given, to=to, to_timeframe=to_timeframe,
        names=names, as_json=as_json,
    )  # fmt: skip


@app.command()
def download(
    pairs: Annotated[str, typer.Option(metavar="A/B,..", help="Pairs such as BTC/USDT,ETH/USDT.")],
    since: Annotated[str, typer.Option(metavar="DATE", help="Begin, UTC.")],
    until: Annotated[str, typer.Option(metavar="DATE", help="End, UTC, exclusive [default: now].")] = "",
    exchange: Annotated[
        str, typer.Option(metavar="NAME", help="Id of the exchange as ccxt has it.")
    ] = "binance",
    timeframes: Annotated[str, typer.Option(metavar="TF,..", help="Timeframes of candles.")] = "5m",
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="What to download: spot, futures, mark, index, trades or funding_rate."
        ),
    ] = "",
    address: Annotated[
        str, typer.Option(metavar="URL", help="Another address for binance, such as the sandbox's.")
    ] = "",
    store: Store = None,
    database: Database = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Download what the store lacks.

    Stopped at any moment, it goes on from there the next time.
    """
    call_with_settings(
        config, "runtime.commands.download:download_data", exchange, pairs, timeframes, since=since,
        until=until, kind=kind, address=address, folder=store, database=database, as_json=as_json,
    )  # fmt: skip
