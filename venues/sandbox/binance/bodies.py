"""How Binance shows a listed pair, an order and a candle.

Not here: when they are shown. Invariant: every number is exact decimal text.
"""

from __future__ import annotations

from venues.sandbox.bars import Bar
from venues.sandbox.instrument import (
    MAX_OPEN_ORDERS,
    MAX_PRICE,
    MAX_QTY,
    MAX_STOP_ORDERS,
    ORDER_TYPES,
    PERCENT_DOWN,
    PERCENT_UP,
    Instrument,
)
from venues.sandbox.orders import Order
from venues.sandbox.units import ONE, money_text, text8


def listing(instrument: Instrument, is_listed: bool) -> dict[str, object]:
    """The symbol's entry in exchangeInfo."""
    return {
        "symbol": instrument.symbol,
        "status": "TRADING" if is_listed else "BREAK",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
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
        "isSpotTradingAllowed": is_listed,
        "isMarginTradingAllowed": False,
        "filters": _filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_TAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER"],
    }


def _filters(instrument: Instrument) -> list[dict[str, object]]:
    down = text8(ONE // PERCENT_DOWN)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text8(instrument.tick),
            "maxPrice": text8(MAX_PRICE),
            "tickSize": text8(instrument.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": text8(instrument.lot),
            "maxQty": text8(MAX_QTY),
            "stepSize": text8(instrument.lot),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": text8(MAX_QTY),
            "stepSize": "0.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": str(PERCENT_UP),
            "bidMultiplierDown": down,
            "askMultiplierUp": str(PERCENT_UP),
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": money_text(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": "9000000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_OPEN_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_STOP_ORDERS},
    ]


def order_body(order: Order) -> dict[str, object]:
    """The order as GET /api/v3/order shows it."""
    request = order.request
    body: dict[str, object] = {
        "symbol": order.instrument.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": request.client_order_id,
        "price": text8(request.price),
        "origQty": text8(order.qty),
        "executedQty": text8(order.cum_qty),
        "cummulativeQuoteQty": money_text(order.cum_quote),
        "status": order.status,
        "timeInForce": request.time_in_force,
        "type": request.type,
        "side": request.side,
        "stopPrice": text8(request.stop_price),
        "icebergQty": "0.00000000",
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": not order.is_waiting_stop,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": money_text(request.quote_qty),
        "selfTradePreventionMode": "EXPIRE_TAKER",
    }
    return body


def kline_row(bar: Bar) -> list[object]:
    """A bar as GET /api/v3/klines shows it."""
    return [
        bar.open_ms,
        text8(bar.open),
        text8(bar.high),
        text8(bar.low),
        text8(bar.close),
        text8(bar.volume),
        bar.close_ms,
        money_text(bar.quote),
        bar.trades,
        text8(bar.taker_volume),
        money_text(bar.taker_quote),
        "0",
    ]
