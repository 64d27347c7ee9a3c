"""How `parley route` shows what an order costs: as one object, and as tables.

Not here: asking venues and computing. Invariant: the tables say nothing that is not in the object.
"""

from decimal import Context, Decimal
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from parley.execution.venue_costs import Alone, Bill, VenueCosts
from parley.instruments import assets_of
from runtime.output import money, number, table
from runtime.venue_board import Look

_SHOWN: Final = Context(prec=9)  # of what is on no grid: a terminal has eighty columns


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: base quantity, and the worst price, None: any."""

    symbol: str
    side: str
    qty: Decimal
    limit: Decimal | None

    @property
    def quote(self) -> str:
        """The asset it is paid in."""
        return assets_of(self.symbol)[1]


class VenueLine(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's best prices, with and without its taker fee (a fraction), and where that is known from.

    ``bid_levels`` and ``ask_levels`` are how many levels were read.
    """

    venue: str
    bid: Decimal
    ask: Decimal
    net_bid: Decimal
    net_ask: Decimal
    taker_fee: Decimal
    fee_of: str
    bid_levels: int
    ask_levels: int
    age_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the venues, the best for the order's side first; costs are negative for a sell."""

    order: Order
    venues: tuple[VenueLine, ...]
    costs: VenueCosts
    left_out: dict[str, str]


def report(order: Order, look: Look, costs: VenueCosts) -> Report:
    """Put a look and what was computed from it together."""
    lines = []
    for top in costs.tops:
        seen = look.seen[top.venue]
        book = seen.market.book
        lines.append(
            VenueLine(
                venue=top.venue, bid=top.bid, ask=top.ask, net_bid=top.net_bid, net_ask=top.net_ask,
                taker_fee=seen.market.instrument.taker_fee, fee_of=seen.fee_of, bid_levels=len(book.bids),
                ask_levels=len(book.asks), age_s=round(seen.age_s, 3),
            )
        )  # fmt: skip
    return Report(order=order, venues=tuple(lines), costs=costs, left_out=look.left_out)


def as_object(found: Report) -> dict[str, object]:
    """Return what `--json` prints."""
    order, costs = found.order, found.costs
    return {
        "symbol": order.symbol, "side": order.side, "qty": order.qty, "limit": order.limit,
        "venues": found.venues, "route": costs.parts, "unplaced": costs.unplaced, "fee": costs.fee,
        "cost": costs.cost, "alone": costs.alone, "saving": costs.saving,
        "left_out": [{"venue": venue, "reason": reason} for venue, reason in found.left_out.items()],
    }  # fmt: skip


def tables(found: Report) -> RenderableType:
    """Return what people see."""
    order, costs = found.order, found.costs
    limit = f" at no worse than {number(order.limit)}" if order.limit is not None else ""
    parts: list[RenderableType] = [
        Text(f"{order.side} {number(order.qty)} {order.symbol}{limit}", style="bold")
    ]
    if found.venues:
        for each in (_books(found), _route(order, costs), _alone(order, costs)):
            parts += [each, Text()]
        if costs.unplaced:
            parts.append(Text(_unplaced(order, costs)))
        parts.append(Text(_saving(order, costs)))
    parts += [Text(f"left out: {venue}: {reason}") for venue, reason in found.left_out.items()]
    parts.append(Text("no order was sent", style="dim"))
    return Group(*parts)


def _books(found: Report) -> RenderableType:
    shown = table("venue", "bid", "ask", "bid net", "ask net", "taker fee", "age")
    for each in found.venues:
        shown.add_row(
            each.venue, number(each.bid), number(each.ask), _px(each.net_bid), _px(each.net_ask),
            f"{number(each.taker_fee * 100)}% {each.fee_of}", f"{each.age_s:.1f}s",
        )  # fmt: skip
    return shown


def _px(amount: Decimal) -> str:
    return number(_SHOWN.plus(amount))


def _route(order: Order, costs: VenueCosts) -> RenderableType:
    shown = table("route", "quantity", "worst price", "average", f"fee {order.quote}", _cost_word(order))
    for each in costs.parts:
        shown.add_row(*_bill_words(each))
    placed = order.qty - costs.unplaced
    shown.add_row("together", number(placed), "", "", money(costs.fee, 4), money(abs(costs.cost), 4))
    return shown


def _unplaced(order: Order, costs: VenueCosts) -> str:
    where = " within the limit" if order.limit is not None else ""
    amount = f"{number(costs.unplaced)} {assets_of(order.symbol)[0]}"
    return f"unplaced: {amount}: the books read hold no more{where}, or it is below lot or minimum"


def _alone(order: Order, costs: VenueCosts) -> RenderableType:
    shown = table("alone", "quantity", "worst price", "average", f"fee {order.quote}", _cost_word(order),
                  "unplaced")  # fmt: skip
    for each in costs.alone:
        shown.add_row(*_alone_words(each), number(each.unplaced) if each.unplaced else "")
    return shown


def _alone_words(each: Alone) -> tuple[str, ...]:
    return _bill_words(each.bill) if each.bill is not None else (each.venue, "0", "", "", "", "")


def _bill_words(bill: Bill) -> tuple[str, ...]:
    return (
        bill.venue, number(bill.qty), number(bill.worst_px), _px(bill.avg_px), money(bill.fee, 4),
        money(abs(bill.cost), 4),
    )  # fmt: skip


def _cost_word(order: Order) -> str:
    return f"{'costs' if order.side == 'buy' else 'brings'} {order.quote}"


def _saving(order: Order, costs: VenueCosts) -> str:
    if costs.saving is None:
        return "no venue alone places as much as the route" if costs.parts else "nothing can be placed"
    saving = costs.saving
    if not saving.quote:
        return f"routing saves nothing: {saving.against} alone is as good"
    return (
        f"routing saves {money(saving.quote, 4)} {order.quote} ({saving.bps:.2f} bps) against"
        f" {saving.against} alone"
    )
