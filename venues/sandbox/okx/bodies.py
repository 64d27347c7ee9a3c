"""How OKX shows a listed pair, an order, an execution, a candle and a balance.

A fee is what was received for the order, so one that was paid is negative. Not here: when they are shown.
Invariant: every number is exact decimal text without trailing zeros.
"""

from __future__ import annotations

from collections.abc import Iterable

from venues.sandbox.accounts import Account
from venues.sandbox.bars import Bar
from venues.sandbox.instrument import MAX_QTY, Instrument
from venues.sandbox.matching import PublicTrade
from venues.sandbox.okx.algos import CONDITIONAL, algo_number, algo_state, is_plain, is_stop
from venues.sandbox.okx.names import inst_id
from venues.sandbox.orders import Fill, Order
from venues.sandbox.units import MONEY_ONE, ONE, money_text, text8

Body = dict[str, object]
_STATES = {"NEW": "live", "PARTIALLY_FILLED": "partially_filled", "FILLED": "filled"}
# Why the venue ended an order that nobody cancelled.
_FOK, _IOC, _WOULD_TAKE, _SELF_TRADE, _VENUE, _USER = "13", "14", "31", "32", "0", "1"
_CANCEL_ALL_AFTER = "20"


def plain(units: int) -> str:
    """A price or quantity."""
    return text8(units).rstrip("0").rstrip(".")


def plain_money(amount: int) -> str:
    """An amount of money."""
    return money_text(amount).rstrip("0").rstrip(".")


def listing(instrument: Instrument, is_listed: bool, number: int) -> Body:
    """The pair's entry in instruments; `number` is the code that names it on sockets."""
    empty = (
        "alias", "ctMult", "ctType", "ctVal", "ctValCcy", "expTime", "instFamily", "lever", "optType",
        "settleCcy", "stk", "uly",
    )  # fmt: skip
    most = plain(MAX_QTY)
    return {
        **dict.fromkeys(empty, ""),
        "instType": "SPOT",
        "instId": inst_id(instrument),
        "instIdCode": number,
        "baseCcy": instrument.base,
        "quoteCcy": instrument.quote,
        "category": "1",
        "listTime": "0",
        "lotSz": plain(instrument.lot),
        "minSz": plain(instrument.lot),
        "tickSz": plain(instrument.tick),
        "maxLmtSz": most,
        "maxMktSz": most,
        "maxLmtAmt": most,
        "maxMktAmt": most,
        "ruleType": "normal",
        "state": "live" if is_listed else "suspend",
    }


def candle_row(bar: Bar, confirmed: bool) -> list[str]:
    """A candle of GET /api/v5/market/candles and of the candle channels."""
    prices = [plain(each) for each in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
    quote = plain_money(bar.quote)
    return [str(bar.open_ms), *prices, quote, quote, "1" if confirmed else "0"]


def trade_row(name: str, done: PublicTrade) -> Body:
    """A public trade."""
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "instId": name,
        "tradeId": str(trade_id),
        "px": plain(price),
        "sz": plain(qty),
        "side": "sell" if buyer_is_maker else "buy",
        "ts": str(t),
        "source": "0",
    }


def levels(side: Iterable[tuple[int, int]]) -> list[list[str]]:
    """Levels of a book; the third column is no longer used, the fourth counts orders."""
    return [[plain(price), plain(qty), "0", "1" if qty else "0"] for price, qty in side]


def _order_type(order: Order) -> str:
    match order.request.type, order.request.time_in_force:
        case "MARKET", _:
            return "market"
        case "LIMIT_MAKER", _:
            return "post_only"
        case _, "IOC" | "FOK" as kind:
            return kind.lower()
    return "limit"


def _cancel_source(order: Order) -> str:
    if order.is_open or order.status == "FILLED":
        return ""
    if order.ended_by_venue:
        return _VENUE
    if order.cancel_id:
        return _CANCEL_ALL_AFTER if order.cancel_reason else _USER
    match order.status, _order_type(order):
        case "EXPIRED_IN_MATCH", _:
            return _SELF_TRADE
        case _, "post_only":
            return _WOULD_TAKE
        case _, "fok":
            return _FOK
    return _IOC


def order_body(order: Order, tag: str) -> Body:
    """An order of GET /api/v5/trade/order."""
    request = order.request
    fee = sum(each.fee for each in order.fills)
    average = order.cum_quote * ONE // order.cum_qty if order.cum_qty else 0
    last = order.fills[-1] if order.fills else None
    empty = (
        "ccy", "rebateCcy", "rebate", "source", "lever", "quickMgnType", "stpId",
        "slTriggerPx", "slOrdPx", "tpTriggerPx", "tpOrdPx", "cancelSourceReason", "pxUsd", "pxVol", "pxType",
    )  # fmt: skip
    return {
        **dict.fromkeys(empty, ""),
        "instType": "SPOT",
        "instId": inst_id(order.instrument),
        "ordId": str(order.id),
        "clOrdId": "" if is_stop(order) else request.client_order_id,
        "algoClOrdId": request.client_order_id if is_stop(order) else "",
        "algoId": str(algo_number(order)) if is_stop(order) else "",
        "tag": tag,
        "px": plain(request.price) if request.price else "",
        "sz": plain_money(request.quote_qty) if request.quote_qty else plain(order.qty),
        "tgtCcy": ("quote_ccy" if request.quote_qty else "base_ccy") if request.type == "MARKET" else "",
        "ordType": _order_type(order),
        "side": request.side.lower(),
        "posSide": "net",
        "tdMode": "cash",
        "pnl": "0",
        "accFillSz": plain(order.cum_qty),
        "avgPx": plain_money(average) if order.cum_qty else "",
        "fillPx": plain(last.price) if last else "",
        "fillSz": plain(last.qty) if last else "0",
        "fillTime": str(last.t) if last else "",
        "tradeId": str(last.trade_id) if last else "",
        "state": _STATES.get(order.status, "canceled"),
        "stpMode": "cancel_taker",
        # on both sides the fee is in what was received
        "feeCcy": order.instrument.base if order.is_buy else order.instrument.quote,
        "fee": plain_money(-fee),
        "category": "normal",
        "reduceOnly": "false",
        "isTpLimit": "false",
        "attachAlgoOrds": [],
        "cancelSource": _cancel_source(order),
        "cTime": str(order.created_ms),
        "uTime": str(order.updated_ms),
    }


def algo_body(order: Order, tag: str) -> Body:
    """A stop of GET /api/v5/trade/order-algo."""
    request = order.request
    became = str(order.id) if is_plain(order) else ""
    empty = (
        "activePx", "callbackRatio", "callbackSpread", "ccy", "clOrdId", "closeFraction", "failCode", "lever",
        "moveTriggerPx", "ordPx", "pxLimit", "pxSpread", "pxVar", "quickMgnType", "szLimit", "tgtCcy",
        "timeInterval", "tpOrdPx", "tpTriggerPx", "tpTriggerPxType", "triggerPx", "triggerPxType",
    )  # fmt: skip
    return {
        **dict.fromkeys(empty, ""),
        "algoId": str(algo_number(order)),
        "algoClOrdId": request.client_order_id,
        "instType": "SPOT",
        "instId": inst_id(order.instrument),
        "ordType": CONDITIONAL,
        "side": request.side.lower(),
        "posSide": "net",
        "tdMode": "cash",
        "sz": plain(order.qty),
        "slTriggerPx": plain(request.stop_price),
        "slTriggerPxType": "last",
        "slOrdPx": plain(request.price),
        "state": algo_state(order),
        "ordId": became,
        "ordIdList": [became] if became else [],
        "linkedOrd": {"ordId": ""},
        "actualSz": plain(order.cum_qty),
        "actualPx": plain(request.price) if became else "",
        "actualSide": "sl" if order.triggered else "",
        "triggerTime": str(order.updated_ms) if order.triggered else "",
        "last": "",
        "tag": tag,
        "attachAlgoOrds": [],
        "amendPxOnTriggerType": "0",
        "isTradeBorrowMode": "",
        "reduceOnly": "false",
        "cTime": str(order.created_ms),
        "uTime": str(order.updated_ms),
    }


def told_body(order: Order, fill: Fill | None, tag: str) -> Body:
    """An order of the channel `orders`, with the execution that changed it."""
    body = order_body(order, tag) | {
        "code": "0",
        "msg": "",
        "amendResult": "",
        "reqId": "",
        "fillNotionalUsd": "",
        "tradeId": "",
        "fillPx": "",
        "fillSz": "0",
        "fillTime": "",
        "fillFee": "0",
        "fillFeeCcy": "",
        "execType": "",
    }
    if fill is None:
        return body
    return body | {
        "tradeId": str(fill.trade_id),
        "fillPx": plain(fill.price),
        "fillSz": plain(fill.qty),
        "fillTime": str(fill.t),
        "fillFee": plain_money(-fill.fee),
        "fillFeeCcy": fill.fee_asset,
        "execType": "M" if fill.maker else "T",
    }


def fill_body(order: Order, fill: Fill, tag: str) -> Body:
    """An execution of GET /api/v5/trade/fills."""
    return {
        "instType": "SPOT",
        "instId": inst_id(order.instrument),
        "tradeId": str(fill.trade_id),
        "ordId": str(order.id),
        "clOrdId": "" if is_stop(order) else order.request.client_order_id,
        "billId": str(fill.trade_id),
        "subType": "1" if order.is_buy else "2",
        "tag": tag,
        "fillPx": plain(fill.price),
        "fillSz": plain(fill.qty),
        "fillIdxPx": "",
        "fillPnl": "0",
        "side": order.request.side.lower(),
        "posSide": "net",
        "execType": "M" if fill.maker else "T",
        "feeCcy": fill.fee_asset,
        "fee": plain_money(-fill.fee),
        "ts": str(fill.t),
        "fillTime": str(fill.t),
    }


def balance_body(account: Account, assets: list[str], now: int) -> Body:
    """An account of GET /api/v5/account/balance and of the channel `account`, in spot mode."""
    totals = ("totalEq", "adjEq", "isoEq", "ordFroz", "imr", "mmr", "mgnRatio", "notionalUsd", "upl")
    unused = ("availEq", "disEq", "eqUsd", "isoEq", "liab", "upl", "maxLoan", "mgnRatio", "notionalLever")
    return {
        **dict.fromkeys(totals, ""),
        "uTime": str(now),
        "details": [
            {
                **dict.fromkeys(unused, ""),
                "ccy": asset,
                "eq": plain_money(account.total(asset)),
                "cashBal": plain_money(account.total(asset)),
                "availBal": plain_money(account.free.get(asset, 0)),
                "frozenBal": plain_money(account.locked.get(asset, 0)),
                "ordFrozen": plain_money(account.locked.get(asset, 0)),
                "uTime": str(now),
            }
            for asset in assets
        ],
    }


assert MONEY_ONE == ONE * ONE  # the average price above is a money amount only then
