"""`parley orphans`: orders of ours at the exchange that are of no live run, and their end.

Problem: no run is begun or gone on with while orders rest that are not its own, and what they were for only
a person may know: one may guard what is still held. So they are shown first, and cancelled only when somebody
names the exchange, as when its money is to be traded. What an ended run could still be gone on with for, and
what may be another program's, is cancelled only by its id.

Not here: finding and cancelling them (`runtime.orphans`, a process of its own that reads the key).

Invariant: nothing is cancelled that was not shown; the exit code is 1 as long as one may still rest.
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
_NOT_NAMED: Final = "it was not named"
_BY_ID: Final = "it is cancelled only where --id names it"
_UNTAGGED: Final = ("hyperliquid", "kraken")  # see `venues.resting`


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the process told it (`runtime.orphans.Orphan`)."""

    symbol: str
    cid: str
    venue_id: str
    terms: str
    run: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the process told (`runtime.orphans.Outcome`)."""

    found: list[Order]
    left: dict[str, str] = {}


def show_orphans(
    settings: Settings, confirmed: str | None, cids: tuple[str, ...] = (), *, as_json: bool
) -> int:
    """List them and, where somebody names the exchange, cancel them; returns the exit code.

    ``cids``: which of them; empty: all that need not be named.

    Raises
    ------
    UserError
        When the settings do not say all that live trading needs, another exchange was named or an order that
        is none of them, a run trades with the key, or the exchange does not say what rests.
    """
    access = check(settings)
    _refuse_another(settings, confirmed)
    console(stderr=True).print("asking the exchange about open orders", style="dim")
    found = _ask(settings, access).found
    if not as_json:
        _show(settings, found)
    if other := [cid for cid in cids if cid not in {each.cid for each in found}]:
        raise UserError(f"{', '.join(other)}: no such order rests there; {_LEFT_ALONE}")
    kept = _kept(settings, found, cids)
    if len(kept) < len(found) and confirmed is None and not as_json and sys.stdin.isatty():
        confirmed = Prompt.ask(
            f"type {settings.venue} to cancel them, nothing to leave them", console=console(stderr=True),
            default="", show_default=False,
        )  # fmt: skip
        if confirmed:
            _refuse_another(settings, confirmed)
    left = {each.cid: _LEFT_ALONE for each in found}
    if confirmed:
        left = dict(kept)
        if asked := [each.cid for each in found if each.cid not in kept]:
            left |= _ask(settings, access, "--cancel", *asked).left
    cancelled = [each.cid for each in found if each.cid not in left]
    if as_json:
        print_json({"venue": settings.venue, "found": found, "cancelled": cancelled, "left": left})
    else:
        _tell(settings, cancelled, left)
    return 1 if left else 0


def _kept(settings: Settings, found: list[Order], cids: tuple[str, ...]) -> dict[str, str]:
    """Say by client id why some are not cancelled."""
    if cids:
        return {each.cid: _NOT_NAMED for each in found if each.cid not in cids}
    kept = {}
    for each in found:
        if each.run:
            kept[each.cid] = f"the ended run {each.run} is gone on with by --resume {each.run}; {_BY_ID}"
        elif settings.venue in _UNTAGGED:
            kept[each.cid] = f"it may be another program's; {_BY_ID}"
    return kept


def _refuse_another(settings: Settings, confirmed: str | None) -> None:
    if confirmed is not None and confirmed != settings.venue:
        raise UserError(f"not confirmed: expected {settings.venue!r}, was {confirmed!r}; {_LEFT_ALONE}")


def _ask(settings: Settings, access: Access, *arguments: str) -> Told:
    return msgspec.json.decode(let_ask(settings, access, "orphans", *arguments), type=Told)


def _show(settings: Settings, found: list[Order]) -> None:
    if not found:
        console().print(f"no orders of ours rest at {settings.venue} in the pairs of the settings")
        return
    shown = table("symbol", "order", "client id", "id there", "ended run")
    for each in found:
        shown.add_row(each.symbol, each.terms, each.cid, each.venue_id, each.run)
    console().print(shown)
    if settings.venue in _UNTAGGED:
        console().print(
            f"ids at {settings.venue} do not say whose they are: each of our form is shown, and may be"
            " another program's"
        )  # fmt: skip


def _tell(settings: Settings, cancelled: list[str], left: dict[str, str]) -> None:
    out = console()
    if cancelled:
        out.print(f"cancelled: {len(cancelled)}; {settings.venue} lists none of them any more")
    if left and set(left.values()) == {_LEFT_ALONE}:
        out.print(
            f"{_LEFT_ALONE}; to cancel them say --cancel {settings.venue}, for single ones with --id CID"
        )
        return
    for cid, why in left.items():
        out.print(Text(f"MAY STILL TRADE: {cid}: {why}", style="bold red"), soft_wrap=True)
