"""A listed pair: its grid of prices and quantities, and the order filters derived from it.

The grid comes from the data (recorded or synthetic). Not here: where the numbers come from, balances, or
how a protocol lists a pair. Invariant: an order that passes `check_*` lies on the grid, and so does every
published price and quantity.
"""

from __future__ import annotations

from dataclasses import dataclass

from venues.sandbox.refusals import Reason, Refusal
from venues.sandbox.units import ONE

ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
MAX_PRICE = 10**7 * ONE
MAX_QTY = 9 * 10**9 * ONE
MAX_OPEN_ORDERS = 200
MAX_STOP_ORDERS = 50
# Orders further than this factor from the last price are refused, as on the real venue.
PERCENT_UP = 5
PERCENT_DOWN = 5
_MIN_NOTIONAL = {
    "USDT": "5",
    "USD": "5",
    "USDC": "5",
    "BUSD": "5",
    "FDUSD": "5",
    "BTC": "0.0001",
    "ETH": "0.001",
    "BNB": "0.01",
}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One pair; `tick` and `lot` are counts of 1e-8, `min_notional` is a money amount.

    A pair with an asset to ``settle`` in is a perpetual contract, without one it is spot.
    """

    base: str
    quote: str
    tick: int
    lot: int
    min_notional: int
    settle: str = ""

    @property
    def symbol(self) -> str:
        """The venue's id, for example BTCUSDT."""
        return self.base + self.quote

    @property
    def pair(self) -> str:
        """The human form, for example BTC/USDT, and BTC/USDT:USDT for a perpetual contract."""
        return f"{self.base}/{self.quote}:{self.settle}" if self.settle else f"{self.base}/{self.quote}"

    def check_price(self, price: int) -> None:
        """Within bounds and on the grid."""
        if price < self.tick:
            raise Refusal(Reason.PRICE_TOO_LOW)
        if price > MAX_PRICE:
            raise Refusal(Reason.PRICE_TOO_HIGH)
        if price % self.tick:
            raise Refusal(Reason.PRICE_OFF_GRID)

    def check_quantity(self, qty: int) -> None:
        """Within bounds and on the grid."""
        if qty < self.lot:
            raise Refusal(Reason.QUANTITY_TOO_SMALL)
        if qty > MAX_QTY:
            raise Refusal(Reason.QUANTITY_TOO_LARGE)
        if qty % self.lot:
            raise Refusal(Reason.QUANTITY_OFF_GRID)

    def check_notional(self, amount: int) -> None:
        """Worth enough."""
        if amount < self.min_notional:
            raise Refusal(Reason.NOTIONAL)

    def check_distance(self, price: int, last: int) -> None:
        """Not too far from the last price, the same factors for both sides."""
        if price > last * PERCENT_UP:
            raise Refusal(Reason.PRICE_FAR_ABOVE)
        if price * PERCENT_DOWN < last:
            raise Refusal(Reason.PRICE_FAR_BELOW)

    def check_open_orders(self, resting: int, stops: int, is_stop: bool) -> None:
        """Not too many, with the new order counted."""
        if resting + stops >= MAX_OPEN_ORDERS:
            raise Refusal(Reason.TOO_MANY_ORDERS)
        if is_stop and stops >= MAX_STOP_ORDERS:
            raise Refusal(Reason.TOO_MANY_STOPS)


def minimum_notional(quote: str) -> str:
    """The smallest order value in this quote asset, as decimal text."""
    return _MIN_NOTIONAL.get(quote, "0.00000001")
