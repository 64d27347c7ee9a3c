"""Orders and trades in ccxt's unified words, and the look-up of one order by our id.

Problem: unified numbers are floats. Their shortest text is the venue's own text up to fifteen digits, and
that is taken; where sums do not agree to the last digit nothing is taken for certain. And of an unknown venue
no list proves that an order does not exist: a look-up finds one, or says that it does not know.

Not here: when to look up (`runtime.doubts`). Invariant: nothing here changes anything at the venue; an order
is found only when its trades sum to what was executed; there is no `Absent`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import ZERO, Instrument
from parley.messages import Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, line
from venues.generic_client import UnifiedClient
from venues.port import Acked, Resting, VenueError
from venues.resting import Row, own, own_cid_behind

_STATUS: Final = frozenset({"open", "closed", "canceled", "expired", "rejected"})
_LISTS: Final = {
    "fetchOpenOrders": "fetch_open_orders", "fetchOrders": "fetch_orders",
    "fetchCanceledAndClosedOrders": "fetch_canceled_and_closed_orders",
    "fetchClosedOrders": "fetch_closed_orders", "fetchCanceledOrders": "fetch_canceled_orders",
}  # fmt: skip
_MOST_PAGES: Final = 50
_LEAST_PAGE: Final = 20  # where ccxt does not say how many open orders one answer holds
_UNKNOWN_FEE: Final = Decimal("0.01")  # where ccxt knows none: too much rather than too little
_NO_MOST: Final = Decimal(10) ** 12  # lots
Raw = Mapping[str, Any]


def instrument_of(market: Raw, venue: str, mode: int) -> Instrument:
    """Read a listed spot pair; ``mode`` is how ccxt means its precision.

    Raises
    ------
    VenueError
        When the market is no spot pair, or its steps are not known.
    """
    symbol = market["symbol"]
    if not market.get("spot"):
        raise VenueError(f"{symbol}: expected a spot pair, an uncertified venue's contracts are not traded")
    tick, lot = (_step(market["precision"].get(each), mode, symbol) for each in ("price", "amount"))
    amount, cost = market["limits"].get("amount") or {}, market["limits"].get("cost") or {}
    return Instrument(
        symbol=symbol, venue=venue, base=market["base"], quote=market["quote"], tick=tick, lot=lot,
        min_qty=exact(amount.get("min") or lot), max_qty=exact(amount.get("max") or lot * _NO_MOST),
        min_notional=exact(cost.get("min") or 0), maker_fee=_fee(market.get("maker")),
        taker_fee=_fee(market.get("taker")),
    )  # fmt: skip


def _step(precision: object, mode: int, symbol: str) -> Decimal:
    if precision is None or mode == ccxt.SIGNIFICANT_DIGITS:
        raise VenueError(f"{symbol}: ccxt does not say the steps of its prices and quantities")
    return exact(precision) if mode == ccxt.TICK_SIZE else Decimal(10) ** -int(str(precision))


def _fee(rate: object) -> Decimal:
    return _UNKNOWN_FEE if rate is None else exact(rate)


def event_of(iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
    """Return an order's state; raises `ValueError` when it does not say what was executed."""
    status, filled = raw["status"], raw["filled"]
    if status not in _STATUS or filled is None:
        raise ValueError(f"order {raw['id']}: status {status!r}, filled {filled!r}")
    cum_qty = exact(filled)
    avg_px = ZERO
    if cum_qty:
        average = raw.get("average")
        avg_px = exact(average) if average is not None else exact(raw["cost"]) / cum_qty
    t = raw.get("lastUpdateTimestamp") or raw.get("lastTradeTimestamp") or raw.get("timestamp") or 0
    return OrderEvent(
        iid=iid, venue_id=str(raw["id"]), symbol=symbol, status=str(status), cum_qty=cum_qty, avg_px=avg_px,
        t=int(t) * MS,
    )  # fmt: skip


def fill_of(iid: bytes, market: Raw, raw: Raw, venue: str, account: str) -> Fill:
    """Return a trade on a market; raises `ValueError` when it does not say its id, or what was paid for it.

    A fee below zero was received only where the market lists a rate below zero: on one and the same trade
    ccxt's streams and answers differ in the sign (OKX, 4.5.90).
    """
    paid = [each for each in (raw.get("fees") or [raw.get("fee") or {}]) if each]
    if not raw["id"] or not raw["order"] or len(paid) != 1 or paid[0].get("cost") is None:
        raise ValueError(f"trade {raw['id']!r} of order {raw['order']!r}: fees {paid!r}")
    if not paid[0].get("currency"):
        raise ValueError(f"trade {raw['id']!r}: a fee of {paid[0]['cost']!r} of no asset")
    liquidity = "maker" if raw.get("takerOrMaker") == "maker" else "taker"
    fee = exact(paid[0]["cost"])
    if fee < 0 <= (market.get(liquidity) or 0):
        fee = ZERO - fee
    return Fill(
        trade_id=str(raw["id"]), venue=venue, account=account, iid=iid, venue_id=str(raw["order"]),
        symbol=str(market["symbol"]), side=str(raw["side"]), qty=exact(raw["amount"]),
        px=exact(raw["price"]), fee=fee, fee_asset=str(paid[0]["currency"]), liquidity=liquidity,
        t=int(raw["timestamp"]) * MS,
    )  # fmt: skip


async def look_up(client: UnifiedClient, intent: Intent, *, venue: str, account: str) -> Acked:
    """Find an order by its client order id.

    Raises
    ------
    VenueError
        When it is in no list, which proves nothing, or its trades do not yet account for what was executed.
    """
    raw = await _found(client, intent)
    client.ids.learn(intent.cid, str(raw["id"]))
    event = event_of(intent.iid, intent.symbol, raw)
    fills = await _fills(client, intent, raw, event.cum_qty, venue, account)
    t_venue = int(raw.get("timestamp") or 0) * MS
    return Acked(venue_id=event.venue_id, t_venue=t_venue, event=event, fills=fills)


async def open_orders(client: UnifiedClient, symbols: Sequence[str], tag: str) -> list[Resting]:
    """Return the open orders of ours in some symbols.

    Raises
    ------
    VenueError
        When the venue does not answer, or as many came as one answer may hold: there may be more.
    """
    spot = (client.features or {}).get("spot") or {}
    page = (spot.get("fetchOpenOrders") or {"limit": _LEAST_PAGE}).get("limit")
    found = []
    for symbol in symbols:
        rows = await asked("open orders", client.fetch_open_orders(symbol, None, page))
        if page is not None and len(rows) >= page:
            raise VenueError(f"open orders of {symbol}: {len(rows)} came, and one answer holds no more")
        found += own(symbol, map(_row, rows), tag, own_cid_behind)
    return found


def _row(raw: Raw) -> Row:
    return Row(raw["clientOrderId"], raw["id"], raw["side"], raw["amount"], raw["price"])


async def _found(client: UnifiedClient, intent: Intent) -> Raw:
    has, cid, symbol = client.has, intent.cid, intent.symbol
    calls = []
    if has.get("fetchOrder") is True and (known := client.ids.venue_id(cid)):
        calls.append(("fetch_order", known))
    if has.get("fetchOrderWithClientOrderId") is True:
        calls.append(("fetch_order_with_client_order_id", cid))
    calls += [(method, "") for name, method in _LISTS.items() if has.get(name) is True]
    failed = []
    for method, name in calls:
        try:
            answer = await getattr(client, method)(*((name, symbol) if name else (symbol,)))
        except ccxt.OrderNotFound:
            continue
        except ccxt.BaseError as error:
            failed.append(f"{method}: {type(error).__name__}: {line(error)}")
            continue
        for each in [answer] if isinstance(answer, Mapping) else answer:
            if client.is_called(each, cid):
                found: Raw = each
                return found
    told = f" ({'; '.join(failed)})" if failed else ""
    raise VenueError(
        f"order {cid}: not found, and no list of {client.id!r} is known to prove that it does not exist{told}"
    )


async def _fills(
    client: UnifiedClient, intent: Intent, raw: Raw, executed: Decimal, venue: str, account: str
) -> tuple[Fill, ...]:
    if not executed:
        return ()
    found: dict[str, Raw] = {}
    since: int | None = None  # the newest first; if they are not enough, all from when the order came
    for _ in range(_MOST_PAGES):
        page = await asked("own trades", client.fetch_my_trades(intent.symbol, since))
        before = len(found)
        found |= {str(each["id"]): each for each in page if str(each["order"]) == str(raw["id"])}
        if _sum(found) >= executed or (since is not None and not page):
            break
        newest = max((int(each["timestamp"]) for each in page), default=0)
        if since is not None and newest <= since and len(found) == before:
            break
        since = int(raw.get("timestamp") or 0) if since is None else newest
    if _sum(found) != executed:
        raise VenueError(
            f"own trades: {executed} of {intent.cid} were executed, its trades sum to {_sum(found)}"
        )
    oldest_first = sorted(found.values(), key=lambda each: int(each["timestamp"]))
    market = client.markets[intent.symbol]
    return tuple(fill_of(intent.iid, market, each, venue, account) for each in oldest_first)


def _sum(found: Mapping[str, Raw]) -> Decimal:
    return sum((exact(each["amount"]) for each in found.values()), ZERO)
