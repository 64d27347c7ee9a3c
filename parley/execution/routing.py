"""Sharing one order out over the books of several venues so that it costs the least after fees.

A level of a book costs its price and the venue's taker fee, so what a further lot costs at a
venue never falls: costs are separable and convex, and taking the cheapest next lot is exact.
Two things bend that. Where lots differ, each coarser one is compared with a block of the finer
venues' next cheapest lots, which is convex again. Where venues have minimum sizes, a venue gets
none or at least its minimum, so every set of venues is tried with its minima served first.

Not here: sending, and what a venue that fails leaves (that is routed anew).

Invariant: parts lie on their venue's lot, reach its minima at the lowest price of its levels, are
within what its book shows up to the limit and what it may get, and never sum to more than the
order. As much as possible is placed, and of all ways to place that much the cheapest.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Final, NamedTuple

from parley.depth import is_usable, side_levels
from parley.errors import DataError
from parley.instruments import Instrument
from parley.messages import Book
from parley.money import decimal, exact

ZERO = Decimal(0)
MOST_VENUES: Final = 8  # every set of venues is tried: 255 of them
Runs = list[tuple[Decimal, Decimal]]  # (cost of a unit, how many units), cheapest first


class Market(NamedTuple):
    """A symbol at one venue: its grid and fees, its told book, and what it may get at most, in base."""

    instrument: Instrument
    book: Book
    most: Decimal | None = None


class Part(NamedTuple):
    """What a venue gets: base quantity, the worst price of it, its quote money with fees.

    ``cost`` is paid for a buy; for a sell it is negative, what comes in.
    """

    venue: str
    qty: Decimal
    px: Decimal
    cost: Decimal


class Route(NamedTuple):
    """The parts in the order of the venues' names; ``unplaced`` is what no book holds within the limit."""

    parts: tuple[Part, ...]
    unplaced: Decimal
    cost: Decimal


class Lane(NamedTuple):
    """One venue: its levels as (net cost of a base unit, price, base), its lot, and its least quantity."""

    venue: str
    levels: tuple[tuple[Decimal, Decimal, Decimal], ...]
    lot: Decimal
    least: Decimal
    most: Decimal


def route(markets: Mapping[str, Market], side: str, qty: Decimal, limit: Decimal | None = None) -> Route:
    """Share an order out over venues at the least cost after fees.

    Parameters
    ----------
    markets : by venue, all of the same symbol
    limit : worst price at any venue, None: whatever the books show

    Raises
    ------
    DataError
        When there are more venues than can be tried, or lots that are no multiples of each other.
    """
    with exact():
        lanes = [
            lane
            for venue in sorted(markets)
            if (lane := _lane(venue, markets[venue], side, limit)) is not None and lane.least <= qty
        ]
        if len(lanes) > MOST_VENUES:
            raise DataError(f"at most {MOST_VENUES} venues can be routed over, were {len(lanes)}")
        lots = sorted({lane.lot for lane in lanes})
        for fine, coarse in pairwise(lots):
            if coarse % fine != 0:
                raise DataError(f"lots have to be multiples of each other, were {fine} and {coarse}")
        best = Route((), max(qty, ZERO), ZERO)
        for count in range(1, len(lanes) + 1):
            for chosen in combinations(lanes, count):
                rest = qty - sum((lane.least for lane in chosen), ZERO)
                if rest < 0:
                    continue
                found = _told(chosen, _shared(chosen, rest), qty)
                if (found.unplaced, found.cost) < (best.unplaced, best.cost):
                    best = found
        return best


def _lane(venue: str, market: Market, side: str, limit: Decimal | None) -> Lane | None:
    if not is_usable(market.book):
        return None
    instrument, inf = market.instrument, float("inf")
    sign = 1 if side == "buy" else -1
    levels = []
    for px, base in side_levels(market.book, side):
        if not (0 < px < inf and 0 < base < inf):
            continue
        price = decimal(px)
        if limit is not None and (price > limit if sign > 0 else price < limit):
            break
        levels.append((sign * price * (1 + sign * instrument.taker_fee), price, decimal(base)))
    # a book out of order would not be convex
    levels.sort(key=lambda level: level[0])
    held = sum((base for _, _, base in levels), ZERO)
    lot = instrument.lot
    most = min(held, instrument.max_qty, held if market.most is None else market.most) // lot * lot
    if most <= 0:
        return None
    low = min(px for _, px, _ in levels)
    least = max(_up(instrument.min_qty, lot), lot)
    while least * low < instrument.min_notional:
        short = instrument.min_notional - least * low
        least += max(short // (low * lot), Decimal(1)) * lot
    return Lane(venue, tuple(levels), lot, least, most) if least <= most else None


def _up(amount: Decimal, lot: Decimal) -> Decimal:
    return -(-amount // lot) * lot if amount % lot else amount


def coarsen(runs: Iterable[tuple[Decimal, Decimal]], skip: Decimal, block: Decimal) -> Runs:
    """Give the costs of whole blocks of some units, the first ``skip`` units left out."""
    out: Runs = []
    part = cost = ZERO
    for unit, amount in runs:
        left = amount - min(skip, amount)
        skip -= amount - left
        if part > 0:
            taken = min(block - part, left)
            part, cost, left = part + taken, cost + taken * unit, left - taken
            if part == block:
                out.append((cost, Decimal(1)))
                part = cost = ZERO
        whole = left // block
        if whole > 0:
            out.append((unit * block, whole))
            left -= whole * block
        if left > 0:
            part, cost = part + left, cost + left * unit
    return out


def _shared(lanes: Sequence[Lane], rest: Decimal) -> dict[str, Decimal]:
    """Give what each venue gets beyond its minimum."""
    groups: list[tuple[Decimal, list[Lane]]] = []
    for lane in sorted(lanes, key=lambda x: (x.lot, x.venue)):
        if not groups or groups[-1][0] != lane.lot:
            groups.append((lane.lot, []))
        groups[-1][1].append(lane)
    given: dict[str, Decimal] = {}
    while groups:
        lot, members = groups.pop()
        mine: list[tuple[Decimal, str, Decimal]] = []
        for lane in members:
            mine += [(cost, lane.venue, count) for cost, count in _own_runs(lane)]
        # "" sorts first: of equal costs the finer venues give, whose lots can be shared further
        mine += [(cost, "", count) for cost, count in _finer_runs(groups, rest, lot)]
        left = rest // lot
        for _, venue, count in sorted(mine):
            taken = min(left, count)
            left -= taken
            if venue and taken > 0:
                given[venue] = given.get(venue, ZERO) + taken * lot
                rest -= taken * lot
    return given


def _own_runs(lane: Lane) -> Runs:
    """Give a venue's costs by lot beyond its minimum, as far as it may go."""
    most = (lane.most - lane.least) // lane.lot
    out: Runs = []
    for cost, count in coarsen(((net, base) for net, _, base in lane.levels), lane.least, lane.lot):
        count = min(count, most)
        most -= count
        if count > 0:
            out.append((cost, count))
    return out


def _finer_runs(groups: Sequence[tuple[Decimal, list[Lane]]], rest: Decimal, block: Decimal) -> Runs:
    """Give the costs of a coarser lot's blocks at the finer venues together, the odd rest aside."""
    if not groups:
        return []
    lot, members = groups[-1]
    runs = [run for lane in members for run in _own_runs(lane)]
    runs += _finer_runs(groups[:-1], rest, lot)
    odd = rest % block // lot
    return coarsen(sorted(runs), odd, block // lot)


def _told(lanes: Sequence[Lane], given: Mapping[str, Decimal], qty: Decimal) -> Route:
    parts = []
    for lane in lanes:
        left = whole = lane.least + given.get(lane.venue, ZERO)
        cost, worst = ZERO, ZERO
        for net, px, base in lane.levels:
            taken = min(left, base)
            if taken <= 0:
                break
            cost, worst, left = cost + taken * net, px, left - taken
        parts.append(Part(lane.venue, whole, worst, cost))
    placed = sum((part.qty for part in parts), ZERO)
    return Route(tuple(parts), qty - placed, sum((part.cost for part in parts), ZERO))
