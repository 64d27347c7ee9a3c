"""Which exchange gets an order, where a pair is traded at several: smart routing of what was decided.

Problem: agents decide how much of a pair is bought or sold and at which price at worst. Where is the desk's
to say, at the moment of the decision: an order that takes what is there is shared out over the books so that
it costs the least after fees (`parley.execution.routing`), within what lies at each exchange. One that rests,
or is worked over time, goes to one exchange whole, for nobody knows where it would be filled first.

Not here: the books (`market`), whether a part may leave (each part passes the gate by itself), what a part
that came to nothing leaves (the holder proposes again).

Invariant: the parts never sum to more than was decided; each is of a symbol whose exchange holds what it
spends. No part is worse than the decided price, but for an exit at another exchange than the first: it can be
left only where it lies, so its price is as far from that book as the decided one from the first book (50 bps
beyond the best price there while the first book is not usable). A pair of one exchange is left alone.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from parley.depth import depth, is_usable, side_levels
from parley.errors import DataError
from parley.execution.routing import Market as Side
from parley.execution.routing import route
from parley.execution.styles import venue_style
from parley.instruments import AT, Instrument, plain
from parley.messages import Book, PlanLeg, Proposal
from parley.money import decimal
from parley.risk.limits import Limits

from .account import Account
from .dispatch import Opened
from .market import Market
from .plan import better, scaled, worst_reach
from .pooled import by_pair
from .table import Table

ZERO: Final = Decimal(0)
MS: Final = 1_000_000
BPS: Final = 10_000
_LESS: Final = 0.999  # of a share of a book, which is a float


class Routing:
    """One per firm; knows no order that is under way but by what it reserves."""

    def __init__(self, table: Table, account: Account, market: Market) -> None:
        self._table = table
        self._account = account
        self._market = market
        self._pairs: Mapping[str, tuple[str, ...]] = by_pair(table.env.instruments)

    def routed(self, plan: tuple[PlanLeg, ...], proposal: Proposal, limits: Limits) -> tuple[PlanLeg, ...]:
        """Give the parts of a plan, the largest first; a plan of one exchange as it is.

        A plan of several legs is a cycle, which lives at the first exchange.
        """
        if len(plan) != 1 or proposal.coupled or plan[0].symbol not in self._pairs:
            return plan
        leg = plan[0]
        rooms = {
            symbol: room
            for symbol in self._pairs[leg.symbol]
            if self._is_open(symbol, leg, limits)
            and (room := self._room(symbol, leg, proposal.agent, limits)) > 0
        }
        if leg.tif != "IOC" or leg.children:
            return (self._whole(leg, rooms),)
        parts = self._shared(leg, rooms)
        return parts or (self._whole(leg, rooms),)

    def _is_open(self, symbol: str, leg: PlanLeg, limits: Limits) -> bool:
        if AT not in symbol:
            return True  # where everything was judged; the gate says what is wrong with it
        book, home = self._market.books.get(symbol), self._market.books.get(plain(symbol))
        if book is None or not is_usable(book):
            return False
        if leg.reduce_only:
            return True  # it can be left only where it lies, however far from the others
        if home is None or not is_usable(home):
            return False
        # exchanges that are so far apart are nobody's chance: one of the books is wrong, or nobody gets out
        if abs(book.mid / home.mid - 1) * BPS > limits.collar_bps:
            return False
        most = limits.max_book_age_ms
        return most <= 0 or self._table.now - book.t <= most * MS

    def _room(self, symbol: str, leg: PlanLeg, agent: str, limits: Limits) -> Decimal:
        """Base quantity that what lies at an exchange is good for, on its lot.

        What opens is also no larger a part of a book than the gate lets pass.
        """
        instrument = self._table.env.instruments[symbol]
        whole = self._account.view()[0].whole
        if leg.reduce_only:
            held = self._account.ledger.holding(agent, instrument.base)
            if held is None:
                return ZERO
            going = sum((r.qty_left for r in whole.reserved(agent, symbol) if r.side == leg.side), ZERO)
            return instrument.qty(max(min(abs(held.qty) - going, leg.qty), ZERO))
        most = leg.qty
        book = self._market.books.get(symbol)
        if leg.tif == "IOC" and not leg.children and book is not None and is_usable(book):
            shown = depth(side_levels(book, leg.side), limits.book_levels)
            most = min(most, decimal(shown * float(limits.max_book_share) * _LESS))
        if leg.side == "sell":
            return instrument.qty(min(whole.free(instrument.base), most))
        worst = leg.px
        if worst is None:
            if book is None or not is_usable(book):
                return ZERO
            worst = decimal(book.asks[-1][0])
        fee = max(instrument.taker_fee, instrument.maker_fee, ZERO)
        return instrument.qty(min(whole.free(instrument.quote) / (worst * (1 + fee)), most))

    def _shared(self, leg: PlanLeg, rooms: Mapping[str, Decimal]) -> tuple[PlanLeg, ...]:
        """Share an order that takes at once out over the books, what they do not show where there is room."""
        sides = {}
        for symbol, room in rooms.items():
            book = self._market.books.get(symbol)
            if book is not None and is_usable(book):
                sides[symbol] = Side(self._instrument(symbol), self._within(leg, symbol, book), room)
        if not sides:
            return ()
        try:
            found = route(sides, leg.side, leg.qty)
        except DataError:
            return ()  # lots of which none is a multiple of the other: one exchange gets it all
        given = {part.venue: part.qty for part in found.parts}
        left = found.unplaced
        for symbol in sorted(sides, key=lambda each: (each not in given, -rooms[each], each)):
            more = self._instrument(symbol).qty(min(left, rooms[symbol] - given.get(symbol, ZERO)))
            if more > 0:
                given[symbol] = given.get(symbol, ZERO) + more
                left -= more
        legs = [self._part(leg, symbol, qty) for symbol, qty in given.items()]
        fit = [each for each in legs if not self._misfit(each)]
        return tuple(sorted(fit, key=lambda each: (-each.qty, each.symbol)))

    def _limit(self, leg: PlanLeg, symbol: str) -> Decimal | None:
        """Give the worst price of an order at an exchange.

        What opens is nowhere dearer than was decided, and reaches no further from a book than that. What
        leaves has to leave where it lies: as far from that book as the decided price is from the first.
        """
        if leg.px is None or AT not in symbol:
            return leg.px
        book, home = self._market.books[symbol], self._market.books.get(leg.symbol)
        if not leg.reduce_only:
            return better(leg.side, leg.px, worst_reach(leg.side, book, 0.0, self._instrument(symbol)))
        if home is None or not is_usable(home):
            return worst_reach(leg.side, book, 0.0, self._instrument(symbol))
        return leg.px * decimal(book.mid) / decimal(home.mid)

    def _within(self, leg: PlanLeg, symbol: str, book: Book) -> Book:
        """Give a book without what is beyond the worst price there."""
        limit = self._limit(leg, symbol)
        if limit is None:
            return book
        if leg.side == "buy":
            return replace(book, asks=tuple([each for each in book.asks if decimal(each[0]) <= limit]))
        return replace(book, bids=tuple([each for each in book.bids if decimal(each[0]) >= limit]))

    def _part(self, leg: PlanLeg, symbol: str, qty: Decimal) -> PlanLeg:
        """Make a part of an order."""
        takes = leg.tif == "IOC" and not leg.children
        px = self._limit(leg, symbol) if takes or leg.reduce_only else leg.px
        if px is not None:
            px = self._instrument(symbol).price(px, leg.side)
        return replace(leg, symbol=symbol, qty=qty, px=px)

    def _misfit(self, leg: PlanLeg) -> str:
        instrument, book = self._instrument(leg.symbol), self._market.books[leg.symbol]
        return instrument.tradable(leg.qty, leg.px if leg.px is not None else decimal(book.mid))

    def _whole(self, leg: PlanLeg, rooms: Mapping[str, Decimal]) -> PlanLeg:
        """Send an order to one exchange: the first where it has room for all, else the one with most."""
        if not rooms:
            return leg
        best = min(rooms, key=lambda each: (rooms[each] < leg.qty, -min(rooms[each], leg.qty), AT in each))
        qty = self._instrument(best).qty(min(leg.qty, rooms[best]))
        if best == leg.symbol and qty == leg.qty:
            return leg
        part = self._part(leg, best, qty)
        if not part.children:
            return part
        px = part.px if part.px is not None else decimal(self._market.books[best].mid)
        children = scaled(part.children, qty, self._instrument(best))
        if len(children) < 2 or any(self._instrument(best).tradable(c.qty, px) for c in children):
            return replace(part, children=(), style=venue_style(part.style))  # too little to be split
        return replace(part, children=children)

    def affordable(self, proposal: Proposal, qty: Decimal) -> Decimal:
        """Cut a cycle's first leg down to what the first exchange pays for: cycles live there alone."""
        leg = proposal.legs[0]
        book = self._market.books.get(leg.symbol)
        if (
            not self._pairs
            or not proposal.coupled
            or leg.side != "buy"
            or book is None
            or not is_usable(book)
        ):
            return qty
        instrument = self._instrument(leg.symbol)
        px = max(leg.limit_px or ZERO, worst_reach("buy", book, proposal.max_slippage_bps, instrument))
        free = self._account.view()[0].whole.free(instrument.quote)
        return min(qty, instrument.qty(free / (px * (1 + max(instrument.taker_fee, ZERO)))))

    def _instrument(self, symbol: str) -> Instrument:
        return self._table.env.instruments[symbol]


def without_refused(plan: tuple[PlanLeg, ...], opened: Sequence[Opened]) -> tuple[PlanLeg, ...]:
    """Tell a divided plan with nothing for those parts that the gate refused; each keeps its place."""
    if len(plan) < 2 or len(opened) in (0, len(plan)) or opened[0][1].proposal.coupled:
        return plan
    passed = {leg.index for _, leg in opened}
    return tuple([each if n in passed else replace(each, qty=ZERO) for n, each in enumerate(plan)])
