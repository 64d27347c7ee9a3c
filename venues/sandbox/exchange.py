"""The venue's state behind its protocol: accounts, markets, orders, ids, and one market step.

Requests and the market clock both enter here; everything is synchronous, so a step and a request
never interleave. Where venues differ (`VenueRules`), and in which words they refuse, the protocol says.
Not here: parsing, HTTP, sockets, where candles come from. Invariant: each public method leaves money,
books and the truth log consistent, whether it returns or raises Denied.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from venues.sandbox.accounts import Account
from venues.sandbox.depth import DisplayedBook
from venues.sandbox.hostility.settings import Uniqueness
from venues.sandbox.instrument import Instrument
from venues.sandbox.matching import Plan, SymbolMarket, triggers_at
from venues.sandbox.orders import PRICED_TYPES, STOP_TYPES, Order, OrderRequest
from venues.sandbox.refusals import Denied, Reason, Refusal
from venues.sandbox.settlement import Settlement
from venues.sandbox.tape import Print
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import money_text, text8


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What venues do differently with the same order.

    A client id is free again (``unique``) at once, when its order ended (open), or never (forever); or a
    second order of the same id is the first one, whatever else it asks for (idempotent). A maker order that
    would trade is refused, or accepted and then cancelled (``maker_orders_are_cancelled``). Some venues know
    a smallest quantity and no smallest value (``has_least_value``). An order that has to fill at once and
    cannot is accepted and expires, or is refused (``unfillable_orders_are_refused``).
    """

    client_id: re.Pattern[str] = re.compile(r"[a-zA-Z0-9-_]{1,36}")
    unique: Uniqueness = "open"
    maker_orders_are_cancelled: bool = False
    has_least_value: bool = True
    unfillable_orders_are_refused: bool = False


Spelled = Callable[[Reason], Denied]


class Watch(Protocol):
    """Who sees each price of the public market before anything else happens, and may have to act on it."""

    def price_moved(self, market: SymbolMarket, price: int) -> bool:
        """Whether something has to be enforced at this price."""

    def enforce(self) -> None:
        """Do it, against the books of this moment."""


class Exchange:
    """All state of the sandbox venue; `clock` is market time in ms."""

    def __init__(
        self,
        instruments: list[Instrument],
        accounts: list[Account],
        settlement: Settlement,
        truth: TruthLog,
        seed: int,
        levels: int,
        rules: VenueRules,
        spelled: Spelled,
    ) -> None:
        self.truth = truth
        self._rules = rules
        self._spelled = spelled
        self.settlement = settlement
        self.accounts = {account.api_key: account for account in accounts}
        self.orders: dict[int, Order] = {}
        self.by_account: dict[str, list[Order]] = {account.name: [] for account in accounts}
        self._open: dict[int, Order] = {}
        self._by_client_id: dict[tuple[str, str, str], Order] = {}
        self._newest: dict[tuple[str, str], Order] = {}
        self._next_order_id = 1
        self._next_trade = 0
        self.markets = {
            one.symbol: SymbolMarket(one, DisplayedBook(one, levels, seed), settlement, self.take_trade_id)
            for one in instruments
        }
        self.on_market_change: Callable[[SymbolMarket], None] = lambda market: None
        self.watch: Watch = NoWatch()

    @property
    def clock(self) -> int:
        """Market time in ms."""
        return self.settlement.clock

    @clock.setter
    def clock(self, ms: int) -> None:
        self.settlement.clock = ms

    def take_trade_id(self) -> int:
        """The next trade id; one sequence for all symbols."""
        self._next_trade += 1
        return self._next_trade

    def submit(self, account: Account, request: OrderRequest, test_only: bool = False) -> Order | None:
        """Check, accept and match a new order; Denied when refused. None for a test order."""
        if not test_only and (same := self._same(account, request)) is not None:
            return same
        market = self.markets[request.instrument.symbol]
        try:
            request = self.settlement.shaped(account, request)
            plan = self._check(account, request, market)
        except Refusal as refusal:
            denied = self._spelled(refusal.reason)
            if not test_only:
                self._record_rejection(account, request, denied)
            raise denied from refusal
        if test_only:
            return None
        order = self._accept(account, request)
        if order.is_waiting_stop:
            self.settlement.accept(order, self.settlement.reservation(request, None))
            market.stops.append(order)
        else:
            self.settlement.accept(order, self.settlement.reservation(request, plan))
            self._match(order, market, plan)
        self._after_request(market)
        return order

    def cancel(self, order: Order, cancel_id: str, reason: str = "") -> None:
        """Cancel an open order; ``reason``: why the venue does it, empty: its owner asked for it."""
        if not order.is_open:
            raise self._spelled(Reason.NOT_OPEN)
        market = self.markets[order.instrument.symbol]
        market.remove(order)
        order.cancel_id = cancel_id
        order.cancel_reason = reason
        self._finish(order, "CANCELED", "CANCELED")
        self._after_request(market)

    def delist(self, symbol: str) -> None:
        """End the market of a symbol: its open orders expire, new ones are refused, nothing trades."""
        market = self.markets[symbol]
        market.is_listed = False
        for order in [each for each in self._open.values() if each.instrument.symbol == symbol]:
            market.remove(order)
            order.ended_by_venue = True
            self._finish(order, "EXPIRED", "EXPIRED")
        self._after_request(market)

    def force(self, account: Account, request: OrderRequest, rest_price: int) -> tuple[Order, int]:
        """Match an order of the venue's own for an account; what is left trades at `rest_price` all the same.

        Returns the order and how much of it was left.
        """
        market = self.markets[request.instrument.symbol]
        order = self._accept(account, request)
        order.is_liquidation = True
        self.settlement.accept(order, 0)
        market.execute(order, market.plan(order.is_buy, account.name, request.price, request.qty, 0))
        left = order.remaining
        if left:
            self.settlement.trade(order, rest_price, left, False, self.take_trade_id(), True)
        self._close(order)
        return order, left

    def end(self, order: Order, status: str) -> None:
        """Let the venue end an open order of an account, within a step as well."""
        self.markets[order.instrument.symbol].remove(order)
        order.ended_by_venue = True
        self._finish(order, status, status)

    def find(
        self, account: Account, symbol: str, order_id: int | None, client_id: str | None
    ) -> Order | None:
        """An order of this account by venue id, or the newest by client id."""
        if order_id is not None:
            order = self.orders.get(order_id)
            if order is None or order.account is not account or order.instrument.symbol != symbol:
                return None
            return order if client_id is None or order.request.client_order_id == client_id else None
        return self._by_client_id.get((account.name, symbol, client_id or ""))

    def find_anywhere(self, account: Account, order_id: int | None, client_id: str) -> Order | None:
        """The same without knowing the symbol; the venue's id counts more than the client's."""
        if order_id is None:
            return self._newest.get((account.name, client_id))
        order = self.orders.get(order_id)
        return order if order is not None and order.account is account else None

    def open_orders(self, account: Account, symbol: str | None) -> list[Order]:
        """This account's open orders, oldest first."""
        return [
            order
            for order in self._open.values()
            if order.account.name == account.name and (symbol is None or order.instrument.symbol == symbol)
        ]

    def play(self, market: SymbolMarket, prints: list[Print], volume: int) -> None:
        """Let a bucket's prints happen to one symbol: fills, then triggered stops, print by print."""
        for printed in prints:
            self.clock = printed.t
            triggered = market.print_trade(printed)
            is_watched = self.watch.price_moved(market, printed.price)
            if triggered or is_watched:
                # Stops must meet the market of this moment, not the book of the former step.
                market.book.refresh(printed.price, volume, printed.t)
                for order in triggered:
                    self._trigger(order, market)
            if is_watched:
                self.watch.enforce()

    def forget_closed(self) -> None:
        """Drop filled resting orders from the open index after a step."""
        for number in [number for number, order in self._open.items() if not order.is_open]:
            del self._open[number]

    def _check(self, account: Account, request: OrderRequest, market: SymbolMarket) -> Plan:
        instrument = request.instrument
        if not self._rules.client_id.fullmatch(request.client_order_id):
            raise Refusal(Reason.CLIENT_ID)
        if not market.is_listed:
            raise Refusal(Reason.NO_MARKET_ANY_MORE)
        if market.last_price == 0:
            raise Refusal(Reason.NO_MARKET_YET)
        if request.qty or not (request.quote_qty or request.close_position):
            instrument.check_quantity(request.qty)
        reference = request.price or market.last_price
        if request.price:
            instrument.check_price(request.price)
            instrument.check_distance(request.price, market.last_price)
        if request.stop_price:
            instrument.check_price(request.stop_price)
            reference = request.price or request.stop_price
        if self._rules.has_least_value and not (request.reduce_only or request.close_position):
            instrument.check_notional(request.quote_qty or request.qty * reference)
        holder = self._newest.get((account.name, request.client_order_id))
        if holder is not None and self._is_taken(holder):
            raise Refusal(Reason.DUPLICATE)
        mine = self.open_orders(account, instrument.symbol)
        stops = sum(order.is_waiting_stop for order in mine)
        instrument.check_open_orders(len(mine) - stops, stops, request.type in STOP_TYPES)
        return self._check_against_book(account, request, market)

    def _same(self, account: Account, request: OrderRequest) -> Order | None:
        """The order that a request means which repeats its client id."""
        if self._rules.unique != "idempotent":
            return None
        return self._newest.get((account.name, request.client_order_id))

    def _is_taken(self, holder: Order) -> bool:
        """Whether a client id is in use that an earlier order had."""
        return self._rules.unique == "forever" or (self._rules.unique == "open" and holder.is_open)

    def _check_against_book(self, account: Account, request: OrderRequest, market: SymbolMarket) -> Plan:
        if request.type in STOP_TYPES:
            if triggers_at(request.type, request.is_buy, request.stop_price, market.last_price):
                raise Refusal(Reason.WOULD_TRIGGER)
            plan = Plan([], 0, 0, False)
        else:
            plan = market.plan(request.is_buy, account.name, request.price, request.qty, request.quote_qty)
            if _would_take(request, plan) and not self._rules.maker_orders_are_cancelled:
                raise Refusal(Reason.WOULD_MATCH)
            if self._rules.unfillable_orders_are_refused and _cannot_fill(request, plan):
                raise Refusal(Reason.WOULD_NOT_FILL)
            if request.type == "MARKET" and request.quote_qty and not plan.trades:
                raise Refusal(Reason.NOTHING_FOR_AMOUNT)
        self.settlement.check(account, request, plan, market.last_price)
        return plan

    def _accept(self, account: Account, request: OrderRequest) -> Order:
        order = Order(self._next_order_id, account, request, self.clock, self.clock, request.qty)
        self._next_order_id += 1
        self.orders[order.id] = order
        self.by_account[account.name].append(order)
        self._open[order.id] = order
        self._by_client_id[account.name, request.instrument.symbol, request.client_order_id] = order
        self._newest[account.name, request.client_order_id] = order
        return order

    def _match(self, order: Order, market: SymbolMarket, plan: Plan) -> None:
        """Trade what can be traded now, then rest, expire or fill the order."""
        if order.request.quote_qty:
            # The venue turns an order by quote amount into the quantity that the book gives for it.
            order.qty = plan.qty
        kind = order.request.time_in_force
        if _would_take(order.request, plan):
            self._finish(order, "CANCELED", "CANCELED")
            return
        if kind == "FOK" and (plan.qty < order.qty or plan.meets_own_order):
            self._finish(order, "EXPIRED", "EXPIRED")
            return
        order.working_ms = self.clock
        market.execute(order, plan)
        if order.status == "FILLED":
            self.settlement.release(order)
            self._close(order)
        elif plan.meets_own_order:
            self._finish(order, "EXPIRED_IN_MATCH", "TRADE_PREVENTION")
        elif kind == "GTC" and order.request.type in PRICED_TYPES:
            market.rest(order)
        else:
            self._finish(order, "EXPIRED", "EXPIRED")

    def _trigger(self, order: Order, market: SymbolMarket) -> None:
        """A stop became a plain order: match it as one."""
        order.triggered = True
        order.updated_ms = self.clock
        if not self.settlement.set_off(order):
            self._finish(order, "EXPIRED", "EXPIRED")
            return
        plan = market.plan(order.is_buy, order.account.name, order.price, order.qty, 0)
        if not self.settlement.pays_when_set_off(order, plan):
            self._finish(order, "EXPIRED", "EXPIRED")
            return
        self.settlement.announce(order, "NEW")
        self._match(order, market, plan)

    def _finish(self, order: Order, status: str, kind: str) -> None:
        self.settlement.finish(order, status, kind)
        self._close(order)

    def _close(self, order: Order) -> None:
        self._open.pop(order.id, None)

    def _after_request(self, market: SymbolMarket) -> None:
        self.forget_closed()
        self.settlement.close_group()
        self.on_market_change(market)

    def _record_rejection(self, account: Account, request: OrderRequest, error: Denied) -> None:
        self.truth.write(
            "order",
            self.clock,
            {
                "order_id": None,
                "client_order_id": request.client_order_id,
                "account": account.name,
                "symbol": request.instrument.pair,
                "side": request.side,
                "type": request.type,
                "time_in_force": request.time_in_force,
                "price": text8(request.price),
                "stop_price": text8(request.stop_price),
                "qty": text8(request.qty),
                "quote_qty": money_text(request.quote_qty),
                "cum_qty": text8(0),
                "cum_quote": money_text(0),
                "status": "REJECTED",
                "code": error.code,
                "msg": error.msg,
            },
        )


class NoWatch:
    """Nobody minds where prices go."""

    def price_moved(self, market: SymbolMarket, price: int) -> bool:
        return False

    def enforce(self) -> None:
        """Nothing follows."""


def _cannot_fill(request: OrderRequest, plan: Plan) -> bool:
    return request.time_in_force == "FOK" and (plan.qty < request.qty or plan.meets_own_order)


def _would_take(request: OrderRequest, plan: Plan) -> bool:
    """Whether an order that may only rest would trade."""
    return request.type == "LIMIT_MAKER" and bool(plan.trades or plan.meets_own_order)
