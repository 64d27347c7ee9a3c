"""How Kraken shows a listed pair, an order, an execution, a candle, over REST and on sockets.

REST says numbers as text and times as seconds with decimals; WebSocket v2 says numbers as numbers and times
as RFC 3339. Not here: when they are shown. Invariant: every number is exact, as far as its reader keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from venues.sandbox.bars import Bar
from venues.sandbox.instrument import Instrument
from venues.sandbox.kraken.names import (
    alt_name,
    asset_id,
    old_socket_name,
    order_number,
    pair_alt_name,
    pair_id,
    trade_number,
)
from venues.sandbox.matching import PublicTrade
from venues.sandbox.orders import Fill, Order
from venues.sandbox.units import ONE, money_text, text8

Body = dict[str, object]
_STATES = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "closed", "CANCELED": "canceled"}
_TOLD = {"NEW": "new", "PARTIALLY_FILLED": "partially_filled", "FILLED": "filled", "CANCELED": "canceled"}
_BY_USER, _WOULD_TAKE, _IMMEDIATE = "User requested", "Post only order", "Immediate or cancel"
_SELF_TRADE, _BY_VENUE = "Self trade prevention", "Market closed"


def plain(units: int) -> str:
    """A price or quantity without trailing zeros."""
    return text8(units).rstrip("0").rstrip(".")


def plain_money(amount: int) -> str:
    """An amount of money without trailing zeros."""
    return money_text(amount).rstrip("0").rstrip(".")


def number(text: str) -> msgspec.Raw:
    """A number in JSON, with exactly these digits."""
    return msgspec.Raw(text.encode())


def second(ms: int) -> str:
    """A time as REST says it."""
    return f"{ms // 1000}.{ms % 1000:03d}"


def rfc3339(ms: int) -> str:
    """A time as sockets say it."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}000Z"


def decimals(grid: int) -> int:
    """How many decimals a grid of prices or quantities needs."""
    return len(plain(grid).partition(".")[2])


def listed_asset(asset: str) -> Body:
    """The asset's entry in Assets."""
    return {
        "aclass": "currency", "altname": alt_name(asset), "decimals": 10, "display_decimals": 8,
        "status": "enabled",
    }  # fmt: skip


def listing(instrument: Instrument, is_listed: bool, percents: tuple[str, str]) -> Body:
    """The pair's entry in AssetPairs; `percents` are its maker's and taker's fee."""
    maker, taker = percents
    return {
        "altname": pair_alt_name(instrument),
        "wsname": old_socket_name(instrument),
        "aclass_base": "currency",
        "base": asset_id(instrument.base),
        "aclass_quote": "currency",
        "quote": asset_id(instrument.quote),
        "cost_decimals": 8,
        "pair_decimals": decimals(instrument.tick),
        "lot_decimals": decimals(instrument.lot),
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, number(taker)]],
        "fees_maker": [[0, number(maker)]],
        "fee_volume_currency": "ZUSD",
        "ordermin": plain(instrument.lot),
        "costmin": plain_money(instrument.min_notional),
        "tick_size": plain(instrument.tick),
        "status": "online" if is_listed else "cancel_only",
    }


def candle_row(bar: Bar) -> list[object]:
    """A candle of OHLC."""
    average = bar.quote // bar.volume if bar.volume else 0
    prices = [plain(each) for each in (bar.open, bar.high, bar.low, bar.close, average)]
    return [bar.open_ms // 1000, *prices, plain(bar.volume), bar.trades]


def told_candle(symbol: str, bar: Bar, minutes: int) -> Body:
    """A candle of the channel `ohlc`."""
    return {
        "symbol": symbol,
        "open": number(plain(bar.open)),
        "high": number(plain(bar.high)),
        "low": number(plain(bar.low)),
        "close": number(plain(bar.close)),
        "trades": bar.trades,
        "volume": number(plain(bar.volume)),
        "vwap": number(plain(bar.quote // bar.volume if bar.volume else bar.close)),
        "interval_begin": rfc3339(bar.open_ms),
        "interval": minutes,
        "timestamp": rfc3339(bar.close_ms + 1),
    }


def trade_row(done: PublicTrade) -> list[object]:
    """A trade of Trades."""
    trade_id, price, qty, buyer_is_maker, t = done
    return [plain(price), plain(qty), number(second(t)), "s" if buyer_is_maker else "b", "m", "", trade_id]


def told_trade(symbol: str, done: PublicTrade) -> Body:
    """A trade of the channel `trade`."""
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "symbol": symbol,
        "side": "sell" if buyer_is_maker else "buy",
        "price": number(plain(price)),
        "qty": number(plain(qty)),
        "ord_type": "market",
        "trade_id": trade_id,
        "timestamp": rfc3339(t),
    }


def levels(side: Iterable[tuple[int, int]]) -> list[Body]:
    """Levels of a book on sockets."""
    return [{"price": number(plain(price)), "qty": number(plain(qty))} for price, qty in side]


def _reason(order: Order) -> str | None:
    if order.is_open or order.status == "FILLED":
        return None
    if order.ended_by_venue:
        return _BY_VENUE
    if order.cancel_id:
        return _BY_USER
    if order.status == "EXPIRED_IN_MATCH":
        return _SELF_TRADE
    return _WOULD_TAKE if order.request.type == "LIMIT_MAKER" else _IMMEDIATE


def _average(order: Order) -> str:
    return plain_money(order.cum_quote * ONE // order.cum_qty) if order.cum_qty else "0"


def order_body(order: Order, with_trades: bool) -> Body:
    """An order of OpenOrders and ClosedOrders."""
    request = order.request
    kind = "market" if request.type == "MARKET" else "limit"
    flags = ["fciq"] + (["post"] if request.type == "LIMIT_MAKER" else [])
    price = plain(request.price) if request.price else "0"
    body: Body = {
        "refid": None,
        "userref": None,
        "cl_ord_id": request.client_order_id,
        "status": _STATES.get(order.status, "canceled"),
        "opentm": number(second(order.created_ms)),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": pair_alt_name(order.instrument), "type": request.side.lower(), "ordertype": kind,
            "price": price, "price2": "0", "leverage": "none", "order": "", "close": "",
        },
        "vol": plain(order.qty),
        "vol_exec": plain(order.cum_qty),
        "cost": plain_money(order.cum_quote),
        "fee": plain_money(sum(each.fee for each in order.fills)),
        "price": _average(order),
        "stopprice": "0",
        "limitprice": price,
        "misc": "",
        "oflags": ",".join(flags),
    }  # fmt: skip
    if with_trades:
        body["trades"] = [trade_number(each.trade_id) for each in order.fills]
    if not order.is_open:
        body |= {"closetm": number(second(order.updated_ms)), "reason": _reason(order)}
    return body


def fill_body(order: Order, fill: Fill) -> Body:
    """An execution of QueryTrades."""
    return {
        "ordertxid": order_number(order.id),
        "postxid": "",
        "pair": pair_id(order.instrument),
        "aclass": "forex",
        "time": number(second(fill.t)),
        "type": order.request.side.lower(),
        "ordertype": "market" if order.request.type == "MARKET" else "limit",
        "price": plain(fill.price),
        "cost": plain_money(fill.price * fill.qty),
        "fee": plain_money(fill.fee),
        "vol": plain(fill.qty),
        "margin": "0",
        "leverage": "0",
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": fill.maker,
    }


def told_state(order: Order, event: str, at_ms: int) -> Body:
    """A report of the channel `executions` about an order; what ended it says neither pair nor client id."""
    status = _TOLD.get(order.status, "canceled")
    body: Body = {
        "order_id": order_number(order.id),
        "exec_type": event,
        "order_status": "pending_new" if event == "pending_new" else "new" if event == "new" else status,
        "timestamp": rfc3339(at_ms),
    }
    if event in ("pending_new", "new", "status"):
        request = order.request
        return body | {
            "order_status": body["order_status"] if event != "status" else status,
            "symbol": order.instrument.pair,
            "cl_ord_id": request.client_order_id,
            "side": request.side.lower(),
            "order_type": "market" if request.type == "MARKET" else "limit",
            "order_qty": number(plain(order.qty)),
            "limit_price": number(plain(request.price)),
            "post_only": request.type == "LIMIT_MAKER",
            "time_in_force": request.time_in_force,
            "fee_ccy_pref": "fciq",
            "cum_qty": number(plain(order.cum_qty) if event == "status" else "0"),
            "cum_cost": number(plain_money(order.cum_quote) if event == "status" else "0"),
            "avg_price": number(_average(order) if event == "status" else "0"),
        }
    body |= {
        "cum_qty": number(plain(order.cum_qty)),
        "cum_cost": number(plain_money(order.cum_quote)),
        "avg_price": number(_average(order)),
    }
    reason = _reason(order)
    return body if reason is None else body | {"reason": reason, "cancel_reason": reason}


def told_fill(order: Order, fill: Fill) -> Body:
    """A report of the channel `executions` about an execution."""
    return {
        "order_id": order_number(order.id),
        "exec_id": trade_number(fill.trade_id),
        "exec_type": "trade",
        "trade_id": fill.trade_id,
        "symbol": order.instrument.pair,
        "cl_ord_id": order.request.client_order_id,
        "side": order.request.side.lower(),
        "last_qty": number(plain(fill.qty)),
        "last_price": number(plain(fill.price)),
        "liquidity_ind": "m" if fill.maker else "t",
        "cost": number(plain_money(fill.price * fill.qty)),
        "order_type": "market" if order.request.type == "MARKET" else "limit",
        "timestamp": rfc3339(fill.t),
        # also of the last one, as its documentation says
        "order_status": "partially_filled",
        "cum_qty": number(plain(order.cum_qty)),
        "cum_cost": number(plain_money(order.cum_quote)),
        "avg_price": number(_average(order)),
        "fees": [{"asset": fill.fee_asset, "qty": number(plain_money(fill.fee))}],
    }
