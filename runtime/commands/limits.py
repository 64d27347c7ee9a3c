"""`parley limits` and `parley operators`: what was done, on the screen or as JSON.

Not here: doing it (`limiting`, `operators`).

Invariant: the exit code is 1 as long as the desk has not confirmed.
"""

import os
import shlex
from typing import Any

from rich.table import Table
from rich.text import Text

from parley.errors import UserError, nearest
from runtime import limiting
from runtime.limit_word import Wish
from runtime.operators import OPERATOR_KEY, operators_of
from runtime.output import console, print_json
from runtime.settings import Settings


def show(settings: Settings, key: str, account: str, *, as_json: bool) -> int:
    """Show the table; a key or a prefix of keys leaves out the rest."""
    told = limiting.show(settings.home, account)
    if key:
        found = [each for each in told["limits"] if each["key"].startswith(key)]
        if not found:
            known = [each["key"] for each in told["limits"]]
            raise UserError(f"there is no limit {key!r}: {nearest(key, known)}")
        told["limits"] = found
    if as_json:
        print_json(told)
        return 0
    table = Table("limit", "value", "began with", "changed")
    for each in told["limits"]:
        by = each["changed"]
        table.add_row(
            each["key"], Text(each["value"], style="bold" if by else ""),
            each["start"] if each["start"] != each["value"] else "", Text(_who(by, pending=each["pending"])),
        )  # fmt: skip
    console().print(table)
    return 0


def change(
    settings: Settings, key: str, value: str, reason: str, operator: str, token: str, account: str, *,
    as_json: bool,
) -> int:  # fmt: skip
    """Change a limit; the exit code is 1 when the desk did not confirm it in time, or refused it."""
    wish = Wish(
        key=key, value=value, reason=reason, operator=operator, token=token,
        secret=os.environ.get(OPERATOR_KEY, ""),
    )  # fmt: skip
    told = limiting.change(settings.home, wish, account)
    if as_json:
        print_json(told)
    else:
        console().print(Text(_line(told)), soft_wrap=True)
    return 0 if told.get("asked") or (told["confirmed"] and not told["refused"]) else 1


def enrol(settings: Settings, name: str, *, as_json: bool) -> int:
    """Enrol an operator; the key is shown and kept nowhere."""
    operators = operators_of(settings.home)
    key = operators.enrol(name)
    names = operators.names()
    if as_json:
        print_json({"operator": name, "key": key, "operators": list(names)})
        return 0
    out = console()
    out.print(Text(f"{name} is enrolled. The key, which is shown this once: {key}"), soft_wrap=True)
    if len(names) == 1:
        out.print("From now on loosening a limit or ending a kill takes two operators: enrol another.")
    return 0


def enrolled(settings: Settings, *, as_json: bool) -> int:
    """List the operators."""
    names = list(operators_of(settings.home).names())
    if as_json:
        print_json({"operators": names})
    else:
        console().print("\n".join(names) or "nobody is enrolled: one person alone may loosen and release")
    return 0


def _line(told: dict[str, Any]) -> str:
    what = f"{told['key']}: {told['old']} -> {told['new']}"
    if told.get("asked"):
        return (
            f"{what} loosens and waits for another operator: parley limits set {shlex.quote(told['key'])}"
            f" {shlex.quote(told['new'])} --as NAME --confirm {told['asked']}"
        )
    if told["refused"]:
        return f"{what}: REFUSED by the desk, the tighter of both counts; see its journal"
    if not told["confirmed"]:
        return (
            f"{what}: written down, but the desk has NOT CONFIRMED it; until then the tighter of both counts"
        )
    return f"{what}: in force"


def _who(by: dict[str, Any] | None, *, pending: bool) -> str:
    if by is None:
        return ""
    second = f", confirmed by {by['confirmed_by']}" if by["confirmed_by"] else ""
    return f"{by['by']}{second}: {by['why']}" + (" (not confirmed by the desk)" if pending else "")
