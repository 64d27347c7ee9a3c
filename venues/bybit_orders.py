"""Bybit's words for orders, executions and refusals, read exactly, and the look-up of one order by our id.

Problem: ccxt sorts Bybit's return codes into classes by topic, so "order creation timeout" is an
`InvalidOrder` like "price too high", and only one of the two says that no order exists. And Bybit keeps an
order in two lists that are told apart by its state; half an answer must not pass for either.

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: a code that is not known to be a refusal leaves the order in doubt; nothing here changes anything
at the venue; what was not read whole is a `VenueError`.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, Resting, VenueError
from venues.resting import Row, own

_CODE: Final = re.compile(r'"ret_?[cC]ode":\s*"?(-?\d+)')
# The venue turned the request away before it could act. Not among them: timeouts inside the venue (10000,
# 10016, 170007, 170146, 170147), limits (10006, 10018), and what the table calls "failed" (170149, 170150).
_REFUSED: Final = frozenset(
    {
        10001, 10002, 10003, 10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 10029, 181001,
        110003, 110004, 110007, 110008, 110009, 110010, 110012, 110020, 110045,
        170105, 170115, 170116, 170117, 170121, 170124, 170130, 170131, 170132, 170133, 170134, 170135,
        170136, 170137, 170139, 170140, 170142, 170145, 170148, 170151, 170157, 170159, 170190, 170192,
        170193, 170194, 170201, 170202, 170203, 170217, 170218, 170221, 170224, 170227, 170241,
        170371, 170372,
    }
)  # fmt: skip
# The venue has, or had, an order of this id: some send arrived.
_DUPLICATES: Final = frozenset({10014, 110072, 170141})
# Of a cancel only: there is no such order, or it is not open any more.
_NOT_OPEN: Final = frozenset({110001, 170213})
_STATUS: Final = {
    "New": "open", "PartiallyFilled": "open", "Untriggered": "open", "Triggered": "open",
    "PendingCancel": "open", "Created": "open", "Filled": "closed", "Cancelled": "canceled",
    "PartiallyFilledCanceled": "canceled", "Deactivated": "canceled", "Rejected": "rejected",
}  # fmt: skip
# Ended by its own terms and not by a cancel.
_EXPIRED: Final = frozenset({"EC_NoImmediateQtyToFill", "EC_PostOnlyWillTakeLiquidity"})
_ORDERS_PAGE: Final = 50
_FILLS_PAGE: Final = 100
# More pages than any account of ours fills; a cursor that never ends is not an answer.
_MOST_PAGES: Final = 200
STOPS: Final = {"orderFilter": "tpslOrder"}
"""What says that a request is of orders that wait for a price and tie up what they sell."""
Raw = Mapping[str, Any]


def verdict(error: Exception) -> Rejected | Ambiguous:
    """Say what a failed request means for its order."""
    found = _CODE.search(str(error))
    code = int(found[1]) if found else 0
    if code in _DUPLICATES:
        return Ambiguous(cause=f"duplicate: {line(error)}")
    if code in _NOT_OPEN:
        return Rejected(code=NOT_FOUND, detail=line(error))
    if code in _REFUSED:
        return Rejected(code=f"venue:{code}", detail=line(error))
    return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def order_event(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return an order's state."""
    cum_qty = exact(raw["cumExecQty"] or "0")
    status = _STATUS.get(raw["orderStatus"], str(raw["orderStatus"]).lower())
    if status == "canceled" and raw.get("rejectReason") in _EXPIRED:
        status = "expired"
    return OrderEvent(
        iid=iid, venue_id=str(raw["orderId"]), symbol=symbol, status=status, cum_qty=cum_qty,
        avg_px=exact(raw["cumExecValue"]) / cum_qty if cum_qty else ZERO, t=int(raw["updatedTime"]) * MS,
    )  # fmt: skip


def fill_of(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return one execution; a fee whose coin is not named is charged on what was received."""
    base, quote = symbol.split("/")
    side = str(raw["side"]).lower()
    fee_asset = raw.get("feeCurrency") or (base if side == "buy" else quote)
    return Fill(
        trade_id=str(raw["execId"]), venue=venue, account=account, iid=iid, venue_id=str(raw["orderId"]),
        symbol=symbol, side=side, qty=exact(raw["execQty"]), px=exact(raw["execPrice"]),
        fee=exact(raw["execFee"]), fee_asset=str(fee_asset),
        liquidity="maker" if raw["isMaker"] else "taker", t=int(raw["execTime"]) * MS,
    )  # fmt: skip


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its client order id: by id in both lists, then among the open ones of its symbol.

    A stop is in the same lists before and after it was set off.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the executions do not yet account for what was executed.
    """
    market = {"category": "spot", "symbol": client.market_id(intent.symbol)}
    named = {"category": "spot", "orderLinkId": intent.cid}
    orders = await _pages("order", client.privateGetV5OrderRealtime, named, _ORDERS_PAGE)
    orders += await _pages("closed order", client.privateGetV5OrderHistory, named, _ORDERS_PAGE)
    if not orders:
        # A second opinion: the list by symbol may be served by another machine than the one by id.
        orders = await _pages("open orders", client.privateGetV5OrderRealtime, market, _ORDERS_PAGE)
        if intent.trigger is not None:
            # documented is that these are among the others; for an absence it is asked for by name as well
            stops, ended = {**market, **STOPS}, {**named, **STOPS}
            orders += await _pages("stops", client.privateGetV5OrderRealtime, stops, _ORDERS_PAGE)
            orders += await _pages("ended stops", client.privateGetV5OrderHistory, ended, _ORDERS_PAGE)
    raw = next((each for each in orders if each["orderLinkId"] == intent.cid), None)
    if raw is None:
        return Absent()
    fills = await _fills(client, intent, raw, venue, account)
    return Acked(
        venue_id=str(raw["orderId"]), t_venue=int(raw["createdTime"]) * MS,
        event=order_event(intent.iid, intent.symbol, raw), fills=fills,
    )  # fmt: skip


async def open_orders(client: Any, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some symbols; `VenueError` when a list could not be read whole."""
    found = []
    for symbol in symbols:
        query = {"category": "spot", "symbol": client.market_id(symbol)}
        ask = client.privateGetV5OrderRealtime
        found += own(symbol, map(_row, await _pages("open orders", ask, query, _ORDERS_PAGE)), tag)
    return found


def _row(raw: Raw) -> Row:
    return Row(raw["orderLinkId"], raw["orderId"], raw["side"], raw["qty"], raw["price"], raw["triggerPrice"])


async def _fills(client: Any, intent: Intent, raw: Raw, venue: str, account: str) -> tuple[Fill, ...]:
    executed = exact(raw["cumExecQty"] or "0")
    if not executed:
        return ()
    query = {"category": "spot", "orderId": raw["orderId"]}
    rows = await _pages("own executions", client.privateGetV5ExecutionList, query, _FILLS_PAGE)
    traded = [each for each in rows if each["execType"] == "Trade"]
    total = sum((exact(each["execQty"]) for each in traded), ZERO)
    if total < executed:
        raise VenueError(f"own executions: {executed} of {intent.cid} were executed, they sum to {total}")
    oldest_first = sorted(traded, key=lambda each: int(each["execTime"]))
    return tuple(fill_of(intent.iid, intent.symbol, each, venue, account) for each in oldest_first)


async def _pages(
    what: str, ask: Callable[[Mapping[str, Any]], Awaitable[Any]], query: Mapping[str, Any], limit: int
) -> list[Raw]:
    """Read a list whole, page by page."""
    rows: list[Raw] = []
    cursor = ""
    for _ in range(_MOST_PAGES):
        more = {"cursor": cursor} if cursor else {}
        answer = await asked(what, ask({**query, **more, "limit": limit}))
        page = answer["result"]["list"]
        rows += page
        cursor = answer["result"].get("nextPageCursor") or ""
        if not page or not cursor:
            return rows
    raise VenueError(f"{what}: more than {_MOST_PAGES} pages")
