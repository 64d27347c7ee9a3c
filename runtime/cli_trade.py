"""The command `parley trade`: freqtrade's options by freqtrade's names, on paper.

Not here: what the command does (`runtime.commands.trade`). Invariant: as in `cli`.
"""

from pathlib import Path
from typing import Annotated

import typer

from runtime.calling import call
from runtime.cli_backtest import (
    Config,
    Consent,
    Data,
    Fee,
    Format,
    Json,
    Listed,
    Markets,
    Most,
    Pairs,
    Protect,
    Range,
    Rest,
    Stake,
    Strategy,
    Timeframe,
    Unknown,
    User,
    Wallet,
    Where,
    kind_of,
    split,
)

Mode = Annotated[
    str, typer.Option(metavar="paper|live", help="On the sandbox exchange, or with real money at a real one.")
]
RealMoney = Annotated[
    str | None,
    typer.Option("--real-money", metavar="VENUE", help="live: confirm that money there is traded."),
]
Desk = Annotated[
    Path | None,
    typer.Option("--desk", metavar="FILE", help="The desk's settings: TOML as for 'parley run --config'."),
]
Speed = Annotated[
    str | None,
    typer.Option(metavar="max|N", help="Market seconds per second; max waits for everybody [default: 300]."),
]
Parts = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=60, help="In how many parts a candle is played [default: 8]."),
]
Duration = Annotated[float | None, typer.Option(metavar="S", help="Stop after this many seconds.")]

Resume = Annotated[
    str,
    typer.Option(
        metavar="RUN|last|auto",
        help="live: go on with a run that ended, with all it holds; auto: or begin one when there is none.",
    ),
]

New = Annotated[bool, typer.Option("--new", help="live: begin anew although the last run holds something.")]


def trade(
    rest: Rest = None,
    mode: Mode = "paper",
    config: Config = None,
    strategy: Strategy = None,
    strategy_list: Listed = None,
    strategy_path: Where = None,
    timerange: Range = None,
    timeframe: Timeframe = None,
    pairs: Pairs = None,
    datadir: Data = None,
    data_format: Format = None,
    userdir: User = None,
    max_open_trades: Most = None,
    stake_amount: Stake = None,
    dry_run_wallet: Wallet = None,
    fee: Fee = None,
    protections: Protect = False,
    markets: Markets = None,
    allow_unknown: Unknown = False,
    desk: Desk = None,
    consent: Consent = False,
    speed: Speed = None,
    parts: Parts = None,
    duration: Duration = None,
    real_money: RealMoney = None,
    resume: Resume = "",
    new: New = False,
    as_json: Json = False,
) -> None:
    """Trade with a desk: freqtrade strategies on paper, its own live.

    On paper the market is the recorded candles of the data folder, the money is not real. With --mode live
    the settings of --desk say where, with how much and within which limits: docs/live.md.
    """
    words = [*split(strategy_list), *(word for word in rest or () if kind_of(word) == "strategy")]
    given: dict[str, object] = {
        "config": tuple(config or ()), "strategy": strategy, "strategy_list": tuple(words),
        "strategy_path": strategy_path, "timerange": timerange, "timeframe": timeframe,
        "pairs": (*split(pairs), *(word for word in rest or () if kind_of(word) == "pair")),
        "datadir": datadir, "dataformat_ohlcv": data_format, "user_data_dir": userdir,
        "max_open_trades": max_open_trades, "stake_amount": stake_amount, "dry_run_wallet": dry_run_wallet,
        "fee": fee, "enable_protections": protections, "markets": markets, "breakdown": (),
        "allow_unknown_keys": allow_unknown,
    }  # fmt: skip
    settings = {"speed": speed, "candle_parts": parts, "duration": duration}
    call(
        "runtime.commands.trade:trade", mode, desk, settings, given,
        consent=consent, confirmed=real_money, resumes=resume, forgets=new, as_json=as_json,
    )  # fmt: skip
