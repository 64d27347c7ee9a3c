"""Prices off a told book: to join a side, to cross within some bps, and which limit is the tighter.

All prices are side-aware (trap T1): a buy takes the asks and its limit is a ceiling, a sell
takes the bids and its limit is a floor. Not here: which of them an order gets.

Invariant: a price to join never crosses, a price to cross always reaches the best opposite one.
"""

from decimal import Decimal
from math import isfinite
from typing import NamedTuple

from parley.depth import Levels, side_levels
from parley.instruments import Instrument
from parley.messages import Book
from parley.money import decimal

ZERO = Decimal(0)


def tighter(side: str, a: Decimal | None, b: Decimal | None) -> Decimal | None:
    """Give the limit that allows less: the lower one for a buy, the higher one for a sell."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b) if side == "buy" else max(a, b)


def touch_price(book: Book, side: str, instrument: Instrument) -> Decimal:
    """Give the price to join the own side of the book without crossing it."""
    return instrument.price(book.bids[0][0] if side == "buy" else book.asks[0][0], side)


def reach_price(book: Book, side: str, bps: float, instrument: Instrument) -> Decimal:
    """Give the worst price within some bps of the best opposite one; it always reaches the best one."""
    best = side_levels(book, side)[0][0]
    sign = 1 if side == "buy" else -1
    slack = bps if isfinite(bps) and bps > 0 else 0.0
    cap = instrument.price(best * (1 + sign * slack / 1e4), side)
    if isfinite(best) and (cap >= decimal(best) if side == "buy" else cap <= decimal(best)):
        return cap  # it is on the tick and reaches the best price: so it reaches the tick next to that
    nearest = instrument.crossing_price(best, side)
    return max(cap, nearest) if side == "buy" else min(cap, nearest)


def reaches(px: Decimal | None, book: Book, side: str) -> bool:
    """Whether an order at this limit trades at once."""
    best = decimal(side_levels(book, side)[0][0])
    return px is None or (px >= best if side == "buy" else px <= best)


class Capped(NamedTuple):
    """What a book holds within a cap: ``qty`` base of what was wanted, at which average (0: nothing)."""

    qty: Decimal
    avg_px: float
    is_whole: bool


def within_cap(
    levels: Levels, side: str, qty: Decimal, cap: Decimal | None, instrument: Instrument
) -> Capped:
    """Walk a told book up to a cap; whatever of the quantity it does not hold within that is missing."""
    left, spent, taken = float(qty), 0.0, 0.0
    for px, available in levels:
        if left <= 0:
            break
        if not (isfinite(px) and px > 0 and isfinite(available) and available > 0):
            continue
        if cap is not None and (decimal(px) > cap if side == "buy" else decimal(px) < cap):
            break
        part = min(left, available)
        taken, spent, left = taken + part, spent + part * px, left - part
    is_whole = left <= 0
    held = qty if is_whole else min(qty, instrument.qty(taken))
    return Capped(held, spent / taken if taken > 0 else 0.0, is_whole)
