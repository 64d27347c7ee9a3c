"""An order as the venue sees it: what was asked, what is left, what has happened.

Not here: matching and money. Invariant: `cum_qty` never exceeds `qty` (orders by quote amount have
no `qty` until they end), and a terminal order never changes again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from venues.sandbox.accounts import Account
from venues.sandbox.instrument import Instrument
from venues.sandbox.units import money_text, text8

STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
PRICED_TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
TERMINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Parameters of a new order, parsed but not yet checked against the market; 0 means not sent.

    Of contracts alone: ``reduce_only`` never opens, ``close_position`` has no quantity until it is set off,
    ``by_mark`` says that the mark price sets it off.
    """

    instrument: Instrument
    side: str
    type: str
    time_in_force: str
    client_order_id: str
    qty: int = 0
    quote_qty: int = 0
    price: int = 0
    stop_price: int = 0
    reduce_only: bool = False
    close_position: bool = False
    by_mark: bool = False

    @property
    def is_buy(self) -> bool:
        """Whether the base asset is received."""
        return self.side == "BUY"


@dataclass(slots=True)
class Fill:
    """One trade of an order; `fee` counts 1e-16 of `fee_asset`, `realised` what a contract's trade earned."""

    trade_id: int
    price: int
    qty: int
    fee: int
    fee_asset: str
    maker: bool
    t: int
    realised: int = 0


@dataclass(slots=True)
class Order:
    """An accepted order; money amounts count 1e-16, prices and quantities 1e-8."""

    id: int
    account: Account
    request: OrderRequest
    created_ms: int
    updated_ms: int
    qty: int
    status: str = "NEW"
    cum_qty: int = 0
    cum_quote: int = 0
    locked: int = 0
    ahead: int = 0
    triggered: bool = False
    working_ms: int = -1
    cancel_id: str = ""
    cancel_reason: str = ""
    ended_by_venue: bool = False
    is_liquidation: bool = False
    fills: list[Fill] = field(default_factory=list)

    @property
    def instrument(self) -> Instrument:
        """The pair it trades."""
        return self.request.instrument

    @property
    def is_buy(self) -> bool:
        """Whether the base asset is received."""
        return self.request.side == "BUY"

    @property
    def price(self) -> int:
        """Limit price, 0 for a market order."""
        return self.request.price

    @property
    def remaining(self) -> int:
        """Quantity not executed yet."""
        return self.qty - self.cum_qty

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to it."""
        return self.status not in TERMINAL

    @property
    def is_waiting_stop(self) -> bool:
        """Whether its stop price was not reached yet."""
        return self.request.type in STOP_TYPES and not self.triggered

    @property
    def lock_asset(self) -> str:
        """The asset that it spends."""
        return self.instrument.quote if self.is_buy else self.instrument.base

    def truth(self) -> dict[str, object]:
        """The order as the truth log keeps it."""
        request = self.request
        more = {"reduce_only": request.reduce_only} if self.instrument.settle else {}
        reason = {"reason": self.cancel_reason} if self.cancel_reason else {}
        return {
            "order_id": self.id,
            "client_order_id": request.client_order_id,
            "account": self.account.name,
            "symbol": self.instrument.pair,
            "side": request.side,
            "type": request.type,
            "time_in_force": request.time_in_force,
            "price": text8(request.price),
            "stop_price": text8(request.stop_price),
            "qty": text8(self.qty),
            "quote_qty": money_text(request.quote_qty),
            "cum_qty": text8(self.cum_qty),
            "cum_quote": money_text(self.cum_quote),
            "status": self.status,
            **more,
            **reason,
        }
