"""Decided legs being worked, and what each of them keeps reserved.

A leg is open from its decision until nothing of it can trade any more. While it is
open, its worst case stays reserved: quote money at the worst price for a buy, the
base itself for a sell, the margin of a contract either way. A leg can never send
more than was decided: `room` is what is left after fills and live orders.
"""

from decimal import Decimal

import msgspec

from parley.execution.styles import is_worked
from parley.instruments import Instrument, plain
from parley.messages import Child, PlanLeg, Proposal, Reservation, Verdict
from parley.messages import Leg as Wish

from .orders import Order, Orders

ZERO = Decimal(0)


class Leg(msgspec.Struct, kw_only=True):
    """One decided leg; ``worst_px`` prices its reservation; mutable, owned by `Legs`."""

    round: bytes
    proposal: Proposal
    agent: str
    index: int
    plan: PlanLeg
    worst_px: Decimal
    reservation_id: bytes
    verdict: Verdict
    last_word: int
    next_child: int = 1
    closed: bool = False

    @property
    def key(self) -> tuple[bytes, bytes, int]:
        return (self.round, self.proposal.pid, self.index)

    @property
    def symbol(self) -> str:
        """The pair that agents know it by, whichever exchange works it."""
        return plain(self.plan.symbol)

    @property
    def wish(self) -> Wish:
        """The leg of the proposal that it works, or works a part of."""
        legs = self.proposal.legs
        return legs[self.index] if self.index < len(legs) else legs[0]

    @property
    def is_managed(self) -> bool:
        """Whether the execution agent works it over time; otherwise child 0 is all there is."""
        return is_worked(self.plan.style, self.plan.tif)


class Legs:
    """All open legs, oldest first."""

    def __init__(self, orders: Orders) -> None:
        self._open: dict[tuple[bytes, bytes, int], Leg] = {}
        self._orders = orders
        self._of_leg: dict[tuple[bytes, bytes, int], list[Order]] = {}

    def open(self, leg: Leg) -> None:
        self._open[leg.key] = leg
        self._of_leg[leg.key] = []

    def attach(self, leg: Leg, order: Order) -> None:
        """Note that an order belongs to a leg."""
        self._of_leg[leg.key].append(order)

    def find(self, round_: bytes, pid: bytes, index: int) -> Leg | None:
        return self._open.get((round_, pid, index))

    def all(self) -> tuple[Leg, ...]:
        return tuple(self._open.values())

    def orders(self, leg: Leg) -> tuple[Order, ...]:
        return tuple(self._of_leg.get(leg.key, ()))

    def filled(self, leg: Leg) -> Decimal:
        return sum((o.filled for o in self._of_leg.get(leg.key, ())), ZERO)

    def live(self, leg: Leg) -> tuple[Order, ...]:
        return tuple(o for o in self._of_leg.get(leg.key, ()) if not o.is_final)

    def room(self, leg: Leg) -> Decimal:
        """Base quantity the leg may still send."""
        used = sum((o.filled + o.left for o in self._of_leg.get(leg.key, ())), ZERO)
        return max(ZERO, leg.plan.qty - used)  # a fill the venue reports late may have used it up already

    def first_child(self, leg: Leg) -> Decimal:
        children: tuple[Child, ...] = leg.plan.children
        return children[0].qty if children else leg.plan.qty

    def reservation(self, leg: Leg, instrument: Instrument) -> Reservation:
        """Price what the leg may still use."""
        working = filled = ZERO
        for order in self._of_leg.get(leg.key, ()):
            working += order.left
            filled += order.filled
        left = max(leg.plan.qty - filled, working)
        plan = leg.plan
        asset, amount = instrument.tied_up(plan.side, left, leg.worst_px, reduces=plan.reduce_only)
        return Reservation(
            rid=leg.reservation_id,
            round=leg.round,
            pid=leg.proposal.pid,
            agent=leg.agent,
            symbol=leg.plan.symbol,
            side=leg.plan.side,
            asset=asset,
            amount=amount,
            qty_left=left,
        )

    def finish(self) -> tuple[tuple[Leg, tuple[Order, ...]], ...]:
        """Close the legs of which nothing can trade any more; give each with its orders."""
        done = []
        for leg in self.all():
            if self.live(leg):
                continue
            sent = bool(self._of_leg.get(leg.key, ()))
            spent = self.filled(leg) >= leg.plan.qty
            if spent or leg.closed or (sent and not leg.is_managed):
                done.append((leg, self.orders(leg)))
                del self._open[leg.key], self._of_leg[leg.key]
        return tuple(done)
