"""How Bybit shows a listed pair, an order, an execution, a candle and a wallet.

Not here: when they are shown. Invariant: every number is exact decimal text without trailing zeros.
"""

from __future__ import annotations

from venues.sandbox.accounts import Account
from venues.sandbox.bars import Bar
from venues.sandbox.instrument import MAX_QTY, Instrument
from venues.sandbox.matching import PublicTrade
from venues.sandbox.orders import STOP_TYPES, Fill, Order
from venues.sandbox.units import MONEY_ONE, ONE, money_text, text8

Body = dict[str, object]
PLAIN, STOP = "Order", "tpslOrder"
_TIMED_BY_TYPE = {"LIMIT_MAKER": "PostOnly", "MARKET": "IOC"}


def plain(units: int) -> str:
    """A price or quantity."""
    return text8(units).rstrip("0").rstrip(".")


def plain_money(amount: int) -> str:
    """An amount of money."""
    return money_text(amount).rstrip("0").rstrip(".")


def listing(instrument: Instrument, is_listed: bool) -> Body:
    """The symbol's entry in instruments-info."""
    return {
        "symbol": instrument.symbol,
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "innovation": "0",
        "status": "Trading" if is_listed else "Closed",
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(instrument.lot),
            "quotePrecision": "0.00000001",
            "minOrderQty": plain(instrument.lot),
            "maxOrderQty": plain(MAX_QTY),
            "minOrderAmt": plain_money(instrument.min_notional),
            "maxOrderAmt": plain_money(MAX_QTY * ONE),
        },
        "priceFilter": {"tickSize": plain(instrument.tick)},
        "riskParameters": {"priceLimitRatioX": "4", "priceLimitRatioY": "4"},
    }


def kline_row(bar: Bar) -> list[str]:
    """A candle of GET /v5/market/kline."""
    prices = [plain(each) for each in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
    return [str(bar.open_ms), *prices, plain_money(bar.quote)]


def trade_row(symbol: str, done: PublicTrade) -> Body:
    """A trade of GET /v5/market/recent-trade."""
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "execId": str(trade_id),
        "symbol": symbol,
        "price": plain(price),
        "size": plain(qty),
        "side": "Sell" if buyer_is_maker else "Buy",
        "time": str(t),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade_id),
    }


def filter_of(order: Order) -> str:
    """The kind of order that a filter asks for; a stop keeps it when it is set off."""
    return STOP if order.request.type in STOP_TYPES else PLAIN


def status_of(order: Order) -> str:
    """Bybit's word for what became of an order; only spot tells a partly filled one that ended."""
    match order.status:
        case "NEW":
            return "Untriggered" if order.is_waiting_stop else "New"
        case "PARTIALLY_FILLED":
            return "PartiallyFilled"
        case "FILLED":
            return "Filled"
        case "REJECTED":
            return "Rejected"
    if order.is_waiting_stop:
        return "Deactivated"
    return "PartiallyFilledCanceled" if order.cum_qty else "Cancelled"


def _end_of(order: Order) -> tuple[str, str]:
    """(cancelType, rejectReason) of an order."""
    if order.ended_by_venue:
        return "CancelByAdmin", "EC_InvalidSymbolStatus"
    match order.status:
        case "CANCELED" if order.cancel_id:
            return "CancelByUser", "EC_PerCancelRequest"
        case "CANCELED":
            return "UNKNOWN", "EC_PostOnlyWillTakeLiquidity"
        case "EXPIRED":
            return "UNKNOWN", "EC_NoImmediateQtyToFill"
        case "EXPIRED_IN_MATCH":
            return "CancelBySmp", "EC_Others"
    return "UNKNOWN", "EC_NoError"


def order_body(order: Order) -> Body:
    """An order of GET /v5/order/realtime and of the topic `order`."""
    request = order.request
    cancel_type, reject_reason = _end_of(order)
    fees: dict[str, int] = {}
    for fill in order.fills:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, 0) + fill.fee
    average = order.cum_quote * ONE // order.cum_qty if order.cum_qty else 0
    remaining = order.remaining if order.is_open else 0
    return {
        "category": "spot",
        "orderId": str(order.id),
        "orderLinkId": request.client_order_id,
        "blockTradeId": "",
        "symbol": order.instrument.symbol,
        "price": plain(request.price),
        "qty": plain_money(request.quote_qty) if request.quote_qty else plain(order.qty),
        "side": request.side.capitalize(),
        "isLeverage": "0",
        "positionIdx": 0,
        "orderStatus": status_of(order),
        "createType": "CreateByUser",
        "cancelType": cancel_type,
        "rejectReason": reject_reason,
        "avgPrice": plain_money(average) if order.cum_qty else "",
        "leavesQty": plain(remaining),
        "leavesValue": plain_money(remaining * request.price),
        "cumExecQty": plain(order.cum_qty),
        "cumExecValue": plain_money(order.cum_quote),
        "cumExecFee": plain_money(sum(fees.values())),
        "cumFeeDetail": {asset: plain_money(fee) for asset, fee in fees.items()},
        "timeInForce": _TIMED_BY_TYPE.get(request.type, request.time_in_force),
        "orderType": "Market" if request.type == "MARKET" else "Limit",
        "stopOrderType": STOP if filter_of(order) == STOP else "",
        "orderIv": "",
        "marketUnit": ("quoteCoin" if request.quote_qty else "baseCoin") if request.type == "MARKET" else "",
        "triggerPrice": plain(request.stop_price),
        "takeProfit": "0",
        "stopLoss": "0",
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def execution_body(order: Order, fill: Fill, leaves: int, rates: tuple[str, str]) -> Body:
    """A fill of GET /v5/execution/list and of the topic `execution`; `rates` are those of (maker, taker)."""
    request = order.request
    return {
        "category": "spot",
        "symbol": order.instrument.symbol,
        "orderId": str(order.id),
        "orderLinkId": request.client_order_id,
        "side": request.side.capitalize(),
        "orderPrice": plain(request.price),
        "orderQty": plain_money(request.quote_qty) if request.quote_qty else plain(order.qty),
        "leavesQty": plain(leaves),
        "createType": "CreateByUser",
        "orderType": "Market" if request.type == "MARKET" else "Limit",
        "stopOrderType": STOP if filter_of(order) == STOP else "",
        "execFee": plain_money(fill.fee),
        "feeCurrency": fill.fee_asset,
        "feeRate": rates[0] if fill.maker else rates[1],
        "execId": str(fill.trade_id),
        "execPrice": plain(fill.price),
        "execQty": plain(fill.qty),
        "execType": "Trade",
        "execValue": plain_money(fill.price * fill.qty),
        "execTime": str(fill.t),
        "isMaker": fill.maker,
        "isLeverage": "0",
        "tradeIv": "",
        "markIv": "",
        "markPrice": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "",
        "seq": fill.trade_id,
    }


def wallet_body(account: Account, assets: list[str]) -> Body:
    """An account of GET /v5/account/wallet-balance and of the topic `wallet`."""
    totals = ("accountIMRate", "accountMMRate", "totalEquity", "totalWalletBalance", "totalMarginBalance",
              "totalAvailableBalance", "totalPerpUPL", "totalInitialMargin", "totalMaintenanceMargin",
              "accountLTV")  # fmt: skip
    return {
        "accountType": "UNIFIED",
        **dict.fromkeys(totals, ""),
        "coin": [
            {
                "coin": asset,
                "equity": plain_money(account.total(asset)),
                "usdValue": "",
                "walletBalance": plain_money(account.total(asset)),
                "locked": plain_money(account.locked.get(asset, 0)),
                "free": "",
                "spotHedgingQty": "0",
                "availableToWithdraw": "",
                "availableToBorrow": "",
                "borrowAmount": "0",
                "accruedInterest": "0",
                "totalOrderIM": "0",
                "totalPositionIM": "0",
                "totalPositionMM": "0",
                "unrealisedPnl": "0",
                "cumRealisedPnl": "0",
                "bonus": "0",
                "marginCollateral": True,
                "collateralSwitch": True,
            }
            for asset in assets
        ],
    }


assert MONEY_ONE == ONE * ONE  # the average price above is a money amount only then
