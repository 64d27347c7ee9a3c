"""What one order costs over several venues: by its route, and whole at each venue alone.

Problem: a route is only worth its trouble against the best that a single venue would do with the same order,
so both are computed from the same books and fees, and the difference is told where they can be compared.

Not here: finding the route (`routing`), reading books, sending anything.

Invariant: nothing is rounded but averages and basis points; what routing saves is never negative, and is
told only against a venue that places as much as the route does.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from parley.depth import side_levels
from parley.execution.routing import ZERO, Market, Part, route
from parley.money import average, decimal, exact

BPS: Final = Decimal(10_000)


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """The best prices of a venue, and what they come to with its taker fee; quote for a base unit."""

    venue: str
    bid: Decimal
    ask: Decimal
    net_bid: Decimal
    net_ask: Decimal


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue's part of an order comes to: base quantity, prices, and quote money.

    ``cost`` is with ``fee``; for a sell it is negative, what comes in.
    """

    venue: str
    qty: Decimal
    worst_px: Decimal
    avg_px: Decimal
    fee: Decimal
    cost: Decimal


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """The whole order at one venue: how much of it finds no place there, and its bill, None: nothing does."""

    venue: str
    unplaced: Decimal
    bill: Bill | None


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What the route is better than all of it at the best single venue: quote, and share of its cost."""

    against: str
    quote: Decimal
    bps: Decimal


class VenueCosts(msgspec.Struct, frozen=True, kw_only=True):
    """An order over the books of several venues; ``tops`` and ``alone`` begin with the best for its side.

    ``saving`` is None where no venue alone places as much as the route.
    """

    tops: tuple[Top, ...]
    parts: tuple[Bill, ...]
    unplaced: Decimal
    fee: Decimal
    cost: Decimal
    alone: tuple[Alone, ...]
    saving: Saving | None


def compare(
    markets: Mapping[str, Market], side: str, qty: Decimal, limit: Decimal | None = None
) -> VenueCosts:
    """Route an order over usable books, and price it at each venue alone; all else as `route`."""
    with exact():
        whole = route(markets, side, qty, limit)
        parts = tuple(_bill(markets[part.venue], part, side) for part in whole.parts)
        alone = [_alone(venue, market, side, qty, limit) for venue, market in markets.items()]
        alone.sort(key=lambda each: (each.unplaced, each.bill.cost if each.bill else ZERO, each.venue))
        tops = [_top(venue, market) for venue, market in markets.items()]
        tops.sort(key=lambda top: (top.net_ask if side == "buy" else -top.net_bid, top.venue))
        return VenueCosts(
            tops=tuple(tops), parts=parts, unplaced=whole.unplaced,
            fee=sum((part.fee for part in parts), ZERO), cost=whole.cost, alone=tuple(alone),
            saving=_saving(alone[0], whole.unplaced, whole.cost) if alone else None,
        )  # fmt: skip


def _top(venue: str, market: Market) -> Top:
    bid, ask = decimal(market.book.bids[0][0]), decimal(market.book.asks[0][0])
    fee = market.instrument.taker_fee
    return Top(venue=venue, bid=bid, ask=ask, net_bid=bid * (1 - fee), net_ask=ask * (1 + fee))


def _bill(market: Market, part: Part, side: str) -> Bill:
    left, value = part.qty, ZERO
    for px, base in side_levels(market.book, side):
        taken = min(left, decimal(base))
        value, left = value + taken * decimal(px), left - taken
        if left <= 0:
            break
    fee = part.cost - value if side == "buy" else part.cost + value
    return Bill(
        venue=part.venue, qty=part.qty, worst_px=part.px, avg_px=average(value, part.qty), fee=fee,
        cost=part.cost,
    )  # fmt: skip


def _alone(venue: str, market: Market, side: str, qty: Decimal, limit: Decimal | None) -> Alone:
    found = route({venue: market}, side, qty, limit)
    bill = _bill(market, found.parts[0], side) if found.parts else None
    return Alone(venue=venue, unplaced=found.unplaced, bill=bill)


def _saving(best: Alone, unplaced: Decimal, cost: Decimal) -> Saving | None:
    if best.bill is None or best.unplaced != unplaced:
        return None
    saved = best.bill.cost - cost
    return Saving(against=best.venue, quote=saved, bps=average(saved * BPS, abs(best.bill.cost)))
