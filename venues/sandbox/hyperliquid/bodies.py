"""How Hyperliquid shows a listed pair, an order, an execution, a candle and a balance.

Not here: when they are shown. Invariant: every number that counts money is exact decimal text without
trailing zeros but one, every time and number of an order a JSON number.
"""

from __future__ import annotations

from collections.abc import Iterable

from venues.sandbox.accounts import Account
from venues.sandbox.bars import Bar
from venues.sandbox.hyperliquid.names import Names, size_decimals, token
from venues.sandbox.matching import PublicTrade, SymbolMarket
from venues.sandbox.orders import Fill, Order
from venues.sandbox.units import money_text, text8

Body = dict[str, object]
_TIFS = {"LIMIT_MAKER": "Alo"}
_HASH = "0x" + "0" * 64


def plain(units: int) -> str:
    """A price or quantity."""
    return text8(units).rstrip("0").rstrip(".")


def shown(units: int) -> str:
    """A price or quantity as answers have it: with one decimal at least."""
    text = plain(units)
    return text if "." in text else f"{text}.0"


def shown_money(amount: int) -> str:
    """An amount of money."""
    text = money_text(amount).rstrip("0").rstrip(".")
    return text if "." in text else f"{text}.0"


def listing(names: Names, market: SymbolMarket, number: int) -> Body:
    """The pair's entry in the universe."""
    instrument = market.instrument
    return {
        "tokens": [names.tokens[instrument.base], names.tokens[instrument.quote]],
        "name": names.coin(instrument),
        "index": number,
        "isCanonical": False,
    }


def token_body(asset: str, number: int, decimals: int, full: str | None) -> Body:
    """A token of the list of them."""
    return {
        "name": token(asset),
        "szDecimals": decimals,
        "weiDecimals": 8,
        "index": number,
        "tokenId": f"0x{number:032x}",
        "isCanonical": number == 0,
        "evmContract": None,
        "fullName": full,
    }


def context(names: Names, market: SymbolMarket) -> Body:
    """The pair's entry in the contexts: what moves."""
    best = [market.book.best(side) for side in (False, True)]
    last = market.last_price
    mid = (best[0][0] + best[1][0]) // 2 if best[0] and best[1] else last
    return {
        "prevDayPx": shown(last),
        "dayNtlVlm": "0.0",
        "markPx": shown(last),
        "midPx": shown(mid) if mid else None,
        "circulatingSupply": "0.0",
        "coin": names.coin(market.instrument),
    }


def decimals_of(markets: Iterable[SymbolMarket], asset: str) -> int:
    """Decimals of an asset's quantities, of one that is only paid with 8."""
    found = [size_decimals(one.instrument) for one in markets if one.instrument.base == asset]
    return max(found, default=8)


def candle_body(coin: str, interval: str, bar: Bar, count: int) -> Body:
    """A candle of the snapshot and of the stream."""
    return {
        "t": bar.open_ms, "T": bar.close_ms, "s": coin, "i": interval, "o": shown(bar.open),
        "c": shown(bar.close), "h": shown(bar.high), "l": shown(bar.low), "v": shown(bar.volume), "n": count,
    }  # fmt: skip


def trade_body(coin: str, done: PublicTrade) -> Body:
    """A public trade."""
    trade_id, price, qty, buyer_is_maker, t = done
    return {
        "coin": coin,
        "side": "A" if buyer_is_maker else "B",
        "px": shown(price),
        "sz": shown(qty),
        "time": t,
        "hash": _HASH,
        "tid": trade_id,
        "users": ["", ""],
    }


def levels(side: Iterable[tuple[int, int]]) -> list[Body]:
    """Levels of a book."""
    return [{"px": shown(price), "sz": shown(qty), "n": 1} for price, qty in side]


def status(order: Order) -> str:
    """The state of an order; one that could match nobody was never one (`private_api`)."""
    if order.is_open:
        return "open"
    if order.status == "FILLED":
        return "filled"
    if order.ended_by_venue:
        return "delistedCanceled"
    return "selfTradeCanceled" if order.status == "EXPIRED_IN_MATCH" else "canceled"


def basic_order(coin: str, order: Order) -> Body:
    """An order of the stream."""
    request = order.request
    return {
        "coin": coin,
        "side": "B" if order.is_buy else "A",
        "limitPx": shown(request.price),
        "sz": shown(order.remaining),
        "oid": order.id,
        "timestamp": order.created_ms,
        "origSz": shown(order.qty),
        "cloid": request.client_order_id,
    }


def full_order(coin: str, order: Order) -> Body:
    """An order of `orderStatus`."""
    request = order.request
    tif = _TIFS.get(request.type, request.time_in_force.capitalize())
    return basic_order(coin, order) | {
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": False,
        "orderType": "Limit",
        "tif": tif,
    }


def fill_body(coin: str, order: Order, fill: Fill) -> Body:
    """An execution; as the venue documents them, it does not name the cloid."""
    return {
        "coin": coin,
        "px": shown(fill.price),
        "sz": shown(fill.qty),
        "side": "B" if order.is_buy else "A",
        "time": fill.t,
        "startPosition": "0.0",
        "dir": "Buy" if order.is_buy else "Sell",
        "closedPnl": "0.0",
        "hash": _HASH,
        "oid": order.id,
        "crossed": not fill.maker,
        "fee": shown_money(fill.fee),
        "tid": fill.trade_id,
        "feeToken": token(fill.fee_asset),
    }


def balances_body(names: Names, account: Account) -> Body:
    """The answer to `spotClearinghouseState`."""
    return {
        "balances": [
            {
                "coin": token(asset),
                "token": names.tokens.get(asset, 0),
                "hold": shown_money(account.locked.get(asset, 0)),
                "total": shown_money(account.total(asset)),
                "entryNtl": "0.0",
            }
            for asset in sorted(account.free)
            if account.total(asset)
        ]
    }
