"""`parley venues`: which exchanges there are, what each can do, and why real money is refused.

Problem: ccxt speaks to many more exchanges than anybody certified, and a user wants to know before a desk is
set up what will be refused. What is certified is told from the rows alone; ccxt, which takes a second to
import, is loaded only when somebody asks for another venue.

Not here: what is refused (`venues.capabilities`, `venues.generic_rows`). Invariant: nobody is asked over the
network.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Final, cast

import msgspec

from runtime.host import load
from runtime.output import console, print_json, table
from venues.capabilities import CAPABILITIES, lacks_for_opening

_KINDS: Final = {"candle": "candles", "trade": "trades", "book": "books"}


class VenueLine(msgspec.Struct, frozen=True, kw_only=True):
    """One venue; ``streams``: stream, asked or none by kind of market data.

    ``finds`` are lists in which an order may be found, ``look_up`` those in which an order that is not there
    does not exist. ``is_dex``: an exchange without a custodian, None where that is not told. ``refuses`` says
    why nothing is opened there with real money, empty: it is.
    """

    venue: str
    adapter: str
    streams: dict[str, str]
    look_up: tuple[str, ...]
    finds: tuple[str, ...]
    fence: str
    is_dex: bool | None
    refuses: str


def show_venues(name: str | None, *, is_all: bool, as_json: bool) -> int:
    """Tell of the certified venues, of one of ccxt's, or of all of them.

    Raises
    ------
    ConfigError
        When ccxt has no venue of that name; names the nearest.
    """
    if name is not None:
        lines = [_certified(name) if name in CAPABILITIES else _generic(name)]
    else:
        lines = [_certified(each) for each in sorted(CAPABILITIES)]
        if is_all:
            every = cast("Callable[[], Sequence[str]]", load("venues.generic_rows:names"))()
            lines += [_generic(each) for each in every if each not in CAPABILITIES]
    if as_json:
        print_json({"venues": lines})
        return 0
    shown = table("venue", "adapter", "market data", "look-up", "fence", "opens with real money")
    for each in lines:
        shown.add_row(
            each.venue + (" (DEX)" if each.is_dex else ""), each.adapter, _streams(each.streams),
            " and ".join(each.look_up) or "none certain", each.fence or "none",
            f"no: {each.refuses}" if each.refuses else "yes",
        )  # fmt: skip
    console().print(shown)
    if name is None and not is_all:
        console().print(
            "any other exchange of ccxt's: market data only, and orders at a sandbox; parley venues NAME"
        )
    return 0


def _certified(venue: str) -> VenueLine:
    row = CAPABILITIES[venue]
    refuses = lacks_for_opening(row)
    if row.contracts:
        refuses = "; ".join(filter(None, (refuses, "contracts are not traded with real money yet")))
    return VenueLine(
        venue=venue, adapter="certified", streams=dict.fromkeys(_KINDS, "stream"), look_up=row.look_up,
        finds=row.look_up, fence=row.fence, is_dex=None, refuses=refuses,
    )  # fmt: skip


def _generic(venue: str) -> VenueLine:
    means = cast("Callable[[str], SimpleNamespace]", load("venues.generic_rows:means_of"))(venue)
    lacks_of = cast("Callable[[str], str]", load("venues.generic_rows:lacks_of"))
    return VenueLine(
        venue=venue, adapter="generic", streams=means.streams, look_up=(), finds=means.finds, fence="",
        is_dex=means.is_dex, refuses=lacks_of(venue),
    )  # fmt: skip


def _streams(streams: dict[str, str]) -> str:
    words = {"stream": "", "asked": " (asked)", "none": " (none)"}
    return ", ".join(_KINDS[kind] + words[how] for kind, how in streams.items())
