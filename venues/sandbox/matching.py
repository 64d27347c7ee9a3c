"""Price-time matching of one symbol, against the displayed book, resting orders and prints.

Liquidity takers walk the displayed levels and the resting orders of other accounts, best price
first; resting orders stand behind the size that was displayed at their price when they came.
Every print fills resting orders by at most a tenth of its quantity. Not here: checking requests,
fees and balances. Invariant: an order never trades beyond its limit or its quantity, and never
with an order of its own account.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from venues.sandbox.depth import DisplayedBook
from venues.sandbox.instrument import Instrument
from venues.sandbox.orders import Order
from venues.sandbox.settlement import Settlement
from venues.sandbox.tape import Print

# Of each print at most one part in ten goes to accounts.
PRINT_SHARE = 10
_TAPE_LENGTH = 1000

# (trade id, price, qty, buyer is maker, market ms)
PublicTrade = tuple[int, int, int, bool, int]


@dataclass(slots=True)
class Plan:
    """What a taker would get now: (price, qty, resting order or None for the displayed book)."""

    trades: list[tuple[int, int, Order | None]]
    qty: int
    amount: int
    meets_own_order: bool


class SymbolMarket:
    """One symbol's book, resting orders, waiting stops and public tape."""

    def __init__(
        self,
        instrument: Instrument,
        book: DisplayedBook,
        settlement: Settlement,
        next_trade_id: Callable[[], int],
    ) -> None:
        self.instrument = instrument
        self.book = book
        self.last_price = 0
        self.is_listed = True
        self.resting_buys: list[Order] = []
        self.resting_sells: list[Order] = []
        self.stops: list[Order] = []
        self.tape: deque[PublicTrade] = deque(maxlen=_TAPE_LENGTH)
        self.unpublished: list[PublicTrade] = []
        self.last_trade_id = 0
        self._settlement = settlement
        self._next_trade_id = next_trade_id

    def plan(self, order_is_buy: bool, account_name: str, limit: int, qty: int, quote_amount: int) -> Plan:
        """Walk both sources of liquidity without touching them; `limit` 0 means any price."""
        levels = list((self.book.asks if order_is_buy else self.book.bids).items())
        resting = self.resting_sells if order_is_buy else self.resting_buys
        plan = Plan([], 0, 0, False)
        level_at = order_at = 0
        while qty > plan.qty or quote_amount > plan.amount:
            level = levels[level_at] if level_at < len(levels) else None
            maker = resting[order_at] if order_at < len(resting) else None
            # At an equal price the displayed size came first.
            if maker is not None and (level is None or _better(order_is_buy, maker.price, level[0])):
                price, available = maker.price, maker.remaining
                order_at += 1
            elif level is not None:
                price, available = level
                maker = None
                level_at += 1
            else:
                break
            if limit and _better(order_is_buy, limit, price):
                break
            if maker is not None and maker.account.name == account_name:
                plan.meets_own_order = True
                break
            wanted = qty - plan.qty
            if quote_amount:
                wanted = (quote_amount - plan.amount) // price // self.instrument.lot * self.instrument.lot
            if wanted <= 0:
                break
            taken = min(wanted, available)
            plan.trades.append((price, taken, maker))
            plan.qty += taken
            plan.amount += taken * price
        return plan

    def execute(self, order: Order, plan: Plan) -> None:
        """Carry a plan out: book both sides and print the trades."""
        for price, planned, maker in plan.trades:
            # What went before may have cut an order that may only reduce a position.
            qty = planned if maker is None else min(planned, maker.remaining)
            if not qty:
                continue
            trade_id = self._next_trade_id()
            if maker is None:
                self.book.take(order.is_buy, price, qty)
            else:
                self._settlement.trade(maker, price, qty, True, trade_id, False)
                self._retire_if_done(maker)
            self._settlement.trade(order, price, qty, False, trade_id, maker is None)
            self._publish(trade_id, price, qty, not order.is_buy, self._settlement.clock)

    def rest(self, order: Order) -> None:
        """Put the rest of an order on the book, behind what is displayed at its price."""
        order.ahead = self.book.displayed_at(order.is_buy, order.price)
        order.working_ms = self._settlement.clock
        if order.is_buy:
            insort(self.resting_buys, order, key=lambda o: (-o.price, o.working_ms, o.id))
        else:
            insort(self.resting_sells, order, key=lambda o: (o.price, o.working_ms, o.id))

    def remove(self, order: Order) -> None:
        """Take an order off the book or off the waiting stops."""
        for place in (self.resting_buys, self.resting_sells, self.stops):
            if order in place:
                place.remove(order)
                return

    def print_trade(self, printed: Print) -> list[Order]:
        """One market trade: fill resting orders from it, publish it, return the stops it triggers."""
        left = printed.qty
        if self.resting_buys or self.resting_sells:
            left -= self._fill_resting(printed)
        if left:
            self._publish(self._next_trade_id(), printed.price, left, printed.buyer_is_maker, printed.t)
        self.last_price = printed.price
        if not self.stops:
            return []
        hit = [stop for stop in self.stops if _is_triggered(stop, printed.price)]
        for stop in hit:
            self.stops.remove(stop)
        return hit

    def _fill_resting(self, printed: Print) -> int:
        """Fill from one print, best price and oldest first; returns the quantity that it gave."""
        lot = self.instrument.lot
        budget = printed.qty // PRINT_SHARE // lot * lot
        given = 0
        for order in [*self.resting_buys, *self.resting_sells]:
            available = _reached(order, printed)
            qty = min(budget - given, available // lot * lot, order.remaining)
            if qty <= 0:
                continue
            trade_id = self._next_trade_id()
            self._settlement.trade(order, order.price, qty, True, trade_id, True)
            self._publish(trade_id, order.price, qty, order.is_buy, printed.t)
            self._retire_if_done(order)
            given += qty
        return given

    def _retire_if_done(self, order: Order) -> None:
        if order.status == "FILLED":
            self.remove(order)
            self._settlement.release(order)

    def _publish(self, trade_id: int, price: int, qty: int, buyer_is_maker: bool, t: int) -> None:
        trade = (trade_id, price, qty, buyer_is_maker, t)
        self.last_trade_id = trade_id
        self.last_price = price
        self.tape.append(trade)
        self.unpublished.append(trade)


def _better(for_buyer: bool, price: int, than: int) -> bool:
    return price < than if for_buyer else price > than


def _reached(order: Order, printed: Print) -> int:
    """How much of a print could have met this order; uses up the queue ahead of it."""
    if order.price == printed.price:
        if printed.buyer_is_maker != order.is_buy:
            return 0
        behind = printed.qty - order.ahead
        order.ahead = max(0, -behind)
        return max(0, behind)
    if (printed.price < order.price) == order.is_buy:
        order.ahead = 0
        return printed.qty
    return 0


def _is_triggered(order: Order, price: int) -> bool:
    return triggers_at(order.request.type, order.is_buy, order.request.stop_price, price)


def triggers_at(order_type: str, is_buy: bool, stop_price: int, price: int) -> bool:
    """Whether a market price of `price` sets off a stop or take-profit order."""
    upwards = is_buy == order_type.startswith("STOP_LOSS")
    return price >= stop_price if upwards else price <= stop_price
