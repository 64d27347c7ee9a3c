"""What the desk believes of its orders: a fold over intents and the venue's facts.

An order is final when its fills account for all the venue says it executed; a
status that runs ahead of its fills is remembered and waits for them. Facts may
come twice and in any order: `apply` says whether anything changed. States are
those of features F099, plus UNKNOWN, which only the venue can end.
"""

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
    """One order and what is known of it; mutable, changed by `Orders` only."""

    intent: Intent
    agent: str
    t: int
    state: OrderState = OrderState.PENDING_CREATE
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    gone: bool = False
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

    def known(self) -> tuple[OrderState, Decimal, Decimal, bool, str]:
        """Everything a venue fact can change."""
        return (self.state, self.filled, self.cum, self.gone, self.venue_id)

    def working(self) -> WorkingOrder:
        i = self.intent
        return WorkingOrder(
            iid=i.iid, cid=i.cid, round=i.round, pid=i.pid, agent=self.agent, leg=i.leg, child=i.child,
            symbol=i.symbol, side=i.side, qty=i.qty, filled=self.filled, px=i.px,
            state=self.state.name, t=self.t,
        )


class Orders:
    """All orders of a desk by iid, in the order of their intents."""

    def __init__(self) -> None:
        self._all: dict[bytes, Order] = {}
        self._live: dict[bytes, Order] = {}

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

    def unknown_symbols(self) -> tuple[str, ...]:
        """Symbols on which nobody knows whether an order exists: nothing may open there."""
        return tuple(sorted({o.intent.symbol for o in self._live.values() if o.state is OrderState.UNKNOWN}))

    def ask_cancel(self, iid: bytes) -> int:
        """Note that a cancel is being sent; give its number."""
        order = self._all[iid]
        order.cancels += 1
        if order.state is not OrderState.UNKNOWN:
            order.state = OrderState.PENDING_CANCEL
        return order.cancels

    def void(self, iid: bytes) -> None:
        """Take back an order that was never sent."""
        order = self._live.pop(iid, None)
        if order is not None:
            order.state, order.cause = OrderState.FAILED, "void"

    def apply(self, fact: VenueFact) -> bool:
        """Fold one fact of the venue; False when it said nothing new or is about a foreign order."""
        order = self._all.get(fact.iid)
        if order is None or order.is_final:
            return False
        before = order.known()
        match fact:
            case Ack():
                order.venue_id = order.venue_id or fact.venue_id
                if not fact.cancel and order.state in (OrderState.PENDING_CREATE, OrderState.UNKNOWN):
                    order.state = OrderState.OPEN
            case VenueReject(cancel=True):
                if order.state is OrderState.PENDING_CANCEL:
                    order.state = OrderState.OPEN
            case VenueReject():
                order.cause = fact.code
                order.state = OrderState.FAILED if fact.definitive else OrderState.UNKNOWN
            case Unknown(cancel=False):
                order.cause = fact.cause
                order.state = OrderState.UNKNOWN
            case Unknown():
                pass
            case Fill():
                order.filled += fact.qty
                order.quote += fact.qty * fact.px
            case OrderEvent():
                order.cum = max(order.cum, fact.cum_qty)
                order.gone = order.gone or fact.status in GONE
                order.venue_id = order.venue_id or fact.venue_id
        self._settle(order)
        return before != order.known()

    def is_news(self, fact: VenueFact) -> bool:
        """Whether `apply` would change anything, without changing it (fills are told apart by the ledger)."""
        order = self._all.get(fact.iid)
        if order is None or order.is_final:
            return False
        match fact:
            case Ack():
                return order.state in (OrderState.PENDING_CREATE, OrderState.UNKNOWN) or not order.venue_id
            case OrderEvent():
                return fact.cum_qty > order.cum or (fact.status in GONE and not order.gone)
            case _:
                return True

    def _settle(self, order: Order) -> None:
        if order.filled > order.intent.qty:
            raise StateError(
                f"order {order.intent.cid!r} was for {order.intent.qty}, its fills sum to {order.filled}"
            )
        if order.state is OrderState.FAILED:
            self._live.pop(order.intent.iid, None)
        elif order.filled == order.intent.qty:
            order.state = OrderState.FILLED
            self._live.pop(order.intent.iid, None)
        elif order.gone and order.filled >= order.cum:
            order.state = OrderState.CANCELED
            self._live.pop(order.intent.iid, None)
        elif order.filled > 0 and order.state in (OrderState.OPEN, OrderState.PENDING_CREATE, OrderState.UNKNOWN):
            order.state = OrderState.PARTIALLY_FILLED
        elif order.cum > 0 and order.state is OrderState.PENDING_CREATE:
            order.state = OrderState.OPEN
