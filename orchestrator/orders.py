"""What the desk believes of its orders: a fold over intents and the venue's facts.

An order is final when its fills account for all the venue says it executed; a
status that runs ahead of its fills is remembered and waits for them. What is kept
are findings (it exists, it was refused, it is gone, so much was executed), and the
state is worked out from them: facts may come twice and in any order. States are
those of features F099, plus UNKNOWN, which only the venue can end.
"""

from collections import deque
from copy import copy
from decimal import Decimal
from enum import IntEnum

import msgspec

from parley.errors import StateError
from parley.messages import Ack, Fill, Intent, OrderEvent, Unknown, VenueReject, WorkingOrder

ZERO = Decimal(0)


class OrderState(IntEnum):
    """The seven states of F099 and the one of not knowing."""

    PENDING_CREATE = 0
    OPEN = 1
    FILLED = 2
    PARTIALLY_FILLED = 3
    PENDING_CANCEL = 4
    CANCELED = 5
    FAILED = 6
    UNKNOWN = 7


FINAL = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.FAILED})
GONE = frozenset({"canceled", "expired", "rejected", "closed"})
VenueFact = Ack | VenueReject | Unknown | OrderEvent | Fill


class Order(msgspec.Struct, kw_only=True):
    """One order and what is known of it; mutable, changed by `Orders` only.

    ``filled`` base, ``quote`` what was paid or got for it, ``fees`` what fills were charged, by asset.
    """

    intent: Intent
    agent: str
    t: int
    state: OrderState = OrderState.PENDING_CREATE
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    fees: dict[str, Decimal] = {}
    exists: bool = False
    refused: bool = False
    doubtful: bool = False
    gone: bool = False
    cancelling: bool = False
    cum: Decimal = ZERO
    venue_id: str = ""
    cancels: int = 0
    cause: str = ""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def left(self) -> Decimal:
        """Base quantity that may still fill."""
        return ZERO if self.is_final else self.intent.qty - self.filled

    def known(self) -> tuple[OrderState, Decimal, Decimal, bool, bool, bool, bool, str]:
        """Everything a venue fact can change."""
        return (
            self.state, self.filled, self.cum, self.gone, self.exists, self.doubtful, self.cancelling,
            self.venue_id,
        )  # fmt: skip

    def working(self) -> WorkingOrder:
        i = self.intent
        return WorkingOrder(
            iid=i.iid,
            cid=i.cid,
            round=i.round,
            pid=i.pid,
            agent=self.agent,
            leg=i.leg,
            child=i.child,
            symbol=i.symbol,
            side=i.side,
            qty=i.qty,
            filled=self.filled,
            px=i.px,
            state=self.state.name,
            t=self.t,
            trigger=i.trigger,
        )


class Orders:
    """All orders of a desk by iid, in the order of their intents; of the final ones the last ``keep``."""

    def __init__(self, keep: int | None = None) -> None:
        self._keep = keep
        self._all: dict[bytes, Order] = {}
        self._live: dict[bytes, Order] = {}
        self._over: deque[bytes] = deque()

    def open(self, intent: Intent, agent: str, t: int) -> Order:
        """Take up a committed intent.

        Raises
        ------
        StateError
            When the iid is known already: an intent exists once.
        """
        if intent.iid in self._all:
            raise StateError(f"intent {intent.iid.hex()} exists already")
        order = self._all[intent.iid] = self._live[intent.iid] = Order(intent=intent, agent=agent, t=t)
        return order

    def get(self, iid: bytes) -> Order | None:
        return self._all.get(iid)

    def live(self) -> tuple[Order, ...]:
        """Orders that are not final, oldest first."""
        return tuple(self._live.values())

    def guards(self) -> tuple[Order, ...]:
        """Stops that the venue holds, or may hold: each ties up what it would sell."""
        return tuple([o for o in self._live.values() if o.intent.trigger is not None])

    def guard(self, agent: str, symbol: str) -> Order | None:
        """The stop that guards what an agent holds of a symbol."""
        found = [o for o in self.guards() if (o.agent, o.intent.symbol) == (agent, symbol)]
        return found[0] if found else None

    def in_flight(self) -> int:
        """How many orders the venue has said nothing about."""
        return sum(1 for o in self._live.values() if not o.exists and not o.doubtful)

    def unknown_symbols(self) -> tuple[str, ...]:
        """Symbols on which nobody knows whether an order exists: nothing may open there."""
        return tuple(sorted({o.intent.symbol for o in self._live.values() if o.state is OrderState.UNKNOWN}))

    def ask_cancel(self, iid: bytes) -> int:
        """Note that a cancel is being sent; give its number."""
        order = self._all[iid]
        order.cancels += 1
        order.cancelling = True
        _settle(order)
        return order.cancels

    def void(self, iid: bytes) -> None:
        """Take back an order that was never sent."""
        order = self._live.get(iid)
        if order is not None:
            order.refused, order.cause = True, "void"
            _settle(order)
            self._retire(order)

    def apply(self, fact: VenueFact) -> bool:
        """Fold one fact of the venue; False when it said nothing new or is about a foreign order.

        Fills are told apart by the ledger: each is to be applied once.

        Raises
        ------
        StateError
            When the fills sum to more than was ordered.
        """
        order = self._all.get(fact.iid)
        if order is None:
            return False
        before = order.known()
        _fold(order, fact)
        if order.is_final:
            self._retire(order)
        return before != order.known()

    def is_news(self, fact: VenueFact) -> bool:
        """Whether `apply` would change anything, without changing it."""
        order = self._all.get(fact.iid)
        if order is None or (order.is_final and not isinstance(fact, Fill)):
            return False
        probe = copy(order)
        _fold(probe, fact)
        return probe.known() != order.known()

    def _retire(self, order: Order) -> None:
        if self._live.pop(order.intent.iid, None) is None or self._keep is None:
            return
        self._over.append(order.intent.iid)
        if len(self._over) > self._keep:
            del self._all[self._over.popleft()]


def _fold(order: Order, fact: VenueFact) -> None:
    if isinstance(fact, Fill):
        # a late fill counts for a final order too: it is what the venue did
        order.filled += fact.qty
        order.quote += fact.qty * fact.px
        order.fees = {**order.fees, fact.fee_asset: order.fees.get(fact.fee_asset, ZERO) + fact.fee}
        order.exists = True
    elif order.is_final:
        return
    else:
        _learn(order, fact)
    _settle(order)


def _learn(order: Order, fact: Ack | VenueReject | Unknown | OrderEvent) -> None:
    match fact:
        case Ack():
            order.exists = True
            order.venue_id = order.venue_id or fact.venue_id
        case VenueReject(cancel=True) | Unknown(cancel=True):
            # refused or unanswered: it may be asked again
            order.cancelling = False
        case VenueReject(definitive=True):
            order.refused, order.cause = True, fact.code
        case VenueReject():
            order.doubtful, order.cause = True, order.cause or fact.code
        case Unknown():
            order.doubtful, order.cause = True, order.cause or fact.cause
        case OrderEvent():
            order.exists = True
            order.cum = max(order.cum, fact.cum_qty)
            order.gone = order.gone or fact.status in GONE
            order.venue_id = order.venue_id or fact.venue_id


def _settle(order: Order) -> None:
    """Work out the state from what was found."""
    if order.filled > order.intent.qty:
        raise StateError(
            f"order {order.intent.cid!r} was for {order.intent.qty}, its fills sum to {order.filled}"
        )
    if order.filled == order.intent.qty:
        order.state = OrderState.FILLED
    elif order.is_final:
        return
    elif order.refused:
        order.state = OrderState.FAILED
    elif order.gone and order.filled >= order.cum:
        order.state = OrderState.CANCELED
    elif order.doubtful and not order.exists:
        order.state = OrderState.UNKNOWN
    elif order.cancelling:
        order.state = OrderState.PENDING_CANCEL
    elif order.filled > 0:
        order.state = OrderState.PARTIALLY_FILLED
    else:
        order.state = OrderState.OPEN if order.exists else OrderState.PENDING_CREATE
