"""Walking a book: what a quantity costs, how deep it reaches, and cutting it into children.

Levels are (price, quantity) pairs, best first, as in `Book`. Not here: fees, and whether
to trade at all.

Invariant: nothing raises on an empty, crossed or non-finite book; it is then not usable
or shallow, and the caller says so.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import inf
from typing import NamedTuple

from parley.instruments import Instrument
from parley.messages import Book

Levels = Sequence[tuple[float, float]]


class Walk(NamedTuple):
    """Taking a quantity from a book: what it fills, at which average and worst price (0: nothing)."""

    filled: float
    avg_px: float
    worst_px: float


def is_usable(book: Book | None) -> bool:
    """Whether both sides have a finite, positive best level and do not cross."""
    if book is None or not book.bids or not book.asks:
        return False
    (bid, bid_qty), (ask, ask_qty) = book.bids[0], book.asks[0]
    return 0 < bid <= ask < inf and 0 < bid_qty < inf and 0 < ask_qty < inf


def side_levels(book: Book, side: str) -> Levels:
    """Give the levels that an order of a side takes: the asks for a buy, the bids for a sell."""
    return book.asks if side == "buy" else book.bids


def depth(levels: Levels, top: int = 10) -> float:
    """Sum the base quantity of the best levels."""
    total = 0.0
    for px, qty in levels[:top]:
        if 0 < qty < inf and 0 < px < inf:
            total += qty
    return total


def walk(levels: Levels, qty: float) -> Walk:
    """Take a base quantity from the best level on."""
    left, spent, worst = qty, 0.0, 0.0
    for px, available in levels:
        if left <= 0:
            break
        if not (0 < px < inf and 0 < available < inf):
            continue
        part = min(left, available)
        spent += part * px
        left -= part
        worst = px
    filled = qty - max(left, 0.0)
    return Walk(filled, spent / filled if filled > 0 else 0.0, worst)


def split_even(qty: Decimal, parts: int, instrument: Instrument) -> tuple[Decimal, ...]:
    """Cut a quantity into near-equal parts on the lot grid that sum to it exactly; larger ones first.

    A quantity off the grid keeps its odd rest in the first part. Fewer lots than parts give
    as many parts as there are lots.
    """
    lots = int(qty / instrument.lot)
    parts = min(parts, lots)
    if parts < 2:
        return (qty,) if qty > 0 else ()
    each, more = divmod(lots, parts)
    cut = [(each + (1 if i < more else 0)) * instrument.lot for i in range(parts)]
    cut[0] += qty - lots * instrument.lot
    return tuple(cut)
