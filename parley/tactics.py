"""How to work one order: the choice between market, limit, post_only and twap, and its prices.

All prices are side-aware (trap T1): a buy takes the asks and its limit is a ceiling, a
sell takes the bids and its limit is a floor. Not here: working the order over time
(`agents.execution`).

Invariant: no price given here is worse than the leg's own limit, nor further from the
best price than the proposal's slippage, the first tick excepted. Only an urgent exit
goes without a price, and only where the book holds twice as much within that limit.
"""

from decimal import Decimal
from math import ceil, isfinite
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from parley.depth import depth, is_usable, side_levels, split_even, walk
from parley.instruments import Instrument
from parley.messages import Book, Child, Leg
from parley.money import decimal


class Tactics(msgspec.Struct, frozen=True, kw_only=True):
    """When an order is small, tight or large.

    An order up to ``small_share`` of the ten best levels at a spread up to
    ``tight_spread_bps`` just crosses; above ``large_share`` of them, or ``volume_share`` of
    a usual candle's volume, it is cut into at most ``max_children``, one per candle, over
    at most half its horizon. The gate refuses an opening order above a share of its own
    (`Limits.max_book_share`): half of that leaves room for a book that thins meanwhile.
    Limits reach ``buffer_bps`` beyond what the book would take; an own limit less than
    ``tighten_bps`` worse than that is left alone.
    """

    tight_spread_bps: Annotated[float, Meta(ge=0)] = 2.0
    small_share: Annotated[float, Meta(gt=0)] = 0.05
    large_share: Annotated[float, Meta(gt=0)] = 0.10
    volume_share: Annotated[float, Meta(gt=0)] = 0.20
    max_children: Annotated[int, Meta(ge=1, le=50)] = 10
    buffer_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    tighten_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0


class Task(NamedTuple):
    """What is to be traded under which circumstances; ``volume`` base per usual candle, 0 unknown."""

    leg: Leg
    qty: Decimal
    urgency: str
    max_slippage_bps: float
    horizon_ms: int
    volume: float
    tf_ms: float


class Advice(NamedTuple):
    """A tactic: ``px`` the limit (None: the leg's own), ``cost_bps`` against the mid, fee included."""

    code: str
    style: str | None
    px: Decimal | None
    tif: str | None
    split: tuple[Child, ...]
    cost_bps: float
    detail: str


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


def can_take(book: Book | None, side: str, qty: Decimal, limit: Decimal | None, levels: int = 10) -> bool:
    """Whether the best levels hold twice a quantity within a limit.

    Twice, because an own order decided a moment earlier may be there first.
    """
    if book is None or not is_usable(book) or not qty.is_finite():
        return False
    wanted = 2 * float(qty)
    taken = walk(side_levels(book, side)[:levels], wanted)
    if wanted <= 0 or taken.filled < wanted:
        return False
    worst = decimal(taken.worst_px)
    return limit is None or (worst <= limit if side == "buy" else worst >= limit)


def advise(task: Task, book: Book | None, instrument: Instrument, tactics: Tactics) -> Advice:
    """Choose how to work a task on a book; an unusable book gives code ``no_book`` and no advice."""
    leg = task.leg
    qty = float(task.qty)
    if book is None or not is_usable(book) or not isfinite(qty) or qty <= 0:
        return Advice("no_book", None, None, None, (), 0.0, "")
    side = leg.side
    levels = side_levels(book, side)
    taken = walk(levels, qty)
    mid = book.mid
    share = qty / depth(levels)
    spread = (book.asks[0][0] - book.bids[0][0]) / mid * 1e4
    impact = abs(taken.avg_px / mid - 1) * 1e4
    fee = float(instrument.taker_fee) * 1e4
    detail = f"spread={spread:.2f} impact={impact:.2f} fee={fee:.2f} depth={share:.3f}"
    cost = impact + fee

    if leg.post_only or task.urgency == "patient":
        px = tighter(side, leg.limit_px, touch_price(book, side, instrument))
        if px is None or px <= 0:  # a bid below one tick
            return Advice("no_book", None, None, None, (), 0.0, detail)
        maker = float(instrument.maker_fee) * 1e4 - spread / 2
        return Advice("post_only", "post_only", px, "GTC", (), maker, detail)
    if not reaches(leg.limit_px, book, side):
        return Advice("resting", "limit", leg.limit_px, leg.tif, (), cost, detail)
    cap = _cap(task, book, taken.worst_px, instrument, tactics)
    if cap <= 0:
        return Advice("no_book", None, None, None, (), 0.0, detail)
    if leg.tif == "FOK":
        return Advice("fill_or_kill", "limit", cap, "FOK", (), cost, detail)
    widest = tighter(side, leg.limit_px, reach_price(book, side, task.max_slippage_bps, instrument))
    if task.urgency == "urgent":
        if leg.reduce_only and can_take(book, side, task.qty, widest):
            # who has to get out must not be left behind by a tick; the book says what it can cost
            return Advice("urgent_exit", "market", None, "IOC", (), cost, detail)
        return Advice("urgent", "market", cap, "IOC", (), cost, detail)
    large = share > tactics.large_share or (task.volume > 0 and qty > tactics.volume_share * task.volume)
    split = _split(task, depth(levels), instrument, tactics, book) if large else ()
    if len(split) > 1:
        first = walk(levels, float(split[0].qty))
        cost = abs(first.avg_px / mid - 1) * 1e4 + fee
        # the market moves between children: what bounds them all is the proposal, not the book of this moment
        return Advice("twap", "twap", widest, "IOC", split, cost, f"{detail} children={len(split)}")
    if spread <= tactics.tight_spread_bps and share <= tactics.small_share:
        return Advice("tight_book", "market", cap, "IOC", (), cost, detail)
    return Advice("limit", "limit", cap, "IOC", (), cost, detail)


def _cap(task: Task, book: Book, worst: float, instrument: Instrument, tactics: Tactics) -> Decimal:
    """Limit a marketable order: what the book takes and a buffer, within slippage and the own limit."""
    side = task.leg.side
    widest = reach_price(book, side, task.max_slippage_bps, instrument)
    sign = 1 if side == "buy" else -1
    needed = instrument.crossing_price(worst * (1 + sign * tactics.buffer_bps / 1e4), side)
    own = task.leg.limit_px
    cap = min(widest, needed) if side == "buy" else max(widest, needed)
    if own is None:
        return cap
    slack = decimal(tactics.tighten_bps) / 10_000
    close = own <= cap * (1 + slack) if side == "buy" else own >= cap * (1 - slack)
    # an own limit about as good saves asking the proposer about a change of nothing
    within = own <= widest if side == "buy" else own >= widest
    return own if close and within else (tighter(side, own, cap) or own)


def _split(
    task: Task, deep: float, instrument: Instrument, tactics: Tactics, book: Book
) -> tuple[Child, ...]:
    bite = tactics.large_share * deep
    if task.volume > 0:
        bite = min(bite, tactics.volume_share * task.volume)
    wanted = ceil(float(task.qty) / bite) if bite > 0 else tactics.max_children
    within = 1 + int(task.horizon_ms / (2 * task.tf_ms)) if task.tf_ms > 0 else 1
    px = Decimal(repr(side_levels(book, task.leg.side)[0][0]))
    for parts in range(min(wanted, within, tactics.max_children), 1, -1):
        cut = split_even(task.qty, parts, instrument)
        if len(cut) == parts and not instrument.tradable(cut[-1], px):
            return tuple(Child(qty=q, delay_ms=int(i * task.tf_ms)) for i, q in enumerate(cut))
    return ()
