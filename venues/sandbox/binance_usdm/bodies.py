"""How Binance shows a contract, its orders and its trades.

An order that waits for a price is an algo order; once it is set off, a plain order under the same client id
is shown as well. Their numbers are of two series and have nothing to do with one another. What may only
reduce and finds nothing to reduce when it is set off is rejected, and never becomes a plain order.

Not here: positions and balances (`account_bodies`). Invariant: every number is exact decimal text.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.instrument import (
    MAX_OPEN_ORDERS,
    MAX_PRICE,
    MAX_QTY,
    MAX_STOP_ORDERS,
    PERCENT_UP,
    Instrument,
)
from venues.sandbox.orders import PRICED_TYPES, STOP_TYPES, Fill, Order
from venues.sandbox.units import DECIMALS, ONE, money_text, text8

# What a client asks for, and what the engine knows it as.
STOPS: Final = {
    "STOP_MARKET": "STOP_LOSS",
    "STOP": "STOP_LOSS_LIMIT",
    "TAKE_PROFIT_MARKET": "TAKE_PROFIT",
    "TAKE_PROFIT": "TAKE_PROFIT_LIMIT",
}
_STOP_WORDS: Final = {engine: word for word, engine in STOPS.items()}
_NEVER_MS: Final = 4133404800000
_FIRST_ALGO: Final = 4_000_000_000_000_000


def listing(instrument: Instrument, is_listed: bool, rates: tuple[str, str, str]) -> dict[str, object]:
    """The symbol's entry in exchangeInfo; `rates` are maintenance, initial margin and liquidation fee."""
    maintenance, initial, liquidation_fee = rates
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_MS,
        "onboardDate": 1569398400000,
        "status": "TRADING" if is_listed else "SETTLING",
        "maintMarginPercent": maintenance,
        "requiredMarginPercent": initial,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settle,
        "pricePrecision": _decimals(instrument.tick),
        "quantityPrecision": _decimals(instrument.lot),
        "baseAssetPrecision": DECIMALS,
        "quotePrecision": DECIMALS,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": liquidation_fee,
        "marketTakeBound": str(PERCENT_UP - 1),
        "maxMoveOrderLimit": 10000,
        "filters": _filters(instrument),
        "orderTypes": ["LIMIT", "MARKET", *STOPS],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _decimals(step: int) -> int:
    return max(0, DECIMALS - (len(str(step)) - 1)) if step < ONE else 0


def _filters(instrument: Instrument) -> list[dict[str, object]]:
    lots: dict[str, object] = {
        "minQty": text8(instrument.lot),
        "maxQty": text8(MAX_QTY),
        "stepSize": text8(instrument.lot),
    }
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text8(instrument.tick),
            "maxPrice": text8(MAX_PRICE),
            "tickSize": text8(instrument.tick),
        },
        lots | {"filterType": "LOT_SIZE"},
        lots | {"filterType": "MARKET_LOT_SIZE"},
        {"filterType": "MAX_NUM_ORDERS", "limit": MAX_OPEN_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": MAX_STOP_ORDERS},
        {"filterType": "MIN_NOTIONAL", "notional": money_text(instrument.min_notional)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": str(PERCENT_UP),
            "multiplierDown": text8(ONE // PERCENT_UP),
            "multiplierDecimal": "4",
        },
    ]


def is_plain(order: Order) -> bool:
    """Whether an order is shown among orders, and not only among algo orders."""
    return order.request.type not in STOP_TYPES or (order.triggered and not is_rejected(order))


def is_rejected(order: Order) -> bool:
    """Whether an algo order was set off and never got as far as the matching."""
    return order.triggered and not order.is_open and order.working_ms < 0


def algo_number(order: Order) -> int:
    """The number of an algo order; that of its plain order is the order's own."""
    return _FIRST_ALGO + order.id


def order_number(algo_number: int) -> int:
    """Whose algo order has this number."""
    return algo_number - _FIRST_ALGO


def plain_number(order: Order) -> str:
    """The number of the plain order that an algo order became; empty if it became none."""
    return str(order.id) if order.triggered and not is_rejected(order) else ""


def type_of(order: Order) -> str:
    """LIMIT or MARKET."""
    return "LIMIT" if order.request.type in PRICED_TYPES else "MARKET"


def asked_type(order: Order) -> str:
    """The type that its client asked for."""
    return _STOP_WORDS.get(order.request.type, type_of(order))


def time_in_force(order: Order) -> str:
    """GTX is an order that may only rest."""
    return "GTX" if order.request.type == "LIMIT_MAKER" else order.request.time_in_force


def average(order: Order) -> str:
    """What was paid on average, cut."""
    return text8(order.cum_quote // order.cum_qty if order.cum_qty else 0)


def working_type(order: Order) -> str:
    """Which price sets it off."""
    return "MARK_PRICE" if order.request.by_mark else "CONTRACT_PRICE"


def order_body(order: Order) -> dict[str, object]:
    """The order as GET /fapi/v1/order shows it."""
    request = order.request
    return {
        "orderId": order.id,
        "symbol": order.instrument.symbol,
        "status": order.status,
        "clientOrderId": request.client_order_id,
        "price": text8(request.price),
        "avgPrice": average(order),
        "origQty": text8(order.qty),
        "executedQty": text8(order.cum_qty),
        "cumQty": text8(order.cum_qty),
        "cumQuote": money_text(order.cum_quote),
        "timeInForce": time_in_force(order),
        "type": type_of(order),
        "reduceOnly": request.reduce_only,
        "closePosition": request.close_position,
        "side": request.side,
        "positionSide": "BOTH",
        "stopPrice": text8(request.stop_price),
        "workingType": working_type(order),
        "priceMatch": "NONE",
        "priceProtect": False,
        "origType": asked_type(order),
        "selfTradePreventionMode": "EXPIRE_TAKER",
        "goodTillDate": 0,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def algo_status(order: Order) -> str:
    """How far an algo order is; of one that was set off, whether its order is done."""
    if not order.triggered:
        return order.status
    if is_rejected(order):
        return "REJECTED"
    return "TRIGGERED" if order.is_open else "FINISHED"


def algo_body(order: Order) -> dict[str, object]:
    """The order as GET /fapi/v1/algoOrder shows it."""
    request = order.request
    return {
        "algoId": algo_number(order),
        "clientAlgoId": request.client_order_id,
        "algoType": "CONDITIONAL",
        "orderType": asked_type(order),
        "symbol": order.instrument.symbol,
        "side": request.side,
        "positionSide": "BOTH",
        "timeInForce": time_in_force(order),
        "quantity": text8(order.qty),
        "algoStatus": algo_status(order),
        "actualOrderId": plain_number(order),
        "actualPrice": average(order) if order.triggered else "0.00000000",
        "triggerPrice": text8(request.stop_price),
        "price": text8(request.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_TAKER",
        "workingType": working_type(order),
        "priceMatch": "NONE",
        "closePosition": request.close_position,
        "priceProtect": False,
        "reduceOnly": request.reduce_only,
        "createTime": order.created_ms,
        "updateTime": order.updated_ms,
        "triggerTime": order.updated_ms if order.triggered else 0,
        "goodTillDate": 0,
    }


def trade_body(fill: Fill, order: Order) -> dict[str, object]:
    """An own trade as GET /fapi/v1/userTrades shows it."""
    return {
        "symbol": order.instrument.symbol,
        "id": fill.trade_id,
        "orderId": order.id,
        "side": order.request.side,
        "positionSide": "BOTH",
        "price": text8(fill.price),
        "qty": text8(fill.qty),
        "quoteQty": money_text(fill.price * fill.qty),
        "realizedPnl": money_text(fill.realised),
        "commission": money_text(fill.fee),
        "commissionAsset": fill.fee_asset,
        "marginAsset": order.instrument.settle,
        "time": fill.t,
        "buyer": order.is_buy,
        "maker": fill.maker,
    }
