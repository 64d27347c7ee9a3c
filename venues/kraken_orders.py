"""Kraken's words for orders, executions and refusals, read exactly, and the look-up of one order by our id.

Problem: Kraken says what is wrong in words (`EOrder:Insufficient funds`), and some of them do not say whether
an order exists. And its query by id takes the venue's own id only; by ours it can be asked for open orders
and for closed ones (https://docs.kraken.com/api/docs/rest-api/get-open-orders, `get-closed-orders`).

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: words that are not known to be a refusal leave the order in doubt; nothing here changes anything
at the venue; what was not read whole is a `VenueError`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt
import msgspec

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.kraken_ids import cid_of, same
from venues.kraken_turns import Turns
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, Resting, VenueError
from venues.resting import Row, own

_ERRORS: Final = re.compile(r'"error":\s*(\[[^\]]*\])')
# The venue turned the request away before it could act (https://docs.kraken.com/api/docs/guides/spot-errors).
# Not among them: what timed out (`EService:Deadline elapsed`), what it could not do, and limits.
_REFUSED: Final = (
    "EGeneral:Invalid arguments", "EGeneral:Permission denied", "EGeneral:Unknown method",
    "EAPI:Invalid key", "EAPI:Invalid signature", "EAPI:Invalid nonce", "EAPI:Bad request",
    "EAccount:Invalid permissions", "EAuth:Account temporary disabled", "EAuth:Account unconfirmed",
    "EQuery:Unknown asset pair", "EQuery:Invalid asset pair",
    "EService:Market in cancel_only mode", "EService:Market in post_only mode",
    "EService:Market in limit_only mode",
    "EOrder:Insufficient funds", "EOrder:Order minimum not met", "EOrder:Cost minimum not met",
    "EOrder:Tick size check failed", "EOrder:Invalid price", "EOrder:Invalid order",
    "EOrder:Orders limit exceeded", "EOrder:Cannot open position", "EOrder:Cannot open opposing position",
    "EOrder:Insufficient margin", "EOrder:Margin allowance exceeded", "EOrder:Margin level too low",
)  # fmt: skip
# Of a cancel only: there is no such order, or it is not open any more.
_NOT_OPEN: Final = "EOrder:Unknown order"
# How it words a second open order of one id is not documented; whatever names the id is taken for that.
_ABOUT_ID: Final = re.compile(r"cl_ord_id|client order id|duplicate", re.IGNORECASE)
_STATUS: Final = {
    "pending": "open", "pending_new": "open", "open": "open", "new": "open", "partially_filled": "open",
    "closed": "closed", "filled": "closed", "canceled": "canceled", "expired": "expired",
}  # fmt: skip
_BY_US: Final = "User requested"
_NS: Final = 1_000_000_000
_MOST_IN_QUERY: Final = 20
Raw = Mapping[str, Any]


def verdict(error: Exception) -> Rejected | Ambiguous:
    """Say what a failed request means for its order."""
    said = _said(error)
    if any(_ABOUT_ID.search(each) for each in said):
        return Ambiguous(cause=f"duplicate: {line(error)}")
    if said and all(_is(each, _NOT_OPEN) for each in said):
        return Rejected(code=NOT_FOUND, detail=line(error))
    if said and all(any(_is(each, known) for known in _REFUSED) for each in said):
        return Rejected(code=f"venue:{said[0]}", detail=line(error))
    return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def _said(error: Exception) -> list[str]:
    found = _ERRORS.search(str(error))
    if found is None:
        return []
    try:
        return msgspec.json.decode(found[1], type=list[str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


def _is(said: str, known: str) -> bool:
    return said == known or said.startswith((f"{known}:", f"{known} ("))


def moment(text: str) -> int:
    """Return the time that RFC 3339 says, ns, cut to ms."""
    found = ccxt.Exchange.parse8601(text)
    if found is None:
        raise ValueError(f"expected a time as RFC 3339, was {text!r}")
    return int(found) * MS


def seconds(text: object) -> int:
    """Return a time that is told in seconds with decimals, ns."""
    return int(Decimal(str(text)) * _NS)


def _status(said: str, reason: object) -> str:
    status = _STATUS.get(said, said.lower())
    # what ended by its own terms is "canceled" there as well, with another reason than a cancel's
    return "expired" if status == "canceled" and reason and reason != _BY_US else status


def told_event(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return the state of an order that the private stream told."""
    cum_qty = exact(raw.get("cum_qty") or 0)
    return OrderEvent(
        iid=iid, venue_id=str(raw["order_id"]), symbol=symbol,
        status=_status(str(raw["order_status"]), raw.get("reason") or raw.get("cancel_reason")),
        cum_qty=cum_qty, avg_px=exact(raw["avg_price"]) if cum_qty else ZERO, t=moment(raw["timestamp"]),
    )  # fmt: skip


def told_fill(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return an execution that the private stream told."""
    fees: Sequence[Raw] = raw.get("fees") or ()
    if len(fees) != 1:
        raise ValueError(f"fees: expected one, were {fees!r}")
    return Fill(
        trade_id=str(raw["trade_id"]), venue=venue, account=account, iid=iid, venue_id=str(raw["order_id"]),
        symbol=symbol, side=str(raw["side"]), qty=exact(raw["last_qty"]), px=exact(raw["last_price"]),
        fee=exact(fees[0]["qty"]), fee_asset=_asset(symbol, str(fees[0]["asset"])),
        liquidity="maker" if raw["liquidity_ind"] == "m" else "taker", t=moment(raw["timestamp"]),
    )  # fmt: skip


def _asset(symbol: str, said: str) -> str:
    """Our name of the asset that a fee was paid in: one of the pair's, or as it was said."""
    base, quote = symbol.split("/")
    bare = {"XBT": "BTC", "XXBT": "BTC", "XDG": "DOGE", "XXDG": "DOGE"}.get(said, said)
    return next((each for each in (base, quote) if bare in (each, f"X{each}", f"Z{each}")), said)


async def look_up(
    client: Any, turns: Turns, intent: Intent, client_id: str, *, venue: str, account: str
) -> Acked | Absent:
    """Find an order by its client order id: among the open ones, then among the closed ones.

    In that order, so that one which ends in between is in the second list.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the executions do not yet account for what was executed.
    """
    query = {"trades": "true", "cl_ord_id": client_id}
    found = await _listed("open orders", turns, client.privatePostOpenOrders, query, "open", client_id)
    if found is None:
        # executions one by one, as the stream tells them, not those of one taker as one
        whole = query | {"consolidate_taker": "false"}
        found = await _listed(
            "closed orders", turns, client.privatePostClosedOrders, whole, "closed", client_id
        )
    if found is None:
        return Absent()
    number, raw = found
    executed = exact(raw["vol_exec"])
    names = list(raw.get("trades") or ()) if executed else []
    fills = await _fills(client, turns, intent, names, venue, account)
    traded = sum((each.qty for each in fills), ZERO)
    if traded != executed:
        raise VenueError(f"own executions: {executed} of {intent.cid} were executed, they sum to {traded}")
    event = OrderEvent(
        iid=intent.iid, venue_id=number, symbol=intent.symbol,
        status=_status(str(raw["status"]), raw.get("reason")), cum_qty=executed,
        avg_px=exact(raw["price"]) if executed else ZERO, t=seconds(raw.get("closetm") or raw["opentm"]),
    )  # fmt: skip
    return Acked(venue_id=number, t_venue=seconds(raw["opentm"]), event=event, fills=fills)


async def open_orders(client: Any, turns: Turns, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some pairs; the venue lists all of an account at once.

    Raises
    ------
    VenueError
        When the venue does not answer.
    """
    async with turns.turn():
        answer = await asked("open orders", client.privatePostOpenOrders({}))
    rows: Mapping[str, Raw] = answer["result"]["open"]
    found = []
    for symbol in symbols:
        market = client.market(symbol)
        names = (market["id"], market["altname"])
        listed = [_row(number, raw) for number, raw in rows.items() if raw["descr"]["pair"] in names]
        found += own(symbol, listed, tag, cid_of)
    return found


def _row(number: str, raw: Raw) -> Row:
    terms = raw["descr"]
    return Row(raw.get("cl_ord_id"), number, terms["type"], raw["vol"], terms["price"])


async def _listed(
    what: str, turns: Turns, ask: Any, query: Raw, key: str, client_id: str
) -> tuple[str, Raw] | None:
    async with turns.turn():
        answer = await asked(what, ask(query))
    rows: Mapping[str, Raw] = answer["result"][key]
    for raw in rows.values():
        if same(str(raw["cl_ord_id"])) != same(client_id):
            raise VenueError(f"{what}: expected only those of {client_id}, one is of {raw['cl_ord_id']!r}")
    return max(rows.items(), key=lambda each: seconds(each[1]["opentm"]), default=None)


async def _fills(
    client: Any, turns: Turns, intent: Intent, names: Sequence[str], venue: str, account: str
) -> tuple[Fill, ...]:
    rows: dict[str, Raw] = {}
    for at in range(0, len(names), _MOST_IN_QUERY):
        query = {"txid": ",".join(names[at : at + _MOST_IN_QUERY])}
        async with turns.turn():
            answer = await asked("own executions", client.privatePostQueryTrades(query))
        rows |= answer["result"]
    oldest_first = sorted(rows.items(), key=lambda each: (seconds(each[1]["time"]), int(each[1]["trade_id"])))
    return tuple(_listed_fill(intent, raw, venue, account) for _, raw in oldest_first)


def _listed_fill(intent: Intent, raw: Raw, venue: str, account: str) -> Fill:
    return Fill(
        trade_id=str(raw["trade_id"]), venue=venue, account=account, iid=intent.iid,
        venue_id=str(raw["ordertxid"]), symbol=intent.symbol, side=str(raw["type"]), qty=exact(raw["vol"]),
        px=exact(raw["price"]), fee=exact(raw["fee"]),
        fee_asset=intent.symbol.split("/")[1],  # each order asks for its fee in the quote asset
        liquidity="maker" if raw["maker"] else "taker", t=seconds(raw["time"]),
    )  # fmt: skip
