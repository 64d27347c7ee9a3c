"""How KuCoin shows a listed pair, an order, an execution, a candle and a balance.

The sandbox's engine takes every fee in what was received; KuCoin takes it in the quote asset. Not here: when
they are shown. Invariant: every number of money is exact decimal text without trailing zeros.
"""

from __future__ import annotations

from collections.abc import Iterable

from venues.sandbox.accounts import Account
from venues.sandbox.bars import Bar
from venues.sandbox.instrument import MAX_QTY, Instrument
from venues.sandbox.kucoin.names import pair_id
from venues.sandbox.matching import PublicTrade
from venues.sandbox.orders import Fill, Order
from venues.sandbox.units import money_text, text8

Body = dict[str, object]
_NS = 1_000_000  # in a ms


def plain(units: int) -> str:
    """A price or quantity."""
    return text8(units).rstrip("0").rstrip(".")


def plain_money(amount: int) -> str:
    """An amount of money."""
    return money_text(amount).rstrip("0").rstrip(".")


def listing(instrument: Instrument, is_listed: bool) -> Body:
    """The pair's entry in symbols."""
    name, most = pair_id(instrument), plain(MAX_QTY)
    least = plain_money(instrument.min_notional)
    return {
        "symbol": name,
        "name": name,
        "baseCurrency": instrument.base,
        "quoteCurrency": instrument.quote,
        "feeCurrency": instrument.quote,
        "market": instrument.quote,
        "baseMinSize": plain(instrument.lot),
        "quoteMinSize": least,
        "baseMaxSize": most,
        "quoteMaxSize": most,
        "baseIncrement": plain(instrument.lot),
        "quoteIncrement": plain(instrument.tick),
        "priceIncrement": plain(instrument.tick),
        "priceLimitRate": "4",
        "minFunds": least,
        "isMarginEnabled": False,
        "enableTrading": is_listed,
        "feeCategory": 1,
        "makerFeeCoefficient": "1.00",
        "takerFeeCoefficient": "1.00",
        "st": False,
    }


def candle_row(bar: Bar) -> list[str]:
    """A candle of GET /api/v1/market/candles and of the topic: time in s, open, close, high, low."""
    prices = [plain(each) for each in (bar.open, bar.close, bar.high, bar.low, bar.volume)]
    return [str(bar.open_ms // 1000), *prices, plain_money(bar.quote)]


def trade_row(done: PublicTrade) -> Body:
    """A public trade of GET /api/v1/market/histories."""
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "sequence": str(trade_id),
        "tradeId": str(trade_id),
        "price": plain(price),
        "size": plain(qty),
        "side": "sell" if buyer_is_maker else "buy",
        "time": t * _NS,
    }


def match_body(name: str, done: PublicTrade) -> Body:
    """A public trade of the topic `/market/match`."""
    row = trade_row(done)
    return row | {
        "symbol": name, "type": "match", "time": str(row["time"]), "makerOrderId": "", "takerOrderId": "",
    }  # fmt: skip


def levels(side: Iterable[tuple[int, int]]) -> list[list[str]]:
    """Levels of a book."""
    return [[plain(price), plain(qty)] for price, qty in side]


def _type(order: Order) -> str:
    return "market" if order.request.type == "MARKET" else "limit"


def order_body(order: Order) -> Body:
    """An order of GET /api/v1/hf/orders/client-order/{clientOid} and of the lists."""
    request = order.request
    open_qty = order.remaining if order.is_open else 0
    return {
        "id": str(order.id),
        "clientOid": request.client_order_id,
        "symbol": pair_id(order.instrument),
        "opType": "DEAL",
        "type": _type(order),
        "side": request.side.lower(),
        "price": plain(request.price),
        "size": plain(order.qty),
        "funds": plain_money(request.quote_qty),
        "dealSize": plain(order.cum_qty),
        "dealFunds": plain_money(order.cum_quote),
        "remainSize": plain(open_qty),
        "cancelledSize": plain(0 if order.is_open else order.remaining),
        "fee": plain_money(sum(each.fee for each in order.fills)),
        "feeCurrency": order.instrument.base if order.is_buy else order.instrument.quote,
        "stp": None,
        "timeInForce": request.time_in_force,
        "postOnly": request.type == "LIMIT_MAKER",
        "hidden": False,
        "iceberg": False,
        "visibleSize": "0",
        "cancelAfter": 0,
        "channel": "API",
        "remark": None,
        "tags": None,
        "tradeType": "TRADE",
        "active": order.is_open,
        "inOrderBook": order.is_open,
        "cancelExist": not order.is_open and order.remaining > 0,
        "createdAt": order.created_ms,
        "lastUpdatedAt": order.updated_ms,
    }


def told_body(order: Order, kind: str, status: str, fill: Fill | None) -> Body:
    """A message of `/spotMarket/tradeOrders`; of a trade it says everything but the fee."""
    body: Body = {
        "symbol": pair_id(order.instrument),
        "orderType": _type(order),
        "side": order.request.side.lower(),
        "orderId": str(order.id),
        "type": kind,
        "orderTime": order.created_ms,
        "size": plain(order.qty),
        "filledSize": plain(order.cum_qty),
        "price": plain(order.request.price),
        "clientOid": order.request.client_order_id,
        "remainSize": plain(order.remaining if order.is_open else 0),
        "status": status,
        "ts": order.updated_ms * _NS,
    }
    if fill is None:
        return body
    return body | {
        "liquidity": "maker" if fill.maker else "taker",
        "feeType": "makerFee" if fill.maker else "takerFee",
        "matchPrice": plain(fill.price),
        "matchSize": plain(fill.qty),
        "tradeId": str(fill.trade_id),
        "ts": fill.t * _NS,
    }


def fill_body(order: Order, fill: Fill, rate: str) -> Body:
    """An execution of GET /api/v1/hf/fills."""
    return {
        "id": fill.trade_id,
        "symbol": pair_id(order.instrument),
        "tradeId": fill.trade_id,
        "orderId": str(order.id),
        "counterOrderId": "",
        "side": order.request.side.lower(),
        "liquidity": "maker" if fill.maker else "taker",
        "forceTaker": False,
        "price": plain(fill.price),
        "size": plain(fill.qty),
        "funds": plain_money(fill.price * fill.qty),
        "fee": plain_money(fill.fee),
        "feeRate": rate,
        "feeCurrency": fill.fee_asset,
        "stop": "",
        "tradeType": "TRADE",
        "type": _type(order),
        "createdAt": fill.t,
    }


def balance_rows(account: Account) -> list[Body]:
    """Accounts of GET /api/v1/accounts."""
    return [
        {
            "id": f"sbx-{asset.lower()}",
            "currency": asset,
            "type": "trade_hf",
            "balance": plain_money(account.total(asset)),
            "available": plain_money(account.free.get(asset, 0)),
            "holds": plain_money(account.locked.get(asset, 0)),
        }
        for asset in sorted(account.free)
        if account.total(asset)
    ]
