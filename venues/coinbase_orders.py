"""Coinbase's words for orders, executions and refusals, read exactly, and the look-up of one order by our id.

Problem: the venue answers a refused order with HTTP 200 and up to four reasons at once, of which some say
that it does not know any. ccxt turns most of them into one class, which says nothing of whether an order
exists.

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: an order is refused only if every reason that is given is known as a refusal; nothing here changes
anything at the venue; what was not read whole is a `VenueError`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import ccxt

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import exact, line
from venues.coinbase_lists import executions_of, open_orders_of, order_of_client, sum_of
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, Resting, VenueError
from venues.resting import Row, own

_REASON: Final = re.compile(
    r'"(?:error|failure_reason|new_order_failure_reason|preview_failure_reason)":\s*"([A-Z0-9_]+)"'
)
_CANCEL: Final = re.compile(r'"cancel_failure_reason":\s*"([A-Z0-9_]+)"')
# https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/orders/create-order: the reasons
# that a spot order can be turned away for before it exists. Not among them: what the venue could not do, or
# says of orders that it has (COMMANDER_REJECTED_NEW_ORDER, RISK_PROXY_FAILURE, ORDER_IS_PENDING_CANCEL).
_REFUSED: Final = frozenset(
    {
        "UNSUPPORTED_ORDER_CONFIGURATION", "INVALID_SIDE", "INVALID_PRODUCT_ID", "INVALID_SIZE_PRECISION",
        "INVALID_PRICE_PRECISION", "INSUFFICIENT_FUND", "INSUFFICIENT_FUNDS", "INVALID_LEDGER_BALANCE",
        "INSUFFICIENT_LEDGER_BALANCE", "ORDER_ENTRY_DISABLED", "INELIGIBLE_PAIR", "INVALID_LIMIT_PRICE",
        "INVALID_LIMIT_PRICE_POST_ONLY", "INVALID_LIMIT_PRICE_PRECISION", "INVALID_NO_LIQUIDITY",
        "INVALID_ORDER_CONFIG", "INVALID_BASE_SIZE_TOO_LARGE", "INVALID_BASE_SIZE_TOO_SMALL",
        "INVALID_QUOTE_SIZE_PRECISION", "INVALID_QUOTE_SIZE_TOO_LARGE", "INVALID_QUOTE_SIZE_TOO_SMALL",
        "INVALID_PRICE_TOO_LARGE", "NON_NUMERIC_ORDER_SIZE", "UNTRADABLE_PRODUCT", "TRADING_DISABLED",
        "PRODUCT_TRADING_HALTED", "NOT_ALLOWED_BY_MARKET_STATE", "GEOFENCING_RESTRICTION", "FOK_DISABLED",
        "LIMIT_PRICE_TOO_FAR_FROM_MARKET", "LIMIT_ORDER_PRICE_EXCEEDS_PRICE_BAND_ON_BUY",
        "LIMIT_ORDER_PRICE_EXCEEDS_PRICE_BAND_ON_SELL", "POST_ONLY_NOT_ALLOWED_WITH_FOK",
    }
)  # fmt: skip
_SAYS_NOTHING: Final = frozenset({"UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON"})
_DUPLICATE: Final = "DUPLICATE_CLIENT_ORDER_ID"
# Of a cancel: there is no such order, or it is not open any more.
_NOT_OPEN: Final = frozenset({"UNKNOWN_CANCEL_ORDER", "ORDER_IS_FULLY_FILLED"})
_STATUS: Final = {
    "PENDING": "open", "QUEUED": "open", "OPEN": "open", "CANCEL_QUEUED": "open", "EDIT_QUEUED": "open",
    "FILLED": "closed", "CANCELLED": "canceled", "EXPIRED": "expired", "FAILED": "rejected",
}  # fmt: skip
_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_UNAUTHORIZED: Final = re.compile(r" 401 ")
Raw = Mapping[str, Any]


def verdict(error: Exception) -> Rejected | Ambiguous:
    """Say what a failed request means for its order."""
    said = str(error)
    if isinstance(error, ccxt.OrderNotFound):  # our own: no order of that id, so no request
        return Rejected(code=NOT_FOUND, detail=line(error))
    if found := _CANCEL.search(said):
        if found[1] in _NOT_OPEN:
            return Rejected(code=NOT_FOUND, detail=line(error))
        return Ambiguous(cause=f"{found[1]}: {line(error)}")
    reasons = {each.removeprefix("PREVIEW_") for each in _REASON.findall(said) if each not in _SAYS_NOTHING}
    if _DUPLICATE in reasons:
        return Ambiguous(cause=f"duplicate: {line(error)}")
    if '"error_response"' in said and reasons and reasons <= _REFUSED:
        return Rejected(code=f"venue:{min(reasons).lower()}", detail=line(error))
    if isinstance(error, ccxt.AuthenticationError) and _UNAUTHORIZED.search(said):
        # whoever checks the token stands before whatever could act; an expired one is the fence
        return Rejected(code="venue:401", detail=line(error))
    return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def nanos(text: str) -> int:
    """Return a time of the venue in ns; raises `ValueError`."""
    found = _STAMP.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a time as 2006-01-02T15:04:05.000000000Z, was {text!r}")
    seconds = int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def order_event(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return the state of an order that was asked for."""
    return _event(iid, symbol, raw, raw["filled_size"], raw["average_filled_price"], raw["created_time"])


def told_event(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return the state of an order of the private stream."""
    return _event(iid, symbol, raw, raw["cumulative_quantity"], raw["avg_price"], raw["creation_time"])


def _event(iid: bytes, symbol: str, raw: Raw, filled: str, average: str, created: str) -> OrderEvent:
    cum_qty = exact(filled or "0")
    status = str(raw["status"])
    # when it was cancelled is said nowhere
    return OrderEvent(
        iid=iid, venue_id=str(raw["order_id"]), symbol=symbol, status=_STATUS.get(status, status.lower()),
        cum_qty=cum_qty, avg_px=exact(average) if cum_qty else ZERO,
        t=nanos(raw.get("last_fill_time") or created),
    )  # fmt: skip


def fill(iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return an execution of the list of them; its fee is in what prices are in, on both sides."""
    return Fill(
        trade_id=str(raw["trade_id"]), venue=venue, account=account, iid=iid,
        venue_id=str(raw["order_id"]), symbol=symbol, side=str(raw["side"]).lower(), qty=exact(raw["size"]),
        px=exact(raw["price"]), fee=exact(raw["commission"]), fee_asset=symbol.split("/")[1],
        liquidity="maker" if raw["liquidity_indicator"] == "MAKER" else "taker", t=nanos(raw["trade_time"]),
    )  # fmt: skip


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its client order id, with all its executions.

    Raises
    ------
    VenueError
        When a list could not be read whole, or the executions do not yet account for what was executed.
    """
    raw = await order_of_client(client, intent.cid, client.market_id(intent.symbol))
    if raw is None:
        return Absent()
    return await answered(client, intent.iid, intent.symbol, raw, venue=venue, account=account)


async def open_orders(client: Any, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some pairs; `VenueError` when a list could not be read whole."""
    found = []
    for symbol in symbols:
        rows = await open_orders_of(client, str(client.market_id(symbol)))
        found += own(symbol, map(_row, rows), tag)
    return found


def _row(raw: Raw) -> Row:
    (terms,) = raw["order_configuration"].values()
    qty, px = (terms.get(name, "?") for name in ("base_size", "limit_price"))
    return Row(raw["client_order_id"], raw["order_id"], raw["side"], qty, px, terms.get("stop_price", ""))


async def answered(client: Any, iid: bytes, symbol: str, raw: Raw, *, venue: str, account: str) -> Acked:
    """Return an order that was asked for, with all its executions; raises as `look_up`."""
    executed = exact(raw["filled_size"] or "0")
    rows = await executions_of(client, str(raw["order_id"])) if executed else []
    if (listed := sum_of(rows)) < executed:
        raise VenueError(
            f"executions: {executed} of order {raw['order_id']} were executed, they sum to {listed}"
        )
    fills = tuple(fill(iid, symbol, row, venue, account) for row in rows)
    return Acked(
        venue_id=str(raw["order_id"]), t_venue=nanos(raw["created_time"]),
        event=order_event(iid, symbol, raw) if listed == executed else None, fills=fills,
    )  # fmt: skip
