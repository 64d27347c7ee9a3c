"""What a trade does to money, and who is told.

One place books both legs and the fee of every execution, writes it to the truth log and queues the
user events. Fees are charged on the received asset, cut to eight decimals. Not here: who trades
with whom. Invariant: over all accounts and collected fees, an asset changes only by what trades
with the public market moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from venues.sandbox.accounts import Account
from venues.sandbox.orders import STOP_TYPES, Fill, Order, OrderRequest
from venues.sandbox.refusals import Reason, Refusal
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import ONE, money_text, text8

# (order, execution type, the fill or None)
ReportSink = Callable[[Order, str, Fill | None], None]
# (account, the assets that changed)
PositionSink = Callable[[Account, list[str]], None]


class Offer(Protocol):
    """What the book would give to an order: `matching.Plan`."""

    @property
    def qty(self) -> int:
        """How much of it."""

    @property
    def amount(self) -> int:
        """For how much money."""


class Booked(NamedTuple):
    """What an execution cost and, on a contract, earned; `amount`s count 1e-16."""

    fee: int
    fee_asset: str
    realised: int = 0


class Settlement:
    """Books executions of spot; `clock` is set to the market time of what is being processed."""

    def __init__(self, truth: TruthLog, maker_rate: int, taker_rate: int) -> None:
        self._truth = truth
        self._rates = (taker_rate, maker_rate)
        self.clock = 0
        self.fees: dict[str, int] = defaultdict(int)
        self.market_flow: dict[str, int] = defaultdict(int)
        self.fill_count = 0
        self.payment_count = 0  # of funding
        self.report: ReportSink = lambda order, kind, fill: None
        self.position: PositionSink = lambda account, assets: None
        self._touched: dict[str, tuple[Account, set[str]]] = {}

    def shaped(self, account: Account, request: OrderRequest) -> OrderRequest:
        """The order as this venue takes it; on spot, as it was asked for."""
        return request

    def check(self, account: Account, request: OrderRequest, plan: Offer, last_price: int) -> None:
        """Refuse an order that its account cannot pay."""
        asset = request.instrument.quote if request.is_buy else request.instrument.base
        if account.free.get(asset, 0) < self.reservation(request, plan):
            raise Refusal(Reason.INSUFFICIENT)

    def reservation(self, request: OrderRequest, plan: Offer | None) -> int:
        """What the order may spend at most, and so has to lock; without a plan it waits as a stop."""
        if not request.is_buy:
            return (request.qty or (plan.qty if plan else 0)) * ONE
        if request.price:
            return request.price * request.qty
        if request.type in STOP_TYPES:
            return request.stop_price * request.qty
        return plan.amount if plan else 0

    def set_off(self, order: Order) -> bool:
        """A stop was set off; False when it has nothing to do any more."""
        return True

    def pays_when_set_off(self, order: Order, plan: Offer) -> bool:
        """Lock what a stop needs now that it is a market order; False if its account has not got it."""
        if order.price:
            return True
        self.release(order)
        amount = plan.amount if order.is_buy else order.qty * ONE
        if order.account.free.get(order.lock_asset, 0) < amount:
            return False
        order.account.lock(order.lock_asset, amount)
        order.locked = amount
        return True

    def accept(self, order: Order, amount: int) -> None:
        """Lock what the order may spend and announce it."""
        order.locked = amount
        order.account.lock(order.lock_asset, amount)
        self._touch(order.account, order.lock_asset)
        self.announce(order, "NEW")

    def trade(
        self, order: Order, price: int, qty: int, maker: bool, trade_id: int, with_market: bool
    ) -> None:
        """Book one execution of an open order."""
        booked = self._book(order, price, qty, maker, with_market)
        amount = price * qty
        order.cum_qty += qty
        order.cum_quote += amount
        order.updated_ms = self.clock
        order.status = "FILLED" if order.cum_qty == order.qty else "PARTIALLY_FILLED"
        fee, fee_asset, realised = booked
        fill = Fill(trade_id, price, qty, fee, fee_asset, maker, self.clock, realised)
        order.fills.append(fill)
        self.fill_count += 1
        self._truth.write(
            "trade",
            self.clock,
            {
                "trade_id": trade_id,
                "order_id": order.id,
                "client_order_id": order.request.client_order_id,
                "account": order.account.name,
                "symbol": order.instrument.pair,
                "side": order.request.side,
                "price": text8(price),
                "qty": text8(qty),
                "quote_qty": money_text(amount),
                "fee": money_text(fee),
                "fee_asset": fee_asset,
                "liquidity": "maker" if maker else "taker",
            }
            | ({"realised_pnl": money_text(realised)} if order.instrument.settle else {}),
        )
        self.announce(order, "TRADE", fill)
        self._traded(order)

    def _book(self, order: Order, price: int, qty: int, maker: bool, with_market: bool) -> Booked:
        """Move the money of an execution."""
        instrument, account = order.instrument, order.account
        amount = price * qty
        if order.is_buy:
            paid_asset, paid, got_asset, got = instrument.quote, amount, instrument.base, qty * ONE
        else:
            paid_asset, paid, got_asset, got = instrument.base, qty * ONE, instrument.quote, amount
        fee = got // ONE * self._rates[maker] // ONE * ONE
        reserved = order.price * qty if order.is_buy and order.price else paid
        account.pay_locked(paid_asset, paid)
        account.receive(got_asset, got - fee)
        order.locked -= reserved
        if reserved != paid:
            account.unlock(paid_asset, reserved - paid)
        self.fees[got_asset] += fee
        if with_market:
            self.market_flow[paid_asset] += paid
            self.market_flow[got_asset] -= got
        self._touch(account, paid_asset, got_asset)
        return Booked(fee, got_asset)

    def _traded(self, order: Order) -> None:
        """Whatever follows from an execution that was told."""

    def finish(self, order: Order, status: str, kind: str) -> None:
        """End an order that will not trade any more and release what it locked."""
        order.status = status
        order.updated_ms = self.clock
        self.release(order)
        self.announce(order, kind)

    def release(self, order: Order) -> None:
        """Give back what an ended order still holds."""
        if order.locked:
            order.account.unlock(order.lock_asset, order.locked)
            self._touch(order.account, order.lock_asset)
            order.locked = 0

    def announce(self, order: Order, kind: str, fill: Fill | None = None) -> None:
        """Write an order's new state to the truth log and to its owner."""
        self._truth.write("order", self.clock, order.truth())
        self.report(order, kind, fill)

    def close_group(self) -> None:
        """After a request or a step: tell balances that changed, once per account."""
        for account, assets in self._touched.values():
            self._truth.write("balances", self.clock, {"account": account.name, "balances": account.texts()})
            self.position(account, sorted(assets))
        self._touched.clear()

    def _touch(self, account: Account, *assets: str) -> None:
        self._touched.setdefault(account.name, (account, set()))[1].update(assets)
