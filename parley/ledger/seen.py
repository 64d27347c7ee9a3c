"""What tells a trade from all others, and what of it moves money.

Problem: the same trade is told twice, by a stream and by a list, and the two may differ in words that move
nothing. Told once more it must not be booked; told otherwise it must not be believed.

Not here: what was booked (`ledger`).

Invariant: equal content for equal money, whatever the spelling of its numbers.
"""

from parley.messages import Crossed, Fill
from parley.money import tidy


def key_of(fill: Fill) -> str:
    """Name a trade; the symbol belongs to it because venues number trades per symbol."""
    return f"{fill.venue}|{fill.account}|{fill.symbol}|{fill.trade_id}"


def content_of(fill: Fill) -> str:
    """Give what of it moves money: read from a stream and from a list it may differ in the rest."""
    amounts = (tidy(fill.qty), tidy(fill.px), tidy(fill.fee))
    return "|".join((fill.symbol, fill.side, fill.fee_asset, *map(str, amounts)))


def key_of_crossing(crossed: Crossed) -> str:
    """Name what one agent gave another: in one round nobody gives twice."""
    return f"crossed|{crossed.round.hex()}|{crossed.seller}"


def content_of_crossing(crossed: Crossed) -> str:
    """Give what of it moves anything."""
    return "|".join((crossed.symbol, crossed.buyer, str(tidy(crossed.qty)), str(tidy(crossed.px))))
