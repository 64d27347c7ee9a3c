"""Walking a book: what a quantity costs, how deep it reaches, and cutting it into children.

Levels are (price, quantity) pairs, best first, as in `Book`. Not here: fees, and whether
to trade at all.

Invariant: nothing raises on an empty, crossed or non-finite book; it is then not usable
or shallow, and the caller says so.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
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
    numbers_ok = isfinite(bid) and isfinite(ask) and isfinite(bid_qty) and isfinite(ask_qty)
    return numbers_ok and 0 < bid <= ask and bid_qty > 0 and ask_qty > 0


def side_levels(book: Book, side: str) -> Levels:
    """Give the levels that an order of a side takes: the asks for a buy, the bids for a sell."""
    return book.asks if side == "buy" else book.bids


def depth(levels: Levels, top: int = 10) -> float:
    """Sum the base quantity of the best levels."""
    return sum(q for px, q in levels[:top] if isfinite(q) and q > 0 and isfinite(px) and px > 0)


def walk(levels: Levels, qty: float) -> Walk:
    """Take a base quantity from the best level on."""
    left, spent, worst = qty, 0.0, 0.0
    for px, available in levels:
        if left <= 0:
            break
        if not (isfinite(px) and isfinite(available) and px > 0 and available > 0):
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
