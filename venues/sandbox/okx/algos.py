"""How OKX shows a stop: an algo order with a number of its own, and the plain order that it becomes.

Of the plain order only its reference to the algo order says whose it is: it has no client id. Not here:
plain orders (`bodies`), the endpoints (`algo_api`). Invariant: an order is shown among plain ones, or as an
algo order that became none, and never by the same number in both.
"""

from __future__ import annotations

from venues.sandbox.orders import STOP_TYPES, Order, OrderRequest
from venues.sandbox.settlement import Offer, Settlement
from venues.sandbox.units import ONE

_FIRST_ALGO = 10**12
CONDITIONAL = "conditional"


def is_stop(order: Order) -> bool:
    """Whether an order was placed as an algo order."""
    return order.request.type in STOP_TYPES


def is_failed(order: Order) -> bool:
    """Whether a stop was set off and its account could not pay what it wanted."""
    return order.triggered and not order.is_open and order.working_ms < 0


def is_plain(order: Order) -> bool:
    """Whether an order is shown among plain ones."""
    return not is_stop(order) or (order.triggered and not is_failed(order))


def is_pending(order: Order) -> bool:
    """Whether a stop still waits for its price."""
    return is_stop(order) and order.is_open and not order.triggered


def algo_number(order: Order) -> int:
    """The number of an algo order; that of its plain order is the order's own."""
    return _FIRST_ALGO + order.id


def order_number(algo_number: int) -> int:
    """Whose algo order has this number."""
    return algo_number - _FIRST_ALGO


def algo_state(order: Order) -> str:
    """How far a stop is; what becomes of its plain order it does not say."""
    if is_failed(order):
        return "order_failed"
    if order.triggered:
        return "effective"
    return "live" if order.is_open else "canceled"


class UnlockedStops(Settlement):
    """Books executions of spot where stops tie nothing up until they are set off."""

    def reservation(self, request: OrderRequest, plan: Offer | None) -> int:
        """What the order may spend at most, and so has to lock."""
        return 0 if request.type in STOP_TYPES else super().reservation(request, plan)

    def pays_when_set_off(self, order: Order, plan: Offer) -> bool:
        """Lock what a stop needs now that it is a plain order; False if its account has not got it."""
        amount = order.qty * ONE
        if order.is_buy:
            amount = order.price * order.qty if order.price else plan.amount
        if order.account.free.get(order.lock_asset, 0) < amount:
            return False
        order.account.lock(order.lock_asset, amount)
        order.locked = amount
        self._touch(order.account, order.lock_asset)
        return True
