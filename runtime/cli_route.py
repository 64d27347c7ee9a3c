"""The command `parley route`: its options.

Not here: what it does (`commands.route`). Invariant: as in `cli`.
"""

from pathlib import Path
from typing import Annotated

import typer

from runtime.calling import call

DEEPEST = 5000


def route(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Pair such as BTC/USDT.")],
    side: Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell.")],
    qty: Annotated[str, typer.Argument(metavar="QTY", help="How much, in the base asset.")],
    venues: Annotated[
        str, typer.Option(metavar="NAME,..", help="Exchanges to ask, certified or any of ccxt's.")
    ] = "",
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", metavar="FILE", help="Settings of one exchange, as for parley trade --desk:"
            " its venue is asked too, with keys and addresses of [live]. May be repeated"
            " [default: PARLEY_CONFIG's].", show_default=False),
    ] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="PX", help="Worst price at any exchange [default: none].")
    ] = None,
    depth: Annotated[
        int, typer.Option(metavar="N", min=1, max=DEEPEST, help="Levels a side to read.")
    ] = 100,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", min=1.0, help="Look again every S seconds until Ctrl-C [default: once]."),
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="How long to wait for an exchange's listing.")
    ] = 10.0,
    max_age: Annotated[
        float,
        typer.Option(metavar="S", min=0.1, help="Leave out older books, and who gives none in half of it."),
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:  # fmt: skip
    """Show where an order would trade, and what it costs; sends none.

    Asks several exchanges at once for listing, fee and book over their public endpoints, and shares the order
    out so that it costs the least after fees. No order is sent: a desk has one exchange. The fee is the
    account's where keys are given, else the published one.
    """
    call(
        "runtime.commands.route:show_route", symbol, side, qty, venues=venues, configs=tuple(config or ()),
        limit=limit, depth=depth, seconds=seconds, wait_s=wait, max_age_s=max_age, as_json=as_json,
    )  # fmt: skip
