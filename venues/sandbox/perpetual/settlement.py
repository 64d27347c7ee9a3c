"""What a trade of a contract does to money and positions.

A trade moves no base asset: it changes a position, books what the closed part earned, and charges a fee in
the asset of settlement. An isolated position's wallet gets its margin when it opens, pays for its losses, and
gives back what is left as it closes. Orders lock nothing; they need margin (`margin`).

Not here: prices, funding and liquidation (`clearing`). Invariant: after each group of changes (`close_group`)
a cross wallet is below zero only while a position earns at least that, and no wallet of an isolated position
is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from venues.sandbox.accounts import Account
from venues.sandbox.orders import STOP_TYPES, Order, OrderRequest
from venues.sandbox.perpetual.margin import Margins
from venues.sandbox.perpetual.positions import Position
from venues.sandbox.perpetual.purses import CLEARING, FEES, INSURANCE, PUBLIC, Purses, cross, isolated
from venues.sandbox.refusals import Reason, Refusal
from venues.sandbox.settlement import Booked, Offer, Settlement
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import ONE, money_text, text8

# (account, symbols whose position changed, why)
ChangeSink = Callable[[Account, list[str], str], None]
_PRIORITY: Final = {"ORDER": 1}


class Income(NamedTuple):
    """One line of what an account earned or paid."""

    t: int
    symbol: str
    kind: str
    amount: int
    trade_id: int | None


class MarginSettlement(Settlement):
    """Books executions of contracts in one asset."""

    def __init__(
        self, truth: TruthLog, maker_rate: int, taker_rate: int, asset: str, purses: Purses, margins: Margins
    ) -> None:
        super().__init__(truth, maker_rate, taker_rate)
        self.asset = asset
        self.purses = purses
        self.margins = margins
        self.income: dict[str, list[Income]] = defaultdict(list)
        self.changed: ChangeSink = lambda account, symbols, why: None
        self.expire: Callable[[Order], None] = lambda order: None
        self._changes: dict[str, tuple[Account, dict[str, None], str]] = {}
        self._emptied: list[Order] = []

    def held(self, account: Account, symbol: str) -> Position:
        """An account's position."""
        return self.margins.positions.of(account.name)[symbol]

    def shaped(self, account: Account, request: OrderRequest) -> OrderRequest:
        """The order with no more quantity than is left to reduce, if it may only reduce."""
        if not request.reduce_only or request.type in STOP_TYPES:
            return request
        left = self._reducible(account, request.instrument.symbol, request.is_buy)
        left -= sum(each.remaining for each in self._reducing(account, request.instrument.symbol))
        if left <= 0:
            raise Refusal(Reason.NOT_REDUCING)
        return replace(request, qty=min(request.qty, left))

    def check(self, account: Account, request: OrderRequest, plan: Offer, last_price: int) -> None:
        """Refuse an order that needs more margin than is free, or leads beyond what its leverage allows."""
        if request.type in STOP_TYPES or request.reduce_only:
            return
        amount = plan.amount + (request.qty - plan.qty) * request.price if request.price else plan.amount
        qty = request.qty if request.price else plan.qty
        position = self.held(account, request.instrument.symbol)
        exposure = self.margins.exposure(account, position, request.is_buy, amount)
        cap = self.margins.brackets[position.symbol].cap(position.leverage)
        if exposure > cap and exposure > abs(position.value(self.margins.mark(position.symbol))):
            raise Refusal(Reason.TOO_LARGE_FOR_LEVERAGE)
        if not self._affords(account, position, request.is_buy, amount, qty):
            raise Refusal(Reason.MARGIN)

    def reservation(self, request: OrderRequest, plan: Offer | None) -> int:
        """Nothing is locked: open orders need margin instead."""
        return 0

    def set_off(self, order: Order) -> bool:
        """Give an order that closes its quantity; False when there is nothing to close."""
        request = order.request
        if request.close_position or request.reduce_only:
            left = self._reducible(order.account, order.instrument.symbol, order.is_buy)
            order.qty = left if request.close_position else min(order.qty, left)
            return left > 0
        return True

    def pays_when_set_off(self, order: Order, plan: Offer) -> bool:
        """Whether there is margin for it now."""
        if order.request.close_position or order.request.reduce_only:
            return True
        amount = plan.amount + (order.qty - plan.qty) * order.price if order.price else plan.amount
        position = self.held(order.account, order.instrument.symbol)
        return self._affords(order.account, position, order.is_buy, amount, order.qty, order)

    def accept(self, order: Order, amount: int) -> None:
        """Announce an order."""
        self.announce(order, "NEW")

    def release(self, order: Order) -> None:
        """An order holds nothing."""

    def earn(self, account: Account, symbol: str, kind: str, amount: int, trade: int | None = None) -> None:
        """Note what an account earned or paid."""
        if amount:
            self.income[account.name].append(Income(self.clock, symbol, kind, amount, trade))

    def touch(self, account: Account, symbol: str, why: str = "ORDER") -> None:
        """Tell an account's wallet and a position when the group of changes is closed."""
        _, symbols, before = self._changes.setdefault(account.name, (account, {}, why))
        symbols[symbol] = None
        if _PRIORITY.get(why, 0) > _PRIORITY.get(before, 0):
            self._changes[account.name] = account, symbols, why

    def close_group(self) -> None:
        """After a request or a step: end what cannot trade any more, then tell wallets and positions."""
        for order in self._emptied:
            order.qty = max(order.cum_qty, order.request.qty)
            if order.is_open:
                self.expire(order)
        self._emptied.clear()
        for account, symbols, why in self._changes.values():
            self._cover(account)
            self.sync(account)
            self._truth.write("balances", self.clock, {"account": account.name, "balances": account.texts()})
            for symbol in symbols:
                self._write_position(account, symbol)
            self.changed(account, list(symbols), why)
        self._changes.clear()

    def sync(self, account: Account) -> None:
        """Show an account's wallets as its balance."""
        account.free[self.asset] = self.margins.wallets(account)
        account.locked.setdefault(self.asset, 0)

    def cover_isolated(self, account: Account, symbol: str) -> None:
        """Let the insurance fund pay what an isolated position that is closed still owes."""
        name = isolated(account.name, symbol)
        owed = -self.purses.amounts[name]
        if owed > 0:
            self.purses.move(INSURANCE, name, owed, "insurance")
            self.earn(account, symbol, "INSURANCE_CLEAR", owed)

    def _cover(self, account: Account) -> None:
        name = cross(account.name)
        owed = -self.purses.amounts[name]
        if owed > 0 and not self.margins.held(account, True):
            self.purses.move(INSURANCE, name, owed, "insurance")
            self.earn(account, "", "INSURANCE_CLEAR", owed)

    def _affords(
        self,
        account: Account,
        position: Position,
        is_buy: bool,
        amount: int,
        qty: int,
        but: Order | None = None,
    ) -> bool:
        """Whether there is margin, the fee and what is lost at once to the mark; closing needs none."""
        margins = self.margins
        more = (amount, 0) if is_buy else (0, amount)
        without = margins.for_orders(account, position, but=but)
        needed = margins.for_orders(account, position, more, but) - without
        if needed <= 0:
            return True
        at_mark = qty * margins.mark(position.symbol)
        lost = max(0, amount - at_mark if is_buy else at_mark - amount)
        fee = amount // ONE * self._rates[False]
        free = margins.available(account) + margins.for_orders(account, position) - without
        return free >= needed + lost + fee // ONE

    def _reducible(self, account: Account, symbol: str, is_buy: bool) -> int:
        """How much an order of a side could close."""
        qty = self.held(account, symbol).qty
        return -qty if is_buy and qty < 0 else qty if not is_buy and qty > 0 else 0

    def _reducing(self, account: Account, symbol: str) -> list[Order]:
        return [
            each
            for each in self.margins.open_orders(account, symbol)
            if each.request.reduce_only and not each.is_waiting_stop and each.is_open
        ]

    def _book(self, order: Order, price: int, qty: int, maker: bool, with_market: bool) -> Booked:
        account, symbol = order.account, order.instrument.symbol
        position = self.held(account, symbol)
        change = qty if order.is_buy else -qty
        fee = 0 if order.is_liquidation else price * qty // ONE * self._rates[maker] // ONE * ONE
        size, closed = abs(position.qty), position.closes(change)
        earned = position.apply(change, price)
        position.updated_ms = self.clock
        if with_market:
            public = self.margins.positions.public[symbol]
            self.purses.move(CLEARING, PUBLIC, public.apply(-change, price), "realised")
        own = isolated(account.name, symbol) if position.is_isolated else cross(account.name)
        kept = self.purses.amounts[own] * (size - closed) // size if size else 0
        self.purses.move(CLEARING, own, earned, "realised")
        self.purses.move(own if closed else cross(account.name), FEES, fee, "fee")
        if position.is_isolated:
            if closed and not order.is_liquidation:
                self._give_back(account, symbol, kept)
            margin = -(-(qty - closed) * price // position.leverage)
            free = max(0, self.purses.amounts[cross(account.name)])
            self.purses.move(cross(account.name), own, min(margin, free), "margin")
        self.fees[self.asset] += fee
        self.earn(account, symbol, "REALIZED_PNL", earned)
        self.earn(account, symbol, "COMMISSION", -fee)
        self.touch(account, symbol)
        return Booked(fee, self.asset, earned)

    def _give_back(self, account: Account, symbol: str, kept: int) -> None:
        """Return what a closed part of an isolated position does not need any more."""
        if not kept:
            self.cover_isolated(account, symbol)
        own = isolated(account.name, symbol)
        self.purses.move(own, cross(account.name), max(0, self.purses.amounts[own] - kept), "margin")

    def _traded(self, order: Order) -> None:
        """Cut orders that may only reduce to what is left of the position, oldest first."""
        account, symbol = order.account, order.instrument.symbol
        for each in self._reducing(account, symbol):
            left = self._reducible(account, symbol, each.is_buy) - sum(
                older.remaining for older in self._reducing(account, symbol) if older.id < each.id
            )
            if each.remaining > left:
                each.qty = each.cum_qty + max(0, left)
                if left <= 0 and each not in self._emptied:
                    self._emptied.append(each)

    def _write_position(self, account: Account, symbol: str) -> None:
        position = self.held(account, symbol)
        self._truth.write(
            "position",
            self.clock,
            {
                "account": account.name,
                "symbol": f"{symbol[: -len(self.asset)]}/{self.asset}:{self.asset}",
                "qty": text8(position.qty),
                "cost": money_text(position.cost),
                "realised_pnl": money_text(position.realised),
                "leverage": position.leverage,
                "margin": "isolated" if position.is_isolated else "cross",
                "isolated_wallet": money_text(self.purses.amounts[isolated(account.name, symbol)]),
            },
        )
