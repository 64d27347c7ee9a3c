"""How much margin positions and orders need, how much is free, and at which price an account is liquidated.

Everything is worked out from positions, purses, open orders and mark prices of the moment; nothing is kept.
Not here: acting on it. Invariant: no figure depends on the order in which positions are looked at.

Initial margin of a symbol is that of the larger side: the position with all orders to buy, or with all orders
to sell. Orders that only reduce need none. Cross positions share their wallet and what they have earned so
far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from venues.sandbox.accounts import Account
from venues.sandbox.orders import Order
from venues.sandbox.perpetual.brackets import Brackets
from venues.sandbox.perpetual.positions import Position, Positions
from venues.sandbox.perpetual.purses import Purses, cross, isolated

OpenOrders = Callable[[Account, str | None], Iterable[Order]]


class Margins:
    """Figures of accounts; amounts count 1e-16, prices 1e-8."""

    def __init__(
        self,
        positions: Positions,
        purses: Purses,
        brackets: dict[str, Brackets],
        mark: Callable[[str], int],
        open_orders: OpenOrders,
    ) -> None:
        self.positions = positions
        self.purses = purses
        self.brackets = brackets
        self.mark = mark
        self.open_orders = open_orders

    def held(self, account: Account, crossed: bool) -> list[Position]:
        """An account's positions that are not empty, of one kind of margin."""
        found = self.positions.of(account.name).values()
        return [each for each in found if each.qty and each.is_isolated is not crossed]

    def wallet(self, account: Account, position: Position) -> int:
        """What a position's losses are paid from."""
        name = account.name
        return self.purses.amounts[isolated(name, position.symbol) if position.is_isolated else cross(name)]

    def wallets(self, account: Account) -> int:
        """All wallets of an account together."""
        total = self.purses.amounts[cross(account.name)]
        for symbol in self.positions.of(account.name):
            total += self.purses.amounts[isolated(account.name, symbol)]
        return total

    def unrealised(self, position: Position) -> int:
        """At the mark price."""
        return position.unrealised(self.mark(position.symbol))

    def maintenance(self, position: Position) -> int:
        """At the mark price."""
        notional = abs(position.value(self.mark(position.symbol)))
        return self.brackets[position.symbol].maintenance(notional)

    def initial(self, position: Position) -> int:
        """Margin for a position's notional of the moment at its leverage, rounded up."""
        return -(-abs(position.value(self.mark(position.symbol))) // position.leverage)

    def for_orders(
        self, account: Account, position: Position, more: tuple[int, int] = (0, 0), but: Order | None = None
    ) -> int:
        """Margin for open orders beyond the position's; ``more`` are notionals to buy and sell."""
        held = position.value(self.mark(position.symbol))
        bids, asks = self.sides(account, position.symbol, but)
        larger = max(abs(held + bids + more[0]), abs(held - asks - more[1]))
        return -(-max(0, larger - abs(held)) // position.leverage)

    def sides(self, account: Account, symbol: str, but: Order | None = None) -> tuple[int, int]:
        """Notionals of open orders to buy and to sell; stops count once they are set off."""
        bids = asks = 0
        for order in self.open_orders(account, symbol):
            if order is but or order.is_waiting_stop or order.request.reduce_only or not order.is_open:
                continue
            notional = order.remaining * (order.price or self.mark(symbol))
            bids, asks = (bids + notional, asks) if order.is_buy else (bids, asks + notional)
        return bids, asks

    def exposure(self, account: Account, position: Position, is_buy: bool, notional: int) -> int:
        """The largest notional that a symbol could come to if one more order filled and all on its side."""
        held = position.value(self.mark(position.symbol))
        bids, asks = self.sides(account, position.symbol)
        return abs(held + bids + notional) if is_buy else abs(held - asks - notional)

    def equity(self, account: Account) -> int:
        """Margin balance of all cross positions together."""
        earned = sum(self.unrealised(each) for each in self.held(account, True))
        return self.purses.amounts[cross(account.name)] + earned

    def cross_maintenance(self, account: Account) -> int:
        """Of all cross positions together."""
        return sum(self.maintenance(each) for each in self.held(account, True))

    def available(self, account: Account) -> int:
        """What may become margin of new orders; below zero when there is too little already."""
        bound = sum(self.initial(each) for each in self.held(account, True))
        bound += sum(self.for_orders(account, each) for each in self.positions.of(account.name).values())
        return self.equity(account) - bound

    def liquidation_price(self, account: Account, position: Position) -> int:
        """Where the margin balance meets the maintenance margin if only this symbol moves; 0 if nowhere."""
        if not position.qty:
            return 0
        wallet = self.wallet(account, position)
        if not position.is_isolated:
            for other in self.held(account, True):
                if other is not position:
                    wallet += self.unrealised(other) - self.maintenance(other)
        size = abs(position.qty)
        for bracket in self.brackets[position.symbol].rows:
            # wallet + qty * price - cost == size * price * rate - cum, solved for the price
            price = (
                (position.cost - wallet - bracket.cum) * 10**8 // (position.qty * 10**8 - size * bracket.rate)
            )
            if price <= 0:
                return 0
            if size * price <= bracket.cap:
                break
        return price
