"""Marks, funding and liquidation: what prices and time do to positions, whoever trades or not.

The index is the last price of the public market. The mark is the middle one of index, last price and the
book's middle, so that an account that moves the book alone moves no mark. Funding follows the premium of the
book over the index, averaged over the interval, and is settled at the mark of the moment in which the
interval ends.

A margin balance below the maintenance margin is liquidated: open orders end, then an order of the venue's
closes the position at the market, down to its bankruptcy price, at which nothing is left. What the book does
not take, the insurance fund takes at that price and sells at the mark. A fee of what is left over goes to the
fund.

Not here: which prices come. Invariant: an account has at least nothing after its liquidation; the fund paid
for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import Order, OrderRequest
from venues.sandbox.perpetual.margin import Margins
from venues.sandbox.perpetual.positions import Position
from venues.sandbox.perpetual.purses import INSURANCE, PUBLIC, cross, isolated
from venues.sandbox.perpetual.settings import PerpetualConfig
from venues.sandbox.perpetual.settlement import MarginSettlement
from venues.sandbox.units import ONE, money_text, text8, units_from_text

_HOUR_MS = 3_600_000
_INTEREST_8H = ONE // 10_000  # 0.01 % for eight hours
_DAMPER = ONE // 2_000  # the premium counts beyond 0.05 % from the interest only
_MOST = ONE // 50  # 2 % an interval


class Settled(NamedTuple):
    """Funding that was settled for a symbol."""

    symbol: str
    t: int
    rate: int
    mark: int


class Clearing:
    """Watches prices of the exchange whose books it settles."""

    def __init__(
        self, exchange: Exchange, settlement: MarginSettlement, margins: Margins, config: PerpetualConfig
    ) -> None:
        self._exchange = exchange
        self._settlement = settlement
        self._margins = margins
        self._liquidation_fee = units_from_text(config.liquidation_fee)
        self._fixed = {symbol: units_from_text(text) for symbol, text in config.funding_rates.items()}
        self.interval_ms = config.funding_hours * _HOUR_MS
        self._interest = _INTEREST_8H * config.funding_hours // 8
        self._index: dict[str, int] = {}
        self._premiums: dict[str, list[int]] = {symbol: [0, 0] for symbol in exchange.markets}
        self.next_funding_ms = 0
        self.settled: list[Settled] = []
        self.liquidated: Callable[[Order, int], None] = lambda order, price: None

    def open(self) -> None:
        """The market shows its first prices."""
        if self._exchange.clock:
            self._plan_funding(self._exchange.clock)
        self._index = {symbol: market.last_price for symbol, market in self._exchange.markets.items()}

    def index(self, symbol: str) -> int:
        """The index price; what was paid last before the public market said anything."""
        return self._index.get(symbol) or self._exchange.markets[symbol].last_price

    def mark(self, symbol: str) -> int:
        """The mark price."""
        market = self._exchange.markets[symbol]
        index, bid, ask = self.index(symbol), market.book.best(False), market.book.best(True)
        if bid is None or ask is None:
            return index
        return sorted((index, market.last_price, (bid[0] + ask[0]) // 2))[1]

    def rate(self, symbol: str) -> int:
        """The funding rate as it would be settled now, 1e-8."""
        if symbol in self._fixed:
            return self._fixed[symbol]
        total, count = self._premiums[symbol]
        premium = total // count if count else 0
        rate = premium + min(_DAMPER, max(-_DAMPER, self._interest - premium))
        return min(_MOST, max(-_MOST, rate))

    def price_moved(self, market: SymbolMarket, price: int) -> bool:
        """Note the index; whether somebody has to be liquidated at it."""
        symbol = market.instrument.symbol
        self._index[symbol] = price
        return any(
            self._margins.positions.of(name)[symbol].qty for name in self._margins.positions.holders()
        ) and (self._is_anybody_short())

    def reached(self, now_ms: int) -> None:
        """A moment of the market is over: sample the premium, settle what is due, liquidate who has to be."""
        for symbol, sums in self._premiums.items():
            market = self._exchange.markets[symbol]
            bid, ask, index = market.book.best(False), market.book.best(True), self.index(symbol)
            if bid is not None and ask is not None and index:
                sums[0] += ((bid[0] + ask[0]) // 2 - index) * ONE // index
                sums[1] += 1
        if not self.next_funding_ms:
            self._plan_funding(now_ms)
        if now_ms >= self.next_funding_ms:
            self._fund(self.next_funding_ms)
            self._plan_funding(now_ms)
        is_enforced = self._is_anybody_short()
        if is_enforced:
            self.enforce()
        self._settlement.close_group()
        if is_enforced:
            for market in self._exchange.markets.values():
                self._exchange.on_market_change(market)

    def _plan_funding(self, now_ms: int) -> None:
        self.next_funding_ms = now_ms // self.interval_ms * self.interval_ms + self.interval_ms

    def enforce(self) -> None:
        """Liquidate whose margin balance is below the maintenance margin."""
        for account in self._exchange.accounts.values():
            for position in self._margins.held(account, False):
                if self._is_isolated_short(account, position):
                    self._liquidate_isolated(account, position)
            if self._is_cross_short(account):
                self._liquidate_cross(account)

    def _is_anybody_short(self) -> bool:
        return any(
            self._is_cross_short(account)
            or any(self._is_isolated_short(account, each) for each in self._margins.held(account, False))
            for account in self._exchange.accounts.values()
        )

    def _is_isolated_short(self, account: Account, position: Position) -> bool:
        margins = self._margins
        return margins.wallet(account, position) + margins.unrealised(position) < margins.maintenance(
            position
        )

    def _is_cross_short(self, account: Account) -> bool:
        margins = self._margins
        return bool(margins.held(account, True)) and (
            margins.equity(account) < margins.cross_maintenance(account)
        )

    def _liquidate_isolated(self, account: Account, position: Position) -> None:
        self._end_orders(account, position.symbol)
        equity = self._margins.wallet(account, position) + self._margins.unrealised(position)
        self._close(account, position, equity, self._margins.maintenance(position))
        own = isolated(account.name, position.symbol)
        self._settlement.cover_isolated(account, position.symbol)
        left = self._settlement.purses.amounts[own]
        self._settlement.purses.move(own, cross(account.name), left, "margin")

    def _liquidate_cross(self, account: Account) -> None:
        self._end_orders(account, None)
        margins = self._margins
        while self._is_cross_short(account):
            equity, needed = margins.equity(account), margins.cross_maintenance(account)
            largest = max(
                margins.held(account, True), key=lambda each: (margins.maintenance(each), each.symbol)
            )
            maintenance = margins.maintenance(largest)
            self._close(account, largest, equity * maintenance // needed, maintenance)

    def _end_orders(self, account: Account, symbol: str | None) -> None:
        for order in self._exchange.open_orders(account, symbol):
            self._exchange.end(order, "EXPIRED")

    def _close(self, account: Account, position: Position, equity: int, maintenance: int) -> None:
        """Close a position that `equity` is left for, and take the fee."""
        market = self._exchange.markets[position.symbol]
        mark, size, is_long = self.mark(position.symbol), abs(position.qty), position.qty > 0
        # Rounded so that at this price the account is left with nothing or next to it, never with less.
        bankrupt = max(1, mark - equity // size if is_long else mark + equity // size)
        tick = market.instrument.tick
        limit = -(-bankrupt // tick) * tick if is_long else max(tick, bankrupt // tick * tick)
        number = self._exchange.take_trade_id()
        request = OrderRequest(
            market.instrument,
            "SELL" if is_long else "BUY",
            "LIMIT",
            "IOC",
            f"autoclose-{number}",
            size,
            price=limit,
        )
        order, taken = self._exchange.force(account, request, bankrupt)
        gain = taken * (mark - bankrupt) * (1 if is_long else -1)
        self._settlement.purses.move(PUBLIC, INSURANCE, gain, "liquidation")
        own = isolated(account.name, position.symbol) if position.is_isolated else cross(account.name)
        left = self._settlement.purses.amounts[own] + (
            0
            if position.is_isolated
            else sum(map(self._margins.unrealised, self._margins.held(account, True)))
        )
        fee = min(max(0, left), order.cum_quote // ONE * self._liquidation_fee // ONE * ONE)
        self._settlement.purses.move(own, INSURANCE, fee, "liquidation_fee")
        self._settlement.earn(account, position.symbol, "INSURANCE_CLEAR", -fee)
        self._exchange.truth.write(
            "liquidation",
            self._exchange.clock,
            {
                "account": account.name,
                "symbol": market.instrument.pair,
                "order_id": order.id,
                "side": request.side,
                "qty": text8(size),
                "mark": text8(mark),
                "margin_balance": money_text(equity),
                "maintenance_margin": money_text(maintenance),
                "bankruptcy_price": text8(bankrupt),
                "taken_over": text8(taken),
                "fee": money_text(fee),
            },
        )
        self.liquidated(order, bankrupt)

    def _fund(self, t: int) -> None:
        """Let positions pay one another; the public stands for all who are not accounts."""
        for symbol in self._exchange.markets:
            rate, mark = self.rate(symbol), self.mark(symbol)
            self._premiums[symbol] = [0, 0]
            if not mark:
                continue
            self.settled.append(Settled(symbol, t, rate, mark))
            for account in self._exchange.accounts.values():
                position = self._margins.positions.of(account.name)[symbol]
                if position.qty:
                    self._pay(account, position, rate, mark)

    def _pay(self, account: Account, position: Position, rate: int, mark: int) -> None:
        value = position.value(mark)
        amount = abs(value) // ONE * abs(rate) // ONE * ONE
        if (value > 0) == (rate > 0):
            amount = -amount
        own = isolated(account.name, position.symbol) if position.is_isolated else cross(account.name)
        self._settlement.purses.move(PUBLIC, own, amount, "funding")
        self._settlement.earn(account, position.symbol, "FUNDING_FEE", amount)
        self._settlement.payment_count += amount != 0
        self._settlement.touch(account, position.symbol, "FUNDING_FEE")
        self._exchange.truth.write(
            "funding",
            self._exchange.clock,
            {
                "account": account.name,
                "symbol": self._exchange.markets[position.symbol].instrument.pair,
                "qty": text8(position.qty),
                "mark": text8(mark),
                "rate": text8(rate),
                "amount": money_text(amount),
            },
        )
