"""`parley orphans`: orders of ours at the exchange that no journal knows, and their end.

Problem: a gateway without the journal of its earlier life does not begin while such orders rest, and what
they were for only a person may know: one may guard what is still held. So they are shown first, and cancelled
only when somebody names the exchange, as when its money is to be traded.

Not here: finding and cancelling them (`runtime.orphans`, a process of its own that reads the key).

Invariant: exactly what was shown is cancelled; the exit code is 1 as long as one may still rest.
"""

import sys
from typing import Final

import msgspec
from rich.prompt import Prompt
from rich.text import Text

from parley.errors import UserError
from runtime.commands.live import check, let_ask
from runtime.launch import Access
from runtime.output import console, print_json, table
from runtime.settings import Settings

_LEFT_ALONE: Final = "nothing was cancelled"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the process told it (`venues.port.Resting`)."""

    symbol: str
    cid: str
    venue_id: str
    terms: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the process told (`runtime.orphans.Outcome`)."""

    found: list[Order]
    left: dict[str, str] = {}


def show_orphans(settings: Settings, confirmed: str | None, *, as_json: bool) -> int:
    """List them and, where somebody names the exchange, cancel them; returns the exit code.

    Raises
    ------
    UserError
        When the settings do not say all that live trading needs, another exchange was named, a run trades
        with the key, or the exchange does not say what rests.
    """
    access = check(settings)
    _refuse_another(settings, confirmed)
    console(stderr=True).print("asking the exchange about open orders", style="dim")
    found = _ask(settings, access).found
    if not as_json:
        _show(settings, found)
    if found and confirmed is None and not as_json and sys.stdin.isatty():
        confirmed = Prompt.ask(
            f"type {settings.venue} to cancel them, nothing to leave them", console=console(stderr=True),
            default="", show_default=False,
        )  # fmt: skip
        if confirmed:
            _refuse_another(settings, confirmed)
    left = {each.cid: _LEFT_ALONE for each in found}
    if found and confirmed:
        left = _ask(settings, access, "--cancel", *left).left
    cancelled = [each.cid for each in found if each.cid not in left]
    if as_json:
        print_json({"venue": settings.venue, "found": found, "cancelled": cancelled, "left": left})
    else:
        _tell(settings, cancelled, left)
    return 1 if left else 0


def _refuse_another(settings: Settings, confirmed: str | None) -> None:
    if confirmed is not None and confirmed != settings.venue:
        raise UserError(f"not confirmed: expected {settings.venue!r}, was {confirmed!r}; {_LEFT_ALONE}")


def _ask(settings: Settings, access: Access, *arguments: str) -> Told:
    return msgspec.json.decode(let_ask(settings, access, "orphans", *arguments), type=Told)


def _show(settings: Settings, found: list[Order]) -> None:
    if not found:
        console().print(f"no orders of ours rest at {settings.venue} that no journal knows")
        return
    shown = table("symbol", "order", "client id", "id there")
    for each in found:
        shown.add_row(each.symbol, each.terms, each.cid, each.venue_id)
    console().print(shown)


def _tell(settings: Settings, cancelled: list[str], left: dict[str, str]) -> None:
    out = console()
    if cancelled:
        out.print(f"cancelled: {len(cancelled)}; {settings.venue} lists none of them any more")
    if left and set(left.values()) == {_LEFT_ALONE}:
        out.print(f"{_LEFT_ALONE}; to cancel them say --cancel {settings.venue}")
        return
    for cid, why in left.items():
        out.print(Text(f"MAY STILL TRADE: {cid}: {why}", style="bold red"), soft_wrap=True)
