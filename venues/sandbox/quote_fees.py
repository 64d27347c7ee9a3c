"""Fees in what prices are in, on both sides: as Coinbase takes them, and Kraken when asked (`fciq`).

So a buyer pays its fee on top, and an order to buy sets aside price and fee. Not here: who trades with whom.
Invariant: as `Settlement`; what is set aside for an order is never less than what its trades cost.
"""

from __future__ import annotations

from venues.sandbox.orders import Order, OrderRequest
from venues.sandbox.settlement import Booked, Offer, Settlement
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import ONE


class QuoteFees(Settlement):
    """Books executions of spot with fees in the quote asset."""

    def __init__(self, truth: TruthLog, maker_rate: int, taker_rate: int) -> None:
        super().__init__(truth, maker_rate, taker_rate)
        self._by_maker = {True: maker_rate, False: taker_rate}
        self._highest = max(maker_rate, taker_rate)

    def reservation(self, request: OrderRequest, plan: Offer | None) -> int:
        """What the order may spend at most, its fee included."""
        amount = super().reservation(request, plan)
        return self._with_fee(amount) if request.is_buy else amount

    def _book(self, order: Order, price: int, qty: int, maker: bool, with_market: bool) -> Booked:
        """Move the money of an execution."""
        base, quote, account = order.instrument.base, order.instrument.quote, order.account
        amount = price * qty
        fee = _part(amount, self._by_maker[maker])
        if order.is_buy:
            cost = amount + fee
            account.pay_locked(quote, cost)
            account.receive(base, qty * ONE)
            reserved = cost
            if order.price:
                left = order.remaining - qty
                reserved = self._with_fee(order.price * order.remaining) - self._with_fee(order.price * left)
            order.locked -= reserved
            if reserved != cost:
                account.unlock(quote, reserved - cost)
        else:
            account.pay_locked(base, qty * ONE)
            account.receive(quote, amount - fee)
            order.locked -= qty * ONE
        self.fees[quote] += fee
        if with_market:
            sign = 1 if order.is_buy else -1
            self.market_flow[quote] += sign * amount
            self.market_flow[base] -= sign * qty * ONE
        self._touch(account, base, quote)
        return Booked(fee, quote)

    def _with_fee(self, amount: int) -> int:
        return amount + _part(amount, self._highest)


def _part(amount: int, rate: int) -> int:
    """A fee, cut to eight decimals."""
    return amount // ONE * rate // ONE * ONE
