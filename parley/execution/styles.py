"""The ways a decided leg can be worked, and what each of them is at the venue.

One table for whoever decides (the desk's plan) and whoever works (the execution agent), so
that a way of working cannot be known to one and not to the other. Not here: the choice
(`parley.tactics`) and the working itself (`chase`, `slicing`, `iceberg`).

Invariant: a style that is not in the table is worked by nobody and sent by nobody.
"""

from typing import Final, NamedTuple


class Style(NamedTuple):
    """One way of working.

    ``order`` is the venue's kind of order; ``sliced``: in children that the plan names;
    ``follows``: quoted anew when the market moves, up to the proposal's own limit;
    ``worked``: by the execution agent over time, otherwise child 0 is all there is.
    """

    order: str
    sliced: bool = False
    follows: bool = False
    worked: bool = True


STYLES: Final[dict[str, Style]] = {
    "market": Style("market", worked=False),
    "limit": Style("limit", worked=False),
    "post_only": Style("post_only", follows=True),
    "requote": Style("limit", follows=True),
    "iceberg": Style("post_only", sliced=True, follows=True),
    "twap": Style("limit", sliced=True),
    "vwap": Style("limit", sliced=True),
    "pov": Style("limit", sliced=True),
}
SLICED: Final = frozenset(name for name, style in STYLES.items() if style.sliced)
FOLLOWING: Final = frozenset(name for name, style in STYLES.items() if style.follows)
# slices that take what is there; those of an iceberg wait to be taken
TAKING: Final = SLICED - FOLLOWING


def is_worked(style: str, tif: str) -> bool:
    """Whether the execution agent works a leg over time; a limit only where it may rest."""
    known = STYLES.get(style)
    return known is not None and (known.worked or (style == "limit" and tif == "GTC"))


def venue_style(style: str) -> str:
    """Name the order a child of this style is at the venue: market, limit or post_only."""
    known = STYLES.get(style)
    return style if known is None else known.order
