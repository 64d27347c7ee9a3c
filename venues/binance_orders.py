"""Binance's words for an order, read exactly, and the look-up of one order by our id.

Problem: an order whose answer was lost has to be found by the id we gave it, whatever became of it, with all
its trades; or it has to be certain that every list was read. Half an answer must not pass for either.

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: nothing here changes anything at the venue; what was not read whole is a `VenueError`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import ccxt

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.port import Absent, Acked, Resting, VenueError
from venues.resting import Row, own

_STATUS: Final = {
    "NEW": "open", "PARTIALLY_FILLED": "open", "PENDING_CANCEL": "open", "FILLED": "closed",
    "CANCELED": "canceled", "EXPIRED": "expired", "EXPIRED_IN_MATCH": "expired", "REJECTED": "rejected",
}  # fmt: skip
_PAGE: Final = 1000
Ask = Callable[[Mapping[str, Any]], Awaitable[Any]]


def order_event(
    iid: bytes, venue_id: str, symbol: str, status: str, qty: str, cost: str, t: int, venue_seq: int = 0
) -> OrderEvent:
    """Return an order's state; quantity and cost as the venue wrote them."""
    cum_qty = exact(qty)
    return OrderEvent(
        iid=iid, venue_id=venue_id, symbol=symbol, status=_STATUS.get(status, status.lower()),
        cum_qty=cum_qty, avg_px=exact(cost) / cum_qty if cum_qty else ZERO, t=t, venue_seq=venue_seq,
    )  # fmt: skip


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its client order id: open, closed, or among the newest of its symbol.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the trades do not yet account for what was executed.
    """
    market = {"symbol": client.market_id(intent.symbol)}
    raw = await _named(client, intent.cid, market) or await _listed(client, intent.cid, market)
    if raw is None:
        return Absent()
    venue_id, t_venue = str(raw["orderId"]), int(raw["time"]) * MS
    fills = await _fills(client, intent, raw, market, venue, account)
    event = order_event(
        intent.iid, venue_id, intent.symbol, raw["status"], raw["executedQty"], raw["cummulativeQuoteQty"],
        int(raw["updateTime"]) * MS,
    )  # fmt: skip
    return Acked(venue_id=venue_id, t_venue=t_venue, event=event, fills=fills)


async def open_orders(client: Any, ask: Ask, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some symbols; the venue lists all of a symbol at once.

    Raises
    ------
    VenueError
        When the venue does not answer.
    """
    found = []
    for symbol in symbols:
        rows = await asked(f"open orders of {symbol}", ask({"symbol": client.market_id(symbol)}))
        found += own(symbol, map(_row, rows), tag)
    return found


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(
        raw["clientOrderId"], raw["orderId"], raw["side"], raw["origQty"], raw["price"], raw["stopPrice"]
    )


async def _named(client: Any, cid: str, market: Mapping[str, str]) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = await client.privateGetOrder({**market, "origClientOrderId": cid})
    except ccxt.OrderNotFound:
        return None
    except ccxt.BaseError as error:
        raise VenueError(f"order {cid}: {type(error).__name__}: {line(error)}") from error
    return found


async def _listed(client: Any, cid: str, market: Mapping[str, str]) -> Mapping[str, Any] | None:
    """A second opinion from other lists: the one by id is complete, but may be served by a slower machine."""
    found = list(await asked("open orders", client.privateGetOpenOrders({**market})))
    found += await asked("orders", client.privateGetAllOrders({**market, "limit": _PAGE}))
    return next((each for each in found if each["clientOrderId"] == cid), None)


async def _fills(
    client: Any, intent: Intent, raw: Mapping[str, Any], market: Mapping[str, str], venue: str, account: str
) -> tuple[Fill, ...]:
    executed = exact(raw["executedQty"])
    if not executed:
        return ()
    trades: list[Mapping[str, Any]] = []
    first = 0
    while True:
        query = {**market, "orderId": raw["orderId"], "fromId": first, "limit": _PAGE}
        page = await asked("own trades", client.privateGetMyTrades(query))
        trades += page
        # a short page is no last one: the venue may give fewer rows than it was asked for
        if not page or sum((exact(each["qty"]) for each in trades), ZERO) >= executed:
            break
        first = int(page[-1]["id"]) + 1
    traded = sum((exact(each["qty"]) for each in trades), ZERO)
    if traded < executed:
        raise VenueError(f"own trades: {executed} of {intent.cid} were executed, its trades sum to {traded}")
    return tuple(
        Fill(
            trade_id=str(each["id"]), venue=venue, account=account, iid=intent.iid,
            venue_id=str(raw["orderId"]), symbol=intent.symbol, side=intent.side, qty=exact(each["qty"]),
            px=exact(each["price"]), fee=exact(each["commission"]), fee_asset=str(each["commissionAsset"]),
            liquidity="maker" if each["isMaker"] else "taker", t=int(each["time"]) * MS,
        )
        for each in trades
    )  # fmt: skip
