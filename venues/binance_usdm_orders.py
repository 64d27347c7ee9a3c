"""Binance's words for an order of a contract, read exactly, and the look-up of one order by our id.

Problem and invariant: as `binance_orders`. Contracts name amounts otherwise (``cumQuote``, ``maker``), tell
nothing of what traded in the answer to a send, and forget an order without a fill three days after its end.

Not here: when to look up, and what an absence means (`runtime.resolution`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import ccxt

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.binance_orders import order_event
from venues.ccxt_client import MS, asked, exact, line
from venues.port import Absent, Acked, VenueError

_PAGE: Final = 1000
Raw = Mapping[str, Any]


def event_of(intent_iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return the state of an order as answers and lists show it."""
    t = int(raw["updateTime"]) * MS
    return order_event(
        intent_iid, str(raw["orderId"]), symbol, raw["status"], raw["executedQty"], raw["cumQuote"], t
    )


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its client order id: by id, open, or among the newest of its contract.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the trades do not yet account for what was executed.
    """
    market = {"symbol": client.market_id(intent.symbol)}
    raw = await _named(client, intent.cid, market) or await _listed(client, intent.cid, market)
    if raw is None:
        return Absent()
    fills = await fills_of(client, intent.iid, intent.symbol, raw, venue, account)
    return Acked(
        venue_id=str(raw["orderId"]), t_venue=int(raw.get("time", raw["updateTime"])) * MS,
        event=event_of(intent.iid, intent.symbol, raw), fills=fills,
    )  # fmt: skip


async def fills_of(
    client: Any, iid: bytes, symbol: str, raw: Raw, venue: str, account: str
) -> tuple[Fill, ...]:
    """Return all trades of an order; `VenueError` when they are fewer than it executed."""
    executed = exact(raw["executedQty"])
    if not executed:
        return ()
    query = {"symbol": client.market_id(symbol), "orderId": raw["orderId"], "limit": _PAGE}
    trades: list[Raw] = await asked("own trades", client.fapiPrivateGetUserTrades(query))
    while trades and (before := sum((exact(each["qty"]) for each in trades), ZERO)) < executed:
        # a short page is no last one
        more = await asked("own trades", client.fapiPrivateGetUserTrades({**query, "fromId": _next(trades)}))
        known = {each["id"] for each in trades}
        trades += [each for each in more if each["id"] not in known and each["orderId"] == raw["orderId"]]
        if sum((exact(each["qty"]) for each in trades), ZERO) == before:
            break
    traded = sum((exact(each["qty"]) for each in trades), ZERO)
    if traded < executed:
        cid = raw["clientOrderId"]
        raise VenueError(f"own trades: {executed} of {cid} were executed, its trades sum to {traded}")
    return tuple(_fill(iid, symbol, each, venue, account) for each in trades)


def _fill(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    return Fill(
        trade_id=str(raw["id"]), venue=venue, account=account, iid=iid, venue_id=str(raw["orderId"]),
        symbol=symbol, side=str(raw["side"]).lower(), qty=exact(raw["qty"]), px=exact(raw["price"]),
        fee=exact(raw["commission"]), fee_asset=str(raw["commissionAsset"]),
        liquidity="maker" if raw["maker"] else "taker", t=int(raw["time"]) * MS,
    )  # fmt: skip


def _next(trades: Sequence[Raw]) -> int:
    return max(int(each["id"]) for each in trades) + 1


async def _named(client: Any, cid: str, market: Mapping[str, str]) -> Raw | None:
    try:
        found: Raw = await client.fapiPrivateGetOrder({**market, "origClientOrderId": cid})
    except ccxt.OrderNotFound:
        return None
    except ccxt.BaseError as error:
        raise VenueError(f"order {cid}: {type(error).__name__}: {line(error)}") from error
    return found


async def _listed(client: Any, cid: str, market: Mapping[str, str]) -> Raw | None:
    """A second opinion from other lists, as on the spot market."""
    found = list(await asked("open orders", client.fapiPrivateGetOpenOrders({**market})))
    found += await asked("orders", client.fapiPrivateGetAllOrders({**market, "limit": _PAGE}))
    return next((each for each in found if each["clientOrderId"] == cid), None)
