"""A listed pair: its grid of prices and quantities, and the order filters derived from it.

The grid comes from the data (recorded or synthetic), the filters follow Binance's set, with
Binance's texts on failure. Not here: where the numbers come from, or balances. Invariant: an order
that passes `check_*` lies on the grid, and so does every published price and quantity.
"""

from __future__ import annotations

from dataclasses import dataclass

from venues.sandbox import errors
from venues.sandbox.units import ONE, money_text, text8

ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
_MAX_PRICE = 10**7 * ONE
_MAX_QTY = 9 * 10**9 * ONE
_MAX_OPEN_ORDERS = 200
_MAX_STOP_ORDERS = 50
# Orders further than this factor from the last price are refused, as on the real venue.
_PERCENT_UP = 5
_PERCENT_DOWN = 5
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
    """One pair; `tick` and `lot` are counts of 1e-8, `min_notional` is a money amount."""

    base: str
    quote: str
    tick: int
    lot: int
    min_notional: int

    @property
    def symbol(self) -> str:
        """The venue's id, for example BTCUSDT."""
        return self.base + self.quote

    @property
    def pair(self) -> str:
        """The human form, for example BTC/USDT."""
        return f"{self.base}/{self.quote}"

    def check_price(self, price: int) -> None:
        """PRICE_FILTER."""
        if not self.tick <= price <= _MAX_PRICE or price % self.tick:
            raise errors.filter_failure("PRICE_FILTER")

    def check_quantity(self, qty: int) -> None:
        """LOT_SIZE."""
        if not self.lot <= qty <= _MAX_QTY or qty % self.lot:
            raise errors.filter_failure("LOT_SIZE")

    def check_notional(self, amount: int) -> None:
        """NOTIONAL."""
        if amount < self.min_notional:
            raise errors.filter_failure("NOTIONAL")

    def check_distance(self, price: int, last: int) -> None:
        """PERCENT_PRICE_BY_SIDE, the same factors for both sides."""
        if price > last * _PERCENT_UP or price * _PERCENT_DOWN < last:
            raise errors.filter_failure("PERCENT_PRICE_BY_SIDE")

    def check_open_orders(self, resting: int, stops: int, is_stop: bool) -> None:
        """MAX_NUM_ORDERS and MAX_NUM_ALGO_ORDERS, with the new order counted."""
        if resting + stops >= _MAX_OPEN_ORDERS:
            raise errors.filter_failure("MAX_NUM_ORDERS")
        if is_stop and stops >= _MAX_STOP_ORDERS:
            raise errors.filter_failure("MAX_NUM_ALGO_ORDERS")

    def listing(self) -> dict[str, object]:
        """The symbol's entry in exchangeInfo."""
        return {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self._filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_TAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER"],
        }

    def _filters(self) -> list[dict[str, object]]:
        down = text8(ONE // _PERCENT_DOWN)
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": text8(self.tick),
                "maxPrice": text8(_MAX_PRICE),
                "tickSize": text8(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": text8(self.lot),
                "maxQty": text8(_MAX_QTY),
                "stepSize": text8(self.lot),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": text8(_MAX_QTY),
                "stepSize": "0.00000000",
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": str(_PERCENT_UP),
                "bidMultiplierDown": down,
                "askMultiplierUp": str(_PERCENT_UP),
                "askMultiplierDown": down,
                "avgPriceMins": 0,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": money_text(self.min_notional),
                "applyMinToMarket": True,
                "maxNotional": "9000000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": _MAX_OPEN_ORDERS},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": _MAX_STOP_ORDERS},
        ]


def minimum_notional(quote: str) -> str:
    """The smallest order value in this quote asset, as decimal text."""
    return _MIN_NOTIONAL.get(quote, "0.00000001")
