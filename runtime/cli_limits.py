"""The commands `parley limits` and `parley operators`: their options.

Not here: what they do (`commands.limits`).
"""

from typing import Annotated

import typer

from runtime.calling import call_with_settings
from runtime.cli_kill import Config, Confirm, Json, Operator

limits = typer.Typer(no_args_is_help=True, help="Show or change the limits of the running desk.")
operators = typer.Typer(no_args_is_help=True, help="Whose keys may end kills and loosen limits.")
Account = Annotated[
    str,
    typer.Option("--account", metavar="NAME", help="Which desk, where several run.", show_default=False),
]


@limits.command("show")
def show(
    key: Annotated[
        str, typer.Argument(metavar="[KEY]", help="One limit; a prefix such as breakers. shows a group.")
    ] = "",
    account: Account = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what is in force, what it began with, and who changed it."""
    call_with_settings(config, "runtime.commands.limits:show", key, account, as_json=as_json)


@limits.command("set")
def set_(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Such as max_gross, breakers.daily_loss,"
        " tree.symbol:BTC/USDT.max_position.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A number, true or false, A/B,C/D, or none.")],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for the record; needed unless --confirm.")
    ] = "",
    operator: Operator = "",
    confirm: Confirm = "",
    account: Account = "",
    config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Change a limit of the running desk, from the next order on and over its restarts.

    What tightens counts at once. Where operators are enrolled, what loosens is asked for by one (--as) and
    confirmed by another (--as, --confirm).
    """
    call_with_settings(
        config, "runtime.commands.limits:change", key, value, reason, operator, confirm, account,
        as_json=as_json,
    )  # fmt: skip


@operators.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, - and _.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Enrol an operator and show the key, once."""
    call_with_settings(config, "runtime.commands.limits:enrol", name, as_json=as_json)


@operators.command("list")
def list_(config: Config = None, as_json: Json = False) -> None:
    """List who is enrolled."""
    call_with_settings(config, "runtime.commands.limits:enrolled", as_json=as_json)
