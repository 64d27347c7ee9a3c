"""How to work one order: the choice between the styles of `execution.styles`, and its prices.

Not here: the arithmetic of prices and of slices (`parley.execution`), working the order over
time (`agents.execution`).

Invariant: no price given here is worse than the leg's own limit, nor further from the
best price than the proposal's slippage, the first tick excepted. Only an urgent exit
goes without a price, and only where the book holds twice as much within that limit.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import ceil, isfinite
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from parley.depth import depth, is_usable, side_levels, split_even, walk
from parley.execution.iceberg import slices
from parley.execution.pricing import reach_price, reaches, tighter, touch_price, within_cap
from parley.execution.slicing import participation, weighted
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

    ``large``: how a large order that crosses is cut, evenly over time (twap), along the
    day's volume (vwap) or as ``participation`` of what is printed (pov). ``patient``: a
    patient order rests at its own side (post_only) or steps towards the other (requote);
    ``patient_large``: a large one shows slices that vary by ``jitter`` (iceberg) or itself
    (whole). ``beyond_cap``: an opening order of which the book holds only a part within its
    slippage takes that part (cut) or nothing (refuse).
    """

    tight_spread_bps: Annotated[float, Meta(ge=0)] = 2.0
    small_share: Annotated[float, Meta(gt=0)] = 0.05
    large_share: Annotated[float, Meta(gt=0)] = 0.10
    volume_share: Annotated[float, Meta(gt=0)] = 0.20
    max_children: Annotated[int, Meta(ge=1, le=50)] = 10
    buffer_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    tighten_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    large: Literal["twap", "vwap", "pov"] = "twap"
    participation: Annotated[float, Meta(gt=0, le=1)] = 0.10
    patient: Literal["post_only", "requote"] = "post_only"
    patient_large: Literal["iceberg", "whole"] = "iceberg"
    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.2
    beyond_cap: Literal["cut", "refuse"] = "cut"


def _flat(steps: int) -> Sequence[float]:
    return (1.0,) * steps


class Task(NamedTuple):
    """What is to be traded under which circumstances; volumes in base, 0 unknown.

    ``volume`` is a usual candle's, ``printed`` the last one's, ``ahead`` gives those expected
    of the next candles, ``rng`` the randomness of this message.
    """

    leg: Leg
    qty: Decimal
    urgency: str
    max_slippage_bps: float
    horizon_ms: int
    volume: float
    tf_ms: float
    printed: float = 0.0
    ahead: Callable[[int], Sequence[float]] = _flat
    rng: Callable[[], np.random.Generator] | None = None


class Advice(NamedTuple):
    """A tactic: ``px`` the limit (None: the leg's own), ``cost_bps`` against the mid, fee included."""

    code: str
    style: str | None
    px: Decimal | None
    tif: str | None
    split: tuple[Child, ...]
    cost_bps: float
    detail: str


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
        style, shown = _patient(task, share, instrument, tactics, px, depth(levels))
        return Advice(style, style, px, "GTC", shown, maker, detail)
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
    style, split = _split(task, depth(levels), instrument, tactics, book) if large else ("", ())
    if len(split) > 1:
        first = walk(levels, float(split[0].qty))
        cost = abs(first.avg_px / mid - 1) * 1e4 + fee
        # the market moves between children: what bounds them all is the proposal, not the book of this moment
        return Advice(style, style, widest, "IOC", split, cost, f"{detail} children={len(split)}")
    if taken.filled < qty or not _within(taken.worst_px, side, widest):
        held = within_cap(levels, side, task.qty, widest, instrument)
        whole = tactics.beyond_cap == "refuse" and not leg.reduce_only  # who has to leave leaves what he can
        detail = f"{detail} within_cap={held.qty} of {task.qty}"
        return Advice("slippage_cap", "limit", widest, "FOK" if whole else "IOC", (), cost, detail)
    if spread <= tactics.tight_spread_bps and share <= tactics.small_share:
        return Advice("tight_book", "market", cap, "IOC", (), cost, detail)
    return Advice("limit", "limit", cap, "IOC", (), cost, detail)


def _within(px: float, side: str, limit: Decimal | None) -> bool:
    return limit is None or (decimal(px) <= limit if side == "buy" else decimal(px) >= limit)


def _patient(
    task: Task, share: float, instrument: Instrument, tactics: Tactics, px: Decimal, deep: float
) -> tuple[str, tuple[Child, ...]]:
    """Choose how a patient order rests: whole at its own side, stepping, or in slices."""
    if share > tactics.large_share and tactics.patient_large == "iceberg" and task.rng is not None:
        visible = tactics.large_share * deep
        cut = slices(task.qty, visible, tactics.max_children, tactics.jitter, instrument, px, task.rng())
        if len(cut) > 1:
            return "iceberg", tuple(Child(qty=q, delay_ms=0) for q in cut)
    return ("post_only" if task.leg.post_only else tactics.patient), ()


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
) -> tuple[str, tuple[Child, ...]]:
    """Cut a large order over half its horizon as the tactics say; no children when it is too small for it."""
    bite = tactics.large_share * deep
    within = 1 + int(task.horizon_ms / (2 * task.tf_ms)) if task.tf_ms > 0 else 1
    most = min(within, tactics.max_children)
    px = Decimal(repr(side_levels(book, task.leg.side)[0][0]))
    if tactics.large == "pov":
        cut = _shares(task, bite, instrument, tactics, most)
        if len(cut) > 1 and not any(instrument.tradable(part, px) for part in cut):
            return "pov", _timed(cut, task.tf_ms)
    if task.volume > 0:
        bite = min(bite, tactics.volume_share * task.volume)
    wanted = ceil(float(task.qty) / bite) if bite > 0 else tactics.max_children
    for parts in range(min(wanted, most), 1, -1):
        if tactics.large == "vwap":
            cut = _curved(task, parts, bite, instrument)
            if len(cut) == parts and not any(instrument.tradable(part, px) for part in cut):
                return "vwap", _timed(cut, task.tf_ms)
        cut = split_even(task.qty, parts, instrument)
        if len(cut) == parts and not instrument.tradable(cut[-1], px):
            return "twap", _timed(cut, task.tf_ms)
    return "", ()


def _timed(cut: Sequence[Decimal], tf_ms: float) -> tuple[Child, ...]:
    return tuple(Child(qty=q, delay_ms=int(i * tf_ms)) for i, q in enumerate(cut))


def _curved(task: Task, parts: int, bite: float, instrument: Instrument) -> tuple[Decimal, ...]:
    """Cut along the expected volume; the first child goes at once, so the told book bounds it."""
    ahead = task.ahead(parts)
    cut = weighted(task.qty, ahead, instrument)
    most = instrument.qty(bite)
    if len(cut) < 2 or cut[0] <= most or most <= 0:
        return cut
    return (most, *weighted(task.qty - most, ahead[1:], instrument))


def _shares(
    task: Task, bite: float, instrument: Instrument, tactics: Tactics, most: int
) -> tuple[Decimal, ...]:
    """Give what may go at once of the last candle's volume, and an estimate of when the rest can follow."""
    printed = task.printed if isfinite(task.printed) else 0.0
    first = participation(tactics.participation, printed, printed, Decimal(0), 1.0, instrument)
    first = min(first, instrument.qty(bite))
    rest = task.qty - first
    usual = tactics.participation * task.volume
    if first <= 0 or rest <= 0 or not usual > 0:
        return ()
    parts = max(1, min(most - 1, ceil(float(rest) / usual)))
    return (first, *split_even(rest, parts, instrument))
