"""How Coinbase shows a product, an order, an execution, a candle, a trade and an account.

Not here: when they are shown. Invariant: every number is exact decimal text without trailing zeros.
"""

from __future__ import annotations

from collections.abc import Iterable

from venues.sandbox.accounts import Account
from venues.sandbox.bars import Bar
from venues.sandbox.coinbase.names import product_id, stamp
from venues.sandbox.instrument import MAX_QTY, Instrument
from venues.sandbox.matching import PublicTrade, SymbolMarket
from venues.sandbox.orders import Fill, Order
from venues.sandbox.units import MONEY_ONE, ONE, money_text, text8

Body = dict[str, object]
_IN_FORCE = {"GTC": "GOOD_UNTIL_CANCELLED", "IOC": "IMMEDIATE_OR_CANCEL", "FOK": "FILL_OR_KILL"}


def plain(units: int) -> str:
    """A price or quantity."""
    return text8(units).rstrip("0").rstrip(".")


def plain_money(amount: int) -> str:
    """An amount of money."""
    return money_text(amount).rstrip("0").rstrip(".")


def product_body(market: SymbolMarket) -> Body:
    """A product of GET /market/products."""
    one: Instrument = market.instrument
    return {
        "product_id": product_id(one),
        "price": plain(market.last_price),
        "base_increment": plain(one.lot),
        "quote_increment": plain(one.tick),
        "price_increment": plain(one.tick),
        "base_min_size": plain(one.lot),
        "base_max_size": plain(MAX_QTY),
        "quote_min_size": plain_money(one.min_notional),
        "quote_max_size": plain(MAX_QTY),
        "base_name": one.base,
        "quote_name": one.quote,
        "base_currency_id": one.base,
        "quote_currency_id": one.quote,
        "is_disabled": False,
        "status": "online" if market.is_listed else "delisted",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": not market.is_listed,
        "auction_mode": False,
        "view_only": False,
        "product_type": "SPOT",
        "alias": "",
        "alias_to": [],
    }


def candle_body(bar: Bar) -> Body:
    """A candle of GET /market/products/{product_id}/candles."""
    return {
        "start": str(bar.open_ms // 1000),
        "low": plain(bar.low),
        "high": plain(bar.high),
        "open": plain(bar.open),
        "close": plain(bar.close),
        "volume": plain(bar.volume),
    }


def trade_body(name: str, done: PublicTrade) -> Body:
    """A public trade."""
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "trade_id": str(trade_id),
        "product_id": name,
        "price": plain(price),
        "size": plain(qty),
        "side": "SELL" if buyer_is_maker else "BUY",
        "time": stamp(t),
    }


def levels(side: Iterable[tuple[int, int]]) -> list[Body]:
    """Levels of a book."""
    return [{"price": plain(price), "size": plain(qty)} for price, qty in side]


def status_of(order: Order) -> str:
    """The order's state."""
    if order.is_open:
        return "OPEN"
    return "FILLED" if order.status == "FILLED" else "CANCELLED"


def _average(order: Order) -> str:
    return plain_money(order.cum_quote * ONE // order.cum_qty) if order.cum_qty else "0"


def _left(order: Order) -> str:
    return plain(order.remaining) if order.is_open else "0"


def configuration(order: Order) -> Body:
    """What was asked for."""
    request = order.request
    size: Body = (
        {"quote_size": plain_money(request.quote_qty)}
        if request.quote_qty
        else {"base_size": plain(order.qty)}
    )
    if request.type == "MARKET":
        return {"market_market_ioc": size}
    terms = {**size, "limit_price": plain(request.price)}
    match request.time_in_force:
        case "IOC":
            return {"sor_limit_ioc": terms}
        case "FOK":
            return {"limit_limit_fok": terms}
    return {"limit_limit_gtc": {**terms, "post_only": request.type == "LIMIT_MAKER"}}


def order_body(order: Order) -> Body:
    """An order of GET /orders/historical."""
    fee = sum(each.fee for each in order.fills)
    is_market = order.request.type == "MARKET"
    return {
        "order_id": str(order.id),
        "product_id": product_id(order.instrument),
        "user_id": order.account.name,
        "order_configuration": configuration(order),
        "side": order.request.side,
        "client_order_id": order.request.client_order_id,
        "status": status_of(order),
        "time_in_force": _IN_FORCE["IOC" if is_market else order.request.time_in_force],
        "created_time": stamp(order.created_ms),
        "last_fill_time": stamp(order.fills[-1].t) if order.fills else None,
        "filled_size": plain(order.cum_qty),
        "average_filled_price": _average(order),
        "filled_value": plain_money(order.cum_quote),
        "number_of_fills": str(len(order.fills)),
        "fee": "",
        "total_fees": plain_money(fee),
        "pending_cancel": False,
        "size_in_quote": bool(order.request.quote_qty),
        "size_inclusive_of_fees": False,
        "trigger_status": "INVALID_ORDER_TYPE",
        "order_type": "MARKET" if is_market else "LIMIT",
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": order.status == "FILLED",
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "",
    }


def told_body(order: Order) -> Body:
    """An order of the channel `user`: what it came to so far, and no trade of it."""
    fee = sum(each.fee for each in order.fills)
    return {
        "order_id": str(order.id),
        "client_order_id": order.request.client_order_id,
        "product_id": product_id(order.instrument),
        "product_type": "SPOT",
        "order_side": order.request.side,
        "order_type": "Market" if order.request.type == "MARKET" else "Limit",
        "status": status_of(order),
        "cumulative_quantity": plain(order.cum_qty),
        "leaves_quantity": _left(order),
        "avg_price": _average(order),
        "filled_value": plain_money(order.cum_quote),
        "number_of_fills": str(len(order.fills)),
        "total_fees": plain_money(fee),
        "limit_price": plain(order.request.price) if order.request.price else "0",
        "creation_time": stamp(order.created_ms),
        "cancel_reason": "",
        "reject_reason": "",
    }


def fill_body(order: Order, fill: Fill) -> Body:
    """An execution of GET /orders/historical/fills."""
    return {
        "entry_id": f"e{fill.trade_id}",
        "trade_id": str(fill.trade_id),
        "order_id": str(order.id),
        "trade_time": stamp(fill.t),
        "trade_type": "FILL",
        "price": plain(fill.price),
        "size": plain(fill.qty),
        "commission": plain_money(fill.fee),
        "product_id": product_id(order.instrument),
        "sequence_timestamp": stamp(fill.t),
        "liquidity_indicator": "MAKER" if fill.maker else "TAKER",
        "size_in_quote": False,
        "user_id": order.account.name,
        "side": order.request.side,
    }


def account_body(account: Account, asset: str) -> Body:
    """A currency of GET /accounts."""
    return {
        "uuid": f"{account.name}-{asset}",
        "name": f"{asset} Wallet",
        "currency": asset,
        "available_balance": {"value": plain_money(account.free.get(asset, 0)), "currency": asset},
        "default": True,
        "active": True,
        "type": "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": {"value": plain_money(account.locked.get(asset, 0)), "currency": asset},
    }


assert MONEY_ONE == ONE * ONE  # the average price above is a money amount only then
