"""The command `parley backtest`: freqtrade's own options, by freqtrade's names.

Problem: freqtrade's parser takes several words after one option (`--pairs A/B C/D`), which this one cannot;
so the words that are left over are given to the option they belong to by what they look like.

Not here: what the command does (`runtime.commands.simulate`). Invariant: as in `cli`.
"""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from runtime.calling import call

PERIODS: Final = ("day", "week", "month", "year", "weekday")


def show_version(wanted: bool) -> None:
    """Print which Parley this is, and end."""
    if wanted:
        call("runtime.provenance:print_version")
        raise typer.Exit


Words = list[str] | None
Folder = Path | None
Rest = Annotated[
    Words,
    typer.Argument(
        metavar="[PAIR|STRATEGY|PERIOD]...", help="Further words of --pairs, --strategy-list, --breakdown."
    ),
]
Config = Annotated[
    list[Path] | None,
    typer.Option("-c", "--config", metavar="FILE", help="Configuration, several may be given."),
]
Strategy = Annotated[
    str | None, typer.Option("-s", "--strategy", metavar="NAME", help="Class, file or folder.")
]
Listed = Annotated[Words, typer.Option("--strategy-list", metavar="NAME..", help="Several, compared.")]
Where = Annotated[Folder, typer.Option("--strategy-path", metavar="DIR", help="Folder of strategies.")]
Deep = Annotated[bool, typer.Option("--recursive-strategy-search", help="Look into folders of folders.")]
Range = Annotated[
    str | None, typer.Option(metavar="FROM-TO", help="Such as 20240101-20240201T1200; either may be missing.")
]
Timeframe = Annotated[str | None, typer.Option("-i", "--timeframe", help="Length of a candle.")]
Detail = Annotated[str | None, typer.Option(help="Length of candles to look into a candle with.")]
Pairs = Annotated[Words, typer.Option("-p", "--pairs", metavar="A/B..", help="Only these.")]
Data = Annotated[
    Folder,
    typer.Option("-d", "--datadir", "--data-dir", metavar="DIR", help="Candles, freqtrade's or Parley's."),
]
Format = Annotated[
    str | None,
    typer.Option("--data-format-ohlcv", metavar="FORMAT", help="feather, parquet, json or jsongz."),
]
User = Annotated[
    Folder,
    typer.Option("--userdir", "--user-data-dir", metavar="DIR", help="freqtrade's [default: user_data]."),
]
Most = Annotated[int | None, typer.Option(help="Trades open at once, -1 for no limit.")]
Stake = Annotated[str | None, typer.Option(help="Of a trade, a number or unlimited.")]
Wallet = Annotated[
    float | None, typer.Option("--dry-run-wallet", "--starting-balance", help="Money to begin with.")
]
Fee = Annotated[float | None, typer.Option(help="Ratio, taken at entry and at exit.")]
Stacking = Annotated[
    bool, typer.Option("--eps", "--enable-position-stacking", help="Several trades of one pair.")
]
Protect = Annotated[
    bool, typer.Option("--enable-protections", "--enableprotections", help="Use the strategy's protections.")
]
Dynamic = Annotated[
    bool, typer.Option("--enable-dynamic-pairlist", help="Make the pair list anew for every candle.")
]
Export = Annotated[
    str | None, typer.Option(metavar="WHAT", help="none, trades or signals [default: trades].")
]
Out = Annotated[
    Folder,
    typer.Option("--backtest-directory", "--export-directory", metavar="DIR", help="Folder of result files."),
]
Breakdown = Annotated[Words, typer.Option(metavar="PERIOD..", help=f"Profit by {', '.join(PERIODS)}.")]
Cache = Annotated[
    str | None,
    typer.Option(
        metavar="AGE", help="none, day, week or month: taken for freqtrade's sake; nothing is cached."
    ),
]
FileName = Annotated[
    Folder,
    typer.Option(
        "--export-filename", "--backtest-filename", metavar="FILE",
        help="As in freqtrade: a folder for result files; a file's name says nothing.",
    ),
]  # fmt: skip
Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, show_default=False, help="What freqtrade logs, -vv more."),
]
LogFile = Annotated[
    Folder, typer.Option("--logfile", "--log-file", metavar="FILE", help="Write freqtrade's log there.")
]
Plain = Annotated[bool, typer.Option("--no-color", help="No colours.")]
Version = Annotated[
    bool, typer.Option("-V", "--version", is_eager=True, callback=show_version, help="Show the version.")
]
Model = Annotated[
    str | None, typer.Option("--freqaimodel", metavar="NAME", help="FreqAI, which is not supported yet.")
]
ModelPath = Annotated[Folder, typer.Option("--freqaimodel-path", metavar="DIR", help="FreqAI, as above.")]
LiveModels = Annotated[bool, typer.Option("--freqai-backtest-live-models", help="FreqAI, as above.")]
Notes = Annotated[str | None, typer.Option(metavar="TEXT", help="Kept with the result.")]
Markets = Annotated[Folder, typer.Option(metavar="FILE", help="ccxt's load_markets, as JSON.")]
Tiers = Annotated[Folder, typer.Option(metavar="FILE", help="ccxt's fetch_leverage_tiers, as JSON.")]
Unknown = Annotated[bool, typer.Option("--allow-unknown-keys", help="Keep settings freqtrade does not know.")]
Page = Annotated[Folder, typer.Option(metavar="DIR", help="Write a page with charts of each strategy.")]
NoCheck = Annotated[
    bool, typer.Option("--no-lookahead-check", help="Do not check whether strategies know the future.")
]
Desk = Annotated[
    Folder,
    typer.Option("--desk", metavar="FILE", help="Test a desk: TOML as for 'parley run --config'."),
]
Consent = Annotated[
    bool, typer.Option("--consent", help="With --desk and strategies: nobody objects, only the gate.")
]
Spread = Annotated[float, typer.Option(metavar="BPS", help="With --desk: best bid to best ask.")]
Journal = Annotated[
    Folder, typer.Option(metavar="FILE", help="With --desk: the journal to write [default: below home].")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def backtest(
    rest: Rest = None,
    config: Config = None,
    strategy: Strategy = None,
    strategy_list: Listed = None,
    strategy_path: Where = None,
    recursive: Deep = False,
    timerange: Range = None,
    timeframe: Timeframe = None,
    timeframe_detail: Detail = None,
    pairs: Pairs = None,
    datadir: Data = None,
    data_format: Format = None,
    userdir: User = None,
    max_open_trades: Most = None,
    stake_amount: Stake = None,
    dry_run_wallet: Wallet = None,
    fee: Fee = None,
    position_stacking: Stacking = False,
    protections: Protect = False,
    dynamic_pairlist: Dynamic = False,
    export: Export = None,
    directory: Out = None,
    filename: FileName = None,
    breakdown: Breakdown = None,
    cache: Cache = None,
    notes: Notes = None,
    markets: Markets = None,
    leverage_tiers: Tiers = None,
    allow_unknown: Unknown = False,
    page: Page = None,
    no_lookahead_check: NoCheck = False,
    desk: Desk = None,
    consent: Consent = False,
    spread: Spread = 0.0,
    journal: Journal = None,
    as_json: Json = False,
    verbose: Verbose = 0,
    logfile: LogFile = None,
    no_color: Plain = False,
    version: Version = False,
    freqaimodel: Model = None,
    freqaimodel_path: ModelPath = None,
    freqai_live: LiveModels = False,
) -> None:
    """Simulate freqtrade strategies on recorded candles.

    Trade for trade as freqtrade does.
    """
    words = [*split(strategy_list), *(word for word in rest or () if kind_of(word) == "strategy")]
    options: dict[str, object] = {
        "config": tuple(config or ()), "strategy": strategy, "strategy_list": tuple(words),
        "strategy_path": strategy_path, "recursive_strategy_search": recursive, "timerange": timerange,
        "timeframe": timeframe, "timeframe_detail": timeframe_detail,
        "pairs": (*split(pairs), *(word for word in rest or () if kind_of(word) == "pair")),
        "datadir": datadir, "dataformat_ohlcv": data_format, "user_data_dir": userdir,
        "max_open_trades": max_open_trades, "stake_amount": stake_amount, "dry_run_wallet": dry_run_wallet,
        "fee": fee, "position_stacking": position_stacking, "enable_protections": protections,
        "enable_dynamic_pairlist": dynamic_pairlist, "export": export, "backtest_directory": directory,
        "breakdown": (*split(breakdown), *(word for word in rest or () if kind_of(word) == "period")),
        "notes": notes, "markets": markets, "leverage_tiers": leverage_tiers,
        "allow_unknown_keys": allow_unknown, "page": page, "no_lookahead_check": no_lookahead_check,
        "export_filename": filename, "cache": cache, "verbose": verbose or None, "logfile": logfile,
        "freqaimodel": freqaimodel, "freqaimodel_path": freqaimodel_path,
        "freqai_backtest_live_models": freqai_live,
    }  # fmt: skip
    if no_color:
        os.environ["NO_COLOR"] = "1"  # what every library that colours asks for (no-color.org)
    if desk is not None:
        beside: dict[str, object] = {
            "spread_bps": spread, "journal": journal, "consent": consent, "as_json": as_json,
        }  # fmt: skip
        _at_a_desk(desk, options, beside)
    elif spread or consent or journal is not None:
        raise typer.BadParameter("--consent, --spread and --journal belong to a desk: add --desk FILE")
    else:
        call("runtime.commands.simulate:backtest", options, as_json=as_json)


def _at_a_desk(desk: Path, options: dict[str, object], beside: dict[str, object]) -> None:
    beside["page"] = options.pop("page")
    if options["strategy"] or options["strategy_list"]:
        call("runtime.commands.seated_backtest:backtest_seated", desk, options, beside)
    elif beside["consent"]:
        raise typer.BadParameter("--consent is for freqtrade strategies at a desk: add --strategy")
    else:
        call("runtime.commands.desk_backtest:backtest_desk", desk, options, beside)


def split(given: list[str] | None) -> list[str]:
    """Return the words of an option that takes several, however they were given."""
    return [word for each in given or () for word in each.split(",") if word]


def kind_of(word: str) -> str:
    """Say which option a word that is left over belongs to: period, pair or strategy."""
    if word in PERIODS:
        return "period"
    return "pair" if "/" in word and not word.endswith(".py") and not Path(word).exists() else "strategy"
