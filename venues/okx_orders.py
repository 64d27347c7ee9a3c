"""OKX's words for orders, executions and refusals, read exactly, and the look-up of one order by our id.

Problem: ccxt sorts OKX's codes into classes by topic, so "order timed out" and "price too high" may look
alike, and only one of the two says that no order exists. And what became of an order is in lists that reach
back differently far: a cancelled one without a fill is gone after two hours, executions after three days.

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: a code that is not known to be a refusal leaves the order in doubt; nothing here changes anything
at the venue; what was not read whole is a `VenueError`.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import ccxt

from parley.execution.protective import REACHED
from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, Resting, VenueError
from venues.resting import Row, own

# Of a refused order the row's own code counts; "code" is then 1 for "all failed".
_ROW_CODE: Final = re.compile(r'"sCode":\s*"?(\d+)')
_CODE: Final = re.compile(r'"code":\s*"?(\d+)')
# The venue turned the request away before it could act. Not among them: what the venue itself could not do in
# time or at all (50001, 50004, 50005, 50013, 50026, 51054, 51149) and limits (50011, 50040, 50061).
_REFUSED: Final = frozenset(
    {
        50000, 50002, 50006, 50007, 50008, 50009, 50010, 50012, 50014, 50015, 50016, 50027, 50030, 50035,
        50100, 50101, 50102, 50103, 50104, 50105, 50106, 50107, 50110, 50111, 50112, 50113, 50114, 50115,
        50119, 50120,
        51000, 51001, 51003, 51004, 51005, 51006, 51007, 51008, 51009, 51010, 51012, 51015, 51020, 51021,
        51022, 51024, 51025, 51027, 51028, 51087, 51116, 51118, 51119, 51120, 51121, 51122, 51127, 51131,
        51136, 51137, 51138, 51155, 51403, 51407, 51408,
    }
)  # fmt: skip
# The venue has an order of this id: some send arrived.
_DUPLICATES: Final = frozenset({51011, 51016, 51065, 51068})
# A stop whose trigger the market is beyond: one that buys, and one that sells.
_BEYOND: Final = frozenset({51278, 51280})
# Of a cancel only: there is no such order, or it is not open any more.
_NOT_OPEN: Final = frozenset({51400, 51401, 51402, 51603})
_STATUS: Final = {
    "live": "open", "partially_filled": "open", "filled": "closed", "canceled": "canceled",
    "mmp_canceled": "canceled",
}  # fmt: skip
# cancelSource of what ended by its own terms and not by a cancel: FOK, IOC, a maker order that would trade.
_EXPIRED: Final = frozenset({"13", "14", "31"})
_PAGE: Final = 100
# More pages than any account of ours fills; a list that never ends is not an answer.
_MOST_PAGES: Final = 200
Raw = Mapping[str, Any]


def verdict(error: Exception) -> Rejected | Ambiguous:
    """Say what a failed request means for its order."""
    said = str(error)
    found = _ROW_CODE.search(said) or _CODE.search(said)
    code = int(found[1]) if found else 0
    if code in _DUPLICATES:
        return Ambiguous(cause=f"duplicate: {line(error)}")
    if code in _NOT_OPEN:
        return Rejected(code=NOT_FOUND, detail=line(error))
    if code in _BEYOND:
        return Rejected(code=REACHED, detail=line(error))
    if code in _REFUSED:
        return Rejected(code=f"venue:{code}", detail=line(error))
    return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def order_event(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return an order's state."""
    cum_qty = exact(raw["accFillSz"] or "0")
    status = _STATUS.get(raw["state"], str(raw["state"]).lower())
    if status == "canceled" and raw.get("cancelSource") in _EXPIRED:
        status = "expired"
    return OrderEvent(
        iid=iid, venue_id=str(raw["ordId"]), symbol=symbol, status=status, cum_qty=cum_qty,
        avg_px=exact(raw["avgPx"]) if cum_qty else ZERO, t=int(raw["uTime"]) * MS,
    )  # fmt: skip


def told_fill(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return the execution that an order of the private stream came with."""
    return _fill(iid, symbol, raw, (raw["fillFee"], raw["fillFeeCcy"]), venue, account)


def listed_fill(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return an execution of the list of them."""
    return _fill(iid, symbol, raw, (raw["fee"], raw["feeCcy"]), venue, account)


def _fill(iid: bytes, symbol: str, raw: Raw, fee: tuple[str, str], venue: str, account: str) -> Fill:
    base, quote = symbol.split("/")
    side = str(raw["side"])
    received, asset = fee  # what was received, so a fee that was paid is negative
    return Fill(
        trade_id=str(raw["tradeId"]), venue=venue, account=account, iid=iid, venue_id=str(raw["ordId"]),
        symbol=symbol, side=side, qty=exact(raw["fillSz"]), px=exact(raw["fillPx"]),
        fee=ZERO - exact(received), fee_asset=str(asset or (base if side == "buy" else quote)),
        liquidity="maker" if raw["execType"] == "M" else "taker", t=int(raw["fillTime"]) * MS,
    )  # fmt: skip


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its client order id: by id, then among the open and the newest closed of its pair.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the executions do not yet account for what was executed.
    """
    market = {"instId": client.market_id(intent.symbol)}
    raw = await _named(client, intent.cid, market) or await _listed(client, intent.cid, market)
    if raw is None:
        return Absent()
    fills = await fills_of(client, intent, raw, market, venue, account)
    return Acked(
        venue_id=str(raw["ordId"]), t_venue=int(raw["cTime"]) * MS,
        event=order_event(intent.iid, intent.symbol, raw), fills=fills,
    )  # fmt: skip


async def open_orders(client: Any, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some symbols; `VenueError` when a list could not be read whole."""
    found = []
    for symbol in symbols:
        query = {"instType": "SPOT", "instId": client.market_id(symbol)}
        rows = await pages("open orders", client.privateGetTradeOrdersPending, query, "ordId")
        found += own(symbol, map(_row, rows), tag)
    return found


def _row(raw: Raw) -> Row:
    return Row(raw["clOrdId"] or raw.get("algoClOrdId"), raw["ordId"], raw["side"], raw["sz"], raw["px"])


async def _named(client: Any, cid: str, market: Raw) -> Raw | None:
    try:
        answer = await client.privateGetTradeOrder({**market, "clOrdId": cid})
    except ccxt.OrderNotFound:
        return None
    except ccxt.BaseError as error:
        raise VenueError(f"order {cid}: {type(error).__name__}: {line(error)}") from error
    return _of(answer["data"], cid)


async def _listed(client: Any, cid: str, market: Raw) -> Raw | None:
    """A second opinion: lists by pair may be served by another machine than the one by id."""
    of_pair = {"instType": "SPOT", **market}
    found = await pages("open orders", client.privateGetTradeOrdersPending, of_pair, "ordId")
    newest = await asked("orders", client.privateGetTradeOrdersHistory({**of_pair, "limit": _PAGE}))
    return _of([*found, *newest["data"]], cid)


def _of(rows: list[Raw], cid: str) -> Raw | None:
    return next((each for each in rows if each["clOrdId"] == cid), None)


async def fills_of(
    client: Any, intent: Intent, raw: Raw, market: Raw, venue: str, account: str
) -> tuple[Fill, ...]:
    """Return all that an order traded; `VenueError` when that does not yet account for what was executed."""
    executed = exact(raw["accFillSz"] or "0")
    if not executed:
        return ()
    query = {"instType": "SPOT", **market, "ordId": raw["ordId"]}
    rows = await pages("own executions", client.privateGetTradeFills, query, "billId")
    if _sum(rows) < executed:  # the list of three days; the longer one may lag
        rows = await pages("older executions", client.privateGetTradeFillsHistory, query, "billId")
    if _sum(rows) < executed:
        raise VenueError(
            f"own executions: {executed} of {intent.cid} were executed, they sum to {_sum(rows)}"
        )
    oldest_first = sorted(rows, key=lambda each: int(each["billId"]))
    return tuple(listed_fill(intent.iid, intent.symbol, each, venue, account) for each in oldest_first)


def _sum(rows: list[Raw]) -> Any:
    return sum((exact(each["fillSz"]) for each in rows), ZERO)


async def pages(what: str, ask: Callable[[Raw], Awaitable[Any]], query: Raw, number: str) -> list[Raw]:
    """Read a list whole, page by page; only an empty page is its end, a short one need not be."""
    rows: list[Raw] = []
    for _ in range(_MOST_PAGES):
        after = {"after": rows[-1][number]} if rows else {}
        page = (await asked(what, ask({**query, **after, "limit": _PAGE})))["data"]
        if not page:
            return rows
        rows += page
    raise VenueError(f"{what}: more than {_MOST_PAGES} pages")
