"""KuCoin's words for orders, executions and refusals, read exactly, and the look-up of one order by our id.

Problem: one code (400100, "parameter error") stands for a price off the grid, an order that does not exist,
and an id that exists already, and only the text tells which; and ccxt sorts codes into classes by topic.

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: a code that is not known to be a refusal leaves the order in doubt; nothing here changes anything
at the venue; what was not read whole is a `VenueError`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, Resting, VenueError
from venues.resting import Row, own

_CODE: Final = re.compile(r'"code":\s*"?(\d+)')
_PARAMETER: Final = 400100
# The venue turned the request away before it could act, by its table for spot
# (https://www.kucoin.com/docs-new/errors-code). Not among them: what it could not do in time or at all
# (230005, 400400, 408000, 500000), limits (429000), and 200002 and 300000, which mean several things.
_REFUSED: Final = frozenset(
    {
        200001, 200003, 200004, 200009, 400001, 400002, 400003, 400004, 400005, 400006, 400007, _PARAMETER,
        400200, 400303, 400330, 400350, 400370, 400500, 400600, 400700, 400760, 404000, 411100, 415000,
        600100, 600101, 600203, 900001,
    }
)  # fmt: skip
# The venue has, or had, an order of this id: some send arrived.
_DUPLICATES: Final = frozenset({102426, 126033, 126044, 300018})
_DUPLICATED: Final = re.compile(r"clientOid\W?(is )?(duplicate|repeat|already|exist)", re.IGNORECASE)
_PAGE: Final = 100
# More pages than any order of ours fills; a list that never ends is not an answer.
_MOST_PAGES: Final = 200
Raw = Mapping[str, Any]


def verdict(error: Exception) -> Rejected | Ambiguous:
    """Say what a failed request means for its order."""
    said = str(error)
    found = _CODE.search(said)
    code = int(found[1]) if found else 0
    if code in _DUPLICATES or (code == _PARAMETER and _DUPLICATED.search(said)):
        return Ambiguous(cause=f"duplicate: {line(error)}")
    if code == _PARAMETER and isinstance(error, ccxt.OrderNotFound):
        return Rejected(code=NOT_FOUND, detail=line(error))  # of a cancel only
    if code in _REFUSED:
        return Rejected(code=f"venue:{code}", detail=line(error))
    return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def order_event(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return the state of an order of the lists; why one ended that did not fill, they do not say."""
    cum_qty = exact(raw["dealSize"])
    if raw["active"]:
        status = "open"
    else:
        status = "closed" if cum_qty >= exact(raw["size"]) else "canceled"
    return OrderEvent(
        iid=iid, venue_id=str(raw["id"]), symbol=symbol, status=status, cum_qty=cum_qty,
        avg_px=exact(raw["dealFunds"]) / cum_qty if cum_qty else ZERO, t=int(raw["lastUpdatedAt"]) * MS,
    )  # fmt: skip


def told_event(iid: bytes, symbol: str, raw: Raw, trades: Sequence[Raw]) -> OrderEvent:
    """Return the state of an order of the private stream, which says no average price: its trades do."""
    kind, cum_qty = str(raw["type"]), exact(raw.get("filledSize") or "0")
    if kind == "canceled" or (kind == "update" and raw["status"] == "done"):
        status = "canceled"
    else:
        status = {"open": "open", "match": "open", "update": "open", "filled": "closed"}.get(kind, kind)
    paid = sum((exact(each["price"]) * exact(each["size"]) for each in trades), ZERO)
    known = traded(trades)
    return OrderEvent(
        iid=iid, venue_id=str(raw["orderId"]), symbol=symbol, status=status, cum_qty=cum_qty,
        avg_px=paid / known if known and known == cum_qty else ZERO, t=int(raw["ts"]),
    )  # fmt: skip


def fill_of(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return an execution of the list of them."""
    return Fill(
        trade_id=str(raw["tradeId"]), venue=venue, account=account, iid=iid, venue_id=str(raw["orderId"]),
        symbol=symbol, side=str(raw["side"]), qty=exact(raw["size"]), px=exact(raw["price"]),
        fee=exact(raw["fee"]), fee_asset=str(raw["feeCurrency"]), liquidity=str(raw["liquidity"]),
        t=int(raw["createdAt"]) * MS,
    )  # fmt: skip


def traded(rows: Sequence[Raw]) -> Decimal:
    """Return how much some executions sum to."""
    return sum((exact(each["size"]) for each in rows), ZERO)


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its client order id: by id, then among the open and the newest closed of its pair.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the executions do not yet account for what was executed.
    """
    pair = str(client.market_id(intent.symbol))
    raw = await _named(client, intent.cid, pair) or await _listed(client, intent.cid, pair)
    if raw is None:
        return Absent()
    executed = exact(raw["dealSize"])
    rows = await executions(client, pair, str(raw["id"])) if executed else []
    if traded(rows) < executed:
        raise VenueError(
            f"own executions: {executed} of {intent.cid} were executed, they sum to {traded(rows)}"
        )
    fills = (fill_of(intent.iid, intent.symbol, each, venue, account) for each in rows)
    return Acked(
        venue_id=str(raw["id"]), t_venue=int(raw["createdAt"]) * MS,
        event=order_event(intent.iid, intent.symbol, raw), fills=tuple(fills),
    )  # fmt: skip


async def open_orders(client: Any, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some pairs; the venue lists all of a pair at once.

    Raises
    ------
    VenueError
        When the venue does not answer.
    """
    found = []
    for symbol in symbols:
        query = {"symbol": str(client.market_id(symbol))}
        answer = await asked("open orders", client.privateGetHfOrdersActive(query))
        found += own(symbol, map(_row, answer["data"] or ()), tag)
    return found


def _row(raw: Raw) -> Row:
    return Row(raw["clientOid"], raw["id"], raw["side"], raw["size"], raw["price"])


async def _named(client: Any, cid: str, pair: str) -> Raw | None:
    try:
        answer = await client.privateGetHfOrdersClientOrderClientOid({"clientOid": cid, "symbol": pair})
    except ccxt.OrderNotFound:
        return None
    except ccxt.BaseError as error:
        raise VenueError(f"order {cid}: {type(error).__name__}: {line(error)}") from error
    return _of([answer["data"]] if answer["data"] else [], cid)


async def _listed(client: Any, cid: str, pair: str) -> Raw | None:
    """A second opinion: lists by pair may be served by another machine than the one by id."""
    found = await asked("open orders", client.privateGetHfOrdersActive({"symbol": pair}))
    newest = await asked("orders", client.privateGetHfOrdersDone({"symbol": pair, "limit": _PAGE}))
    return _of([*(found["data"] or []), *newest["data"]["items"]], cid)


def _of(rows: Sequence[Raw], cid: str) -> Raw | None:
    return next((each for each in rows if each["clientOid"] == cid), None)


async def executions(client: Any, pair: str, order_id: str) -> list[Raw]:
    """Return all executions of an order, oldest first; `pair` is the venue's id.

    Only an empty page is the end of the list, a short one need not be.

    Raises
    ------
    VenueError
        When the list could not be read whole.
    """
    rows: list[Raw] = []
    last: dict[str, object] = {}
    for _ in range(_MOST_PAGES):
        query = {"symbol": pair, "orderId": order_id, "limit": _PAGE, **last}
        page = (await asked("own executions", client.privateGetHfFills(query)))["data"]
        if not page["items"]:
            return sorted(rows, key=lambda each: int(each["id"]))
        rows += page["items"]
        last = {"lastId": page["lastId"]}
    raise VenueError(f"own executions: more than {_MOST_PAGES} pages")
