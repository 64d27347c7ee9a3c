"""The commands `parley kill`, `parley release` and `parley orphans`: their options.

Not here: what they do (`commands.kill`, `commands.orphans`). Invariant: nothing is loaded that could keep a
kill from working.
"""

from pathlib import Path
from typing import Annotated

import typer

from runtime.calling import call_with_settings

Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="platform, tenant:NAME, firm, firm:ACCOUNT, bot:NAME or symbol:A/B; may be repeated"
        " [default: firm].",
        show_default=False,
    ),
]
Bots = Annotated[
    list[str] | None,
    typer.Option(
        "--bot", metavar="NAME", help="A bot: what this agent proposed and holds; may be repeated.",
        show_default=False,
    ),
]  # fmt: skip
Operator = Annotated[
    str,
    typer.Option(
        "--as", metavar="NAME", help="The operator you are; the key is in PARLEY_OPERATOR_KEY.",
        show_default=False,
    ),
]  # fmt: skip
Confirm = Annotated[
    str,
    typer.Option(
        "--confirm", metavar="TOKEN", help="Confirm what another operator asked for.", show_default=False
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings [default: PARLEY_CONFIG's].",
        show_default=False),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def kill(
    scope: Scopes = None,
    bot: Bots = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="block|cancel|flatten",
            help="Send nothing more; cancel what works too; leave every position too.",
        ),
    ] = "cancel",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the record.")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Stop trading, now and over every restart, until 'parley release'.

    Works without desk and database; a gateway that does not answer is ended and its orders are cancelled.
    """
    scopes = _of(scope, bot)
    call_with_settings(config, "runtime.commands.kill:kill", scopes, mode, reason, as_json=as_json)


def release(
    reason: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Why it may trade again, for the record; needed unless --confirm."),
    ] = "",
    scope: Scopes = None,
    bot: Bots = None,
    operator: Operator = "",
    confirm: Confirm = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let what was killed trade again.

    'platform' releases everything, also a damaged kill file. Where operators are enrolled, one asks (--as)
    and another confirms (--as, --confirm).
    """
    call_with_settings(
        config, "runtime.commands.kill:release", _of(scope, bot), reason, operator, confirm, as_json=as_json
    )


def orphans(
    cancel: Annotated[
        str | None,
        typer.Option(
            "--cancel", metavar="VENUE", help="Cancel them; confirm it with the exchange's name.",
            show_default=False,
        ),
    ] = None,
    cid: Annotated[
        list[str] | None,
        typer.Option(
            "--id", metavar="CID", help="Of them only this client id; may be repeated.", show_default=False
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List orders of ours at the exchange that are of no live run.

    As after a lost disk, with the settings and the keys of live trading. At a terminal it asks whether to
    cancel them; orders of other programs and of people are neither shown nor touched. At Kraken and
    Hyperliquid ids do not say whose they are: every order with an id of our form is shown and may be another
    program's. Those, and what an ended run still counts as its own, are cancelled only where --id names them.
    """
    call_with_settings(
        config, "runtime.commands.orphans:show_orphans", cancel, tuple(cid or ()), as_json=as_json
    )


def _of(scope: list[str] | None, bot: list[str] | None) -> tuple[str, ...]:
    named = (*(scope or ()), *(f"bot:{each}" for each in bot or ()))
    return named or ("firm",)
