"""Hyperliquid's words for orders, executions and refusals, read exactly, and the look-up of one by cloid.

Problem: it has no codes, only sentences, and the same HTTP 200 for yes and no. A sentence counts as a
refusal only when its documentation lists it (…/for-developers/api/error-responses); everything else leaves
the order in doubt, also that an action came too late or its nonce was used, whose words are documented
nowhere.

Not here: when to look up, and what an absence means (`runtime.resolution`).

Invariant: nothing here changes anything at the venue; what was not read whole is a `VenueError`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import ZERO
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.hyperliquid_cloids import cid_of, wire_id
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, Rejected, Resting, VenueError
from venues.resting import Row, own

# Sentences and the name the venue gives such an order's state.
_REFUSED: Final = (
    ("price must be divisible by tick size", "tickRejected"),
    ("order must have minimum value of", "minTradeNtlRejected"),
    ("post only order would have immediately matched", "badAloPxRejected"),
    ("order could not immediately match against any resting orders", "iocCancelRejected"),
    ("no liquidity available for market order", "marketOrderNoLiquidityRejected"),
    ("insufficient spot balance", "insufficientSpotBalanceRejected"),
    ("insufficient margin to place order", "perpMarginRejected"),
    ("order price too far from oracle", "oracleRejected"),
    ("must deposit before performing actions", "mustDeposit"),
)
# …/for-developers/api/signing: who signed is nobody the venue knows, so nobody's order can have come to be
_UNKNOWN_SIGNER: Final = re.compile(r"user or api wallet 0x[0-9a-f]+ does not exist")
_NOT_OPEN: Final = "order was never placed, already canceled, or filled"
_DUPLICATE: Final = re.compile(r"duplicate.{0,20}cloid|cloid.{0,40}(?:already|duplicate)")
_PAGE: Final = 2000
_MARGIN_MS: Final = 60_000
_FAR_MS: Final = 4_102_444_800_000  # the year 2100
_MOST_REQUESTS: Final = 50
_SIDES: Final = {"B": "buy", "A": "sell"}
_WRAPPED: Final = "spotCurrencyMapping"
Raw = Mapping[str, Any]


def verdict(error: Exception) -> Rejected | Ambiguous:
    """Say what a failed request means for its order."""
    said = str(error).lower()
    if isinstance(error, ccxt.NetworkError):  # time-outs, 5xx and "too much", whatever stands in them
        return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")
    if _DUPLICATE.search(said):
        return Ambiguous(cause=f"duplicate: {line(error)}")
    if _NOT_OPEN in said:
        return Rejected(code=NOT_FOUND, detail=line(error))
    for sentence, name in _REFUSED:
        if sentence in said:
            return Rejected(code=f"venue:{name}", detail=line(error))
    if _UNKNOWN_SIGNER.search(said):
        return Rejected(code="venue:unknownSigner", detail=line(error))
    return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def asset_of(client: Any, token: str) -> str:
    """Return ccxt's name of a token: what is wrapped, such as UBTC, goes by what it wraps."""
    return str(client.options[_WRAPPED].get(token, token))


def status_of(raw: str) -> str:
    """Return our word for an order's state."""
    if raw in ("open", "triggered"):
        return "open"
    if raw == "filled":
        return "closed"
    if raw == "rejected" or raw.endswith("Rejected"):
        return "rejected"
    if raw in ("canceled", "scheduledCancel") or raw.endswith("Canceled"):
        return "canceled"
    return raw.lower()


def order_event(iid: bytes, symbol: str, raw: Raw, executed: Decimal | None = None) -> OrderEvent:
    """Return an order's state; ``executed`` where its executions say more than the state itself."""
    order = raw["order"]
    cum_qty = exact(order["origSz"]) - exact(order["sz"]) if executed is None else executed
    return OrderEvent(
        iid=iid, venue_id=str(order["oid"]), symbol=symbol, status=status_of(str(raw["status"])),
        cum_qty=cum_qty, avg_px=ZERO,  # it tells none
        t=int(raw["statusTimestamp"]) * MS,
    )  # fmt: skip


def fill_of(client: Any, iid: bytes, symbol: str, raw: Raw, venue: str, account: str) -> Fill:
    """Return an execution, of the list or of the stream; what a builder would get is in its fee."""
    return Fill(
        trade_id=str(raw["tid"]), venue=venue, account=account, iid=iid, venue_id=str(raw["oid"]),
        symbol=symbol, side=_SIDES[raw["side"]], qty=exact(raw["sz"]), px=exact(raw["px"]),
        fee=exact(raw["fee"]), fee_asset=asset_of(client, str(raw["feeToken"])),
        liquidity="taker" if raw["crossed"] else "maker", t=int(raw["time"]) * MS,
    )  # fmt: skip


async def look_up(client: Any, intent: Intent, *, venue: str, account: str) -> Acked | Absent:
    """Find an order by its cloid, be it open or ended: one question, for the lists cost ten times as much.

    Raises
    ------
    VenueError
        When a list could not be read whole, the executions do not account for what was executed, or what was
        found is another pair's.
    """
    cloid = wire_id(intent.cid)
    found = await _named(client, cloid)
    if found is None:
        return Absent()
    order = found["order"]
    if order["coin"] != client.market(intent.symbol)["id"] or order.get("cloid") != cloid:
        raise VenueError(f"order {cloid}: expected one of {intent.symbol}, was {order['coin']!r}")
    executed = exact(order["origSz"]) - exact(order["sz"])
    is_ended = status_of(str(found["status"])) != "open"
    fills: tuple[Fill, ...] = ()
    if executed or is_ended:  # of one that ended, `sz` may have been set back: its executions count
        rows = await _executions(client, order, int(found["statusTimestamp"]) if is_ended else None)
        fills = tuple(
            fill_of(client, intent.iid, intent.symbol, each, venue, account)
            for each in sorted(rows, key=lambda each: (int(each["time"]), int(each["tid"])))
        )
        traded = sum((each.qty for each in fills), ZERO)
        if traded < executed:
            raise VenueError(f"own executions: {executed} of {cloid} were executed, they sum to {traded}")
        executed = traded
    return Acked(
        venue_id=str(order["oid"]), t_venue=int(order["timestamp"]) * MS,
        event=order_event(intent.iid, intent.symbol, found, executed), fills=fills,
    )  # fmt: skip


async def open_orders(client: Any, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some pairs; the venue lists all of an account at once.

    Raises
    ------
    VenueError
        When the venue does not answer.
    """
    query = {"type": "frontendOpenOrders", "user": client.walletAddress}
    rows = await asked("open orders", client.publicPostInfo(query))
    found = []
    for symbol in symbols:
        coin = client.market(symbol)["id"]
        found += own(symbol, [_row(each) for each in rows if each["coin"] == coin], tag, cid_of)
    return found


def _row(raw: Raw) -> Row:
    # the list that is documented without cloids names them where there are some, this one always does
    return Row(raw["cloid"], raw["oid"], _SIDES[raw["side"]], raw["origSz"], raw["limitPx"])


async def _named(client: Any, name: str) -> Raw | None:
    query = {"type": "orderStatus", "user": client.walletAddress, "oid": name}
    try:
        answer = await client.publicPostInfo(query)
    except ccxt.OrderNotFound:
        return None
    except ccxt.BaseError as error:
        raise VenueError(f"order {name}: {type(error).__name__}: {line(error)}") from error
    if answer["status"] != "order":
        raise VenueError(f"order {name}: an answer nobody can read: {answer['status']!r}")
    found: Raw = answer["order"]
    return found


async def _executions(client: Any, order: Raw, ended_ms: int | None) -> list[Raw]:
    """Read an order's executions whole: a span whose list is full is asked for again in two parts."""
    first, last = int(order["timestamp"]) - _MARGIN_MS, (ended_ms or _FAR_MS) + _MARGIN_MS
    spans, rows = [(first, last)], []
    for _ in range(_MOST_REQUESTS):
        start, end = spans.pop()
        query = {
            "type": "userFillsByTime", "user": client.walletAddress, "startTime": start, "endTime": end,
            "aggregateByTime": False,
        }  # fmt: skip
        page = await asked("own executions", client.publicPostInfo(query))
        if len(page) < _PAGE:
            rows += [each for each in page if str(each["oid"]) == str(order["oid"])]
        else:
            times = sorted(int(each["time"]) for each in page)
            middle = min(times[len(times) // 2], end - 1)
            if middle < start:
                raise VenueError(f"own executions: more than {_PAGE} within one millisecond")
            spans += [(start, middle), (middle + 1, end)]
        if not spans:
            return rows
    raise VenueError(f"own executions: not read whole with {_MOST_REQUESTS} requests")
