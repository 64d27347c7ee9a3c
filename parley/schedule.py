"""What a decided leg has sent and what it may still send: the execution agent's books.

Facts come twice, late and in any order. An order counts at its full quantity until it
is certain that it cannot fill any more, then at what it filled. The account's view
(reservation, live orders) is a second opinion, and the lower of both is the room.

Not here: when to send and at which price (`agents.execution`).

Invariant: what has filled plus what may still fill never exceeds the decided quantity.
"""

from decimal import Decimal

import msgspec

from parley.ids import intent_id
from parley.instruments import Instrument, plain
from parley.messages import Fill, OrderEvent, Reservation, VenueReject, WorkingOrder
from parley.view import FirmView

ZERO = Decimal(0)
GONE = frozenset({"canceled", "expired", "rejected", "closed"})
LOST_AFTER = 2  # batches an order may be missing from the account's view before it counts as gone


class Sent(msgspec.Struct, kw_only=True):
    """One child and what is known of it. ``age`` in batches; ``known`` its fill as the desk says."""

    child: int
    qty: Decimal
    px: Decimal | None
    style: str
    version: int
    filled: Decimal = ZERO
    known: Decimal = ZERO
    cum: Decimal = ZERO
    gone: bool = False
    failed: bool = False
    seen: bool = False
    age: int = 0
    missing: int = 0
    canceled_at: int = -1  # age at the last cancel request

    @property
    def done(self) -> Decimal:
        """Base quantity it is known to have filled."""
        return max(self.filled, self.known)

    @property
    def is_final(self) -> bool:
        return self.failed or self.done >= self.qty or (self.gone and self.done >= self.cum)

    @property
    def used(self) -> Decimal:
        """Base quantity it has taken, or may still take, of the leg."""
        return self.done if self.is_final else self.qty


class Work(msgspec.Struct, kw_only=True):
    """A decided leg being worked; mutable. ``plan`` are its children as (quantity, due market ns).

    ``tries`` are the moves of a chase; ``printed`` is the base volume seen since the leg's
    window began, ``last`` that of its last candle.
    """

    round: bytes
    pid: bytes
    leg: int
    symbol: str
    side: str
    style: str
    qty: Decimal
    px: Decimal | None
    tif: str
    reduce_only: bool
    plan: list[tuple[Decimal, int]]
    version: int
    limit: Decimal | None = None
    edge_bps: float = 0.0
    ref_px: float = 0.0
    sent: list[Sent] = []
    trades: list[str] = []
    tries: int = 0
    late: int = 0
    crossed: bool = False
    waiting: bool = False
    printed: float = 0.0
    last: float = 0.0

    @property
    def key(self) -> tuple[bytes, bytes, int]:
        return (self.round, self.pid, self.leg)

    def iid(self, child: int) -> bytes:
        """Name a child's intent."""
        return intent_id(self.round, self.pid, self.leg, child)

    @property
    def live(self) -> tuple[Sent, ...]:
        return tuple(s for s in self.sent if not s.is_final)

    @property
    def used(self) -> Decimal:
        return sum((s.used for s in self.sent), ZERO)

    @property
    def done(self) -> Decimal:
        return sum((s.done for s in self.sent), ZERO)

    def send(self, qty: Decimal, px: Decimal | None, style: str, version: int) -> Sent:
        """Book the next child before it is asked for."""
        child = Sent(child=len(self.sent), qty=qty, px=px, style=style, version=version)
        self.sent.append(child)
        return child

    def hear(self, fact: Fill | OrderEvent | VenueReject) -> None:
        """Take a venue's fact about one of the leg's orders; repetitions change nothing."""
        child = next((s for s in self.sent if self.iid(s.child) == fact.iid), None)
        if child is None:
            return
        match fact:
            case Fill():
                name = f"{fact.venue}/{fact.trade_id}"
                if name not in self.trades and fact.qty.is_finite() and fact.qty > 0:
                    self.trades.append(name)
                    child.filled += fact.qty
            case OrderEvent():
                if fact.cum_qty.is_finite():
                    child.cum = max(child.cum, fact.cum_qty)
                child.gone = child.gone or fact.status in GONE
            case VenueReject(cancel=True):
                child.canceled_at = -1
            case VenueReject(definitive=True):
                child.failed = True
                self.waiting = True

    def sync(self, view: FirmView) -> None:
        """Compare with the account once per batch; an order the desk no longer has is over."""
        orders = self._orders(view)
        for s in self.sent:
            if s.is_final:
                continue
            order = orders.get(s.child)
            if order is not None:
                s.seen, s.missing = True, 0
                s.known = max(s.known, order.filled)
            elif view.version > s.version:
                s.missing += 1
                if s.missing >= LOST_AFTER:
                    s.failed = True
                    self.waiting = False

    def _orders(self, view: FirmView) -> dict[int, WorkingOrder]:
        return {o.child: o for o in view.state.orders if (o.round, o.pid, o.leg) == self.key}

    def reservation(self, view: FirmView) -> Reservation | None:
        """Find what the account still holds for this leg."""
        for r in view.state.reservations:
            if (r.round, r.pid, r.symbol, r.side) == (self.round, self.pid, plain(self.symbol), self.side):
                return r
        return None

    def is_closed(self, view: FirmView) -> bool:
        """Whether the desk has ended the leg: it reserves nothing for it and has no order of it."""
        return view.version > self.version and self.reservation(view) is None and not self._orders(view)

    def room(self, view: FirmView, px: Decimal | None, instrument: Instrument) -> Decimal:
        """Base quantity that may still be sent at a price, on the lot grid.

        Own books and the account's reservation both bound it; a buy at a price above the
        reserved one also by the money that is reserved.
        """
        room = self.qty - self.used
        r = self.reservation(view)
        if r is not None:
            orders = self._orders(view)
            left = {c: o.qty - o.filled for c, o in orders.items()}
            unseen = sum((s.qty for s in self.sent if not s.is_final and s.child not in orders), ZERO)
            room = min(room, r.qty_left - sum(left.values(), ZERO) - unseen)
            if self.side == "buy" and px is not None and px > 0:
                money = r.amount - sum((left[c] * (o.px or px) for c, o in sorted(orders.items())), ZERO)
                room = min(room, (money - unseen * px) / px)
        return instrument.qty(max(room, ZERO))
