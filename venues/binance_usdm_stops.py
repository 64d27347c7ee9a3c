"""How Binance's USD-M contracts hold a stop: an algo order, and the plain order that it becomes.

Problem: since December 2025 what waits for a price is not among the orders. It is known to a service of its
own, by our client id, under a number of its own; once it is set off it becomes a plain order with another
number, and only that one says what traded. So which list an order is looked for in is never guessed: an
intent with a trigger was sent to that service and nowhere else, and the plain order it became is the one the
service names (``actualOrderId``), whatever client id that bears.

https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api/Query-Algo-Order: an
order that was cancelled or expired without a fill is forgotten three days after it was placed, as a plain one
is; any other ninety days. How far the service's answers are behind is not documented: orders were seen to be
shown seconds late, so that one counts as absent ten seconds after it was first missed, and not before. One
that was seen, and is old enough to be forgotten if nothing traded and not if something did, has ended so;
without that its holding could never be left again. Whose age only the journal knows: `runtime.resolution`.

Not here: what stops are placed (`orchestrator.guarding`), plain orders (`binance_usdm_orders`).

Invariant: a request to place or cancel changes at most one order; a stop that is being set off, or of which
the plain order is not listed, is in doubt and not absent.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import ccxt

from parley.instruments import ZERO
from parley.messages import CancelIntent, Intent, OrderEvent
from venues.binance_usdm_orders import event_of, fills_of
from venues.ccxt_client import MS, asked, line
from venues.port import Absent, Acked, Resting, VenueError
from venues.resting import Row, own
from venues.words import Account, Placing

# What is set off lives on as a plain order, which alone says how it ends.
_STATUS: Final = {
    "NEW": "open", "TRIGGERING": "open", "TRIGGERED": "open", "FINISHED": "open",
    "CANCELED": "canceled", "EXPIRED": "expired", "REJECTED": "rejected",
}  # fmt: skip
_SET_OFF: Final = frozenset({"TRIGGERING", "TRIGGERED", "FINISHED"})
_PAGE: Final = 1000
_LAG_S: Final = 10.0
_DAY_MS: Final = 86_400_000
# Forgotten without a fill, and with one: ninety days, of which one is left for when exactly that happens.
_UNFILLED_MS: Final = 3 * _DAY_MS
_FILLED_MS: Final = 89 * _DAY_MS
Raw = Mapping[str, Any]


class AlgoStops:
    """The stops of one account; remembers their client ids, and which plain orders they became."""

    def __init__(self, client: Any, account: Account, *, lag_s: float = _LAG_S) -> None:
        self._client = client
        self._account = account
        self._lag_s = lag_s
        self._cids: set[str] = set()
        self._became: dict[str, str] = {}  # the venue's number of a plain order -> client id of the stop
        self._heard: set[str] = set()  # stops whose plain order the stream spoke of
        self._missed: dict[str, float] = {}  # since when a stop, or the order that it became, is in no list
        self._rows: dict[str, Raw] = {}  # of stops that were seen: how they were listed last

    def knows(self, cid: str) -> bool:
        """Whether an id is known to be a stop's."""
        return cid in self._cids

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        """Place a stop; raises whatever the request ends with."""
        self._cids.add(intent.cid)
        order = await self._client.create_order(
            placing.symbol, placing.kind, placing.side, placing.qty, placing.px, dict(placing.params)
        )
        raw = order["info"]
        self._rows[intent.cid] = raw
        event = _event(intent, str(raw["algoId"]), str(raw["algoStatus"]), int(raw["updateTime"]))
        return Acked(venue_id=str(raw["algoId"]), t_venue=int(raw["createTime"]) * MS, event=event)

    async def cancel(self, intent: CancelIntent) -> Acked:
        """Cancel a stop, or what is left of the plain order that it became meanwhile."""
        client = self._client
        try:
            raw = await client.fapiPrivateDeleteAlgoOrder({"clientAlgoId": intent.cid})
        except ccxt.OrderNotFound as error:
            number = await self._number_of(intent.cid)
            if not number:
                raise error
            query = {"symbol": client.market_id(intent.symbol), "orderId": number}
            plain = await client.fapiPrivateDeleteOrder(query)
            event = event_of(intent.iid, intent.symbol, plain)
            return Acked(venue_id=number, t_venue=event.t, event=event)
        now_ms = int(client.nonce())  # the answer says no time
        event = _event(intent, str(raw["algoId"]), "CANCELED", now_ms)
        return Acked(venue_id=event.venue_id, t_venue=event.t, event=event)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        """Find a stop by its client id, with all that its plain order traded.

        Raises
        ------
        VenueError
            When a list could not be read, it is being set off, or was not missed for long enough; also when
            it was seen, is missed, and may have traded.
        """
        client, cid = self._client, intent.cid
        self._cids.add(cid)
        market = {"symbol": client.market_id(intent.symbol)}
        raw = await self._named(cid) or await self._listed(cid, market)
        if raw is None:
            self._miss(cid)
            seen = self._rows.get(cid)
            return Absent() if seen is None else await self._forgotten(intent, market, seen)
        self._rows[cid] = raw
        algo_id, t_venue = str(raw["algoId"]), int(raw["createTime"]) * MS
        number, status = self._number(cid, raw.get("actualOrderId")), str(raw["algoStatus"])
        if number:
            account = self._account
            plain = await self._plain(number, market)
            if plain is None:
                self._miss(cid)
                return await self._forgotten(intent, market, raw)
            self._missed.pop(cid, None)
            fills = await fills_of(client, intent.iid, intent.symbol, plain, account.venue, account.name)
            event = event_of(intent.iid, intent.symbol, plain)
            return Acked(venue_id=algo_id, t_venue=t_venue, event=event, fills=fills)
        self._missed.pop(cid, None)
        if status in _SET_OFF:
            raise VenueError(f"stop {cid}: it is {status}, and the venue names no order that it became")
        return Acked(
            venue_id=algo_id, t_venue=t_venue, event=_event(intent, algo_id, status, int(raw["updateTime"]))
        )

    async def resting(self, symbol: str, tag: str) -> list[Resting]:
        """Return the stops of ours in a contract that were not set off; raises `VenueError`."""
        query = {"symbol": self._client.market_id(symbol)}
        ask = self._client.fapiPrivateGetOpenAlgoOrders(query)
        return own(symbol, map(_row, await asked(f"open algo orders of {symbol}", ask)), tag)

    # the private stream

    def client_ids(self, raw: Raw) -> Sequence[str]:
        """Return the client ids that a message may be of, and learn which order a stop became."""
        if is_algo(raw):
            cid = str(raw["caid"])
            self._number(cid, raw.get("ai"))
            return (cid,)
        own = str(raw["c"])
        stop = self._became.get(str(raw["i"]), own)
        if stop in self._cids:
            self._heard.add(stop)
        return (own,) if stop == own else (own, stop)

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        """Read the state of a stop.

        Raises
        ------
        ValueError
            When it is over and the stream never spoke of the order it became: that is a gap.
        """
        cid, status = str(raw["caid"]), str(raw["X"])
        self._cids.add(cid)
        if status == "FINISHED" and cid not in self._heard:
            raise ValueError(f"stop {cid} was set off, and its order {raw.get('ai')!r} was not heard of")
        return OrderEvent(
            iid=iid, venue_id=str(raw["aid"]), symbol=symbol, status=_STATUS.get(status, status.lower()),
            cum_qty=ZERO, avg_px=ZERO, t=int(raw["T"]) * MS,
        )  # fmt: skip

    # lists

    def _number(self, cid: str, told: object) -> str:
        """Return the number of the plain order that the venue says a stop became, empty if none."""
        number = str(told or "")
        if number in ("", "0"):
            return ""
        self._became[number] = cid
        return number

    async def _number_of(self, cid: str) -> str:
        raw = await self._named(cid)
        return "" if raw is None else self._number(cid, raw.get("actualOrderId"))

    async def _named(self, cid: str) -> Raw | None:
        try:
            found: Raw = await self._client.fapiPrivateGetAlgoOrder({"clientAlgoId": cid})
        except ccxt.OrderNotFound:
            return None
        except ccxt.BaseError as error:
            raise VenueError(f"stop {cid}: {type(error).__name__}: {line(error)}") from error
        return found

    async def _listed(self, cid: str, market: Mapping[str, str]) -> Raw | None:
        """A second opinion from other lists, as of plain orders."""
        client = self._client
        found = list(await asked("open algo orders", client.fapiPrivateGetOpenAlgoOrders({**market})))
        query = {**market, "limit": _PAGE}
        found += await asked("algo orders", client.fapiPrivateGetAllAlgoOrders(query))
        return _of(found, cid)

    async def _plain(self, number: str, market: Mapping[str, str]) -> Raw | None:
        try:
            found: Raw = await self._client.fapiPrivateGetOrder({**market, "orderId": number})
        except ccxt.OrderNotFound:
            return None
        except ccxt.BaseError as error:
            raise VenueError(f"order {number}: {type(error).__name__}: {line(error)}") from error
        return found

    def _miss(self, cid: str) -> None:
        now = time.monotonic()
        missed_s = now - self._missed.setdefault(cid, now)
        if missed_s < self._lag_s:
            raise VenueError(
                f"stop {cid}: in no list, {missed_s:.0f} s long; they may lag by {self._lag_s:.0f} s"
            )

    async def _forgotten(self, intent: Intent, market: Mapping[str, str], seen: Raw) -> Acked | Absent:
        """Say what became of a stop that was seen and is missed, or of which the plain order is."""
        cid, now_ms = intent.cid, int(self._client.nonce())
        number = self._number(cid, seen.get("actualOrderId")) or self._numbered(cid)
        # the plain order is as old as the change that named it at most
        since = max(int(seen[each] or 0) for each in ("createTime", "updateTime") if each in seen)
        age_ms = now_ms - since
        if not _UNFILLED_MS < age_ms < _FILLED_MS:
            if number:
                raise VenueError(f"stop {cid}: no list shows order {number}, which it became")
            return Absent()
        if number:
            query = {**market, "orderId": number, "limit": _PAGE}
            if await asked("own trades", self._client.fapiPrivateGetUserTrades(query)):
                raise VenueError(f"stop {cid}: order {number} traded, and no list shows it")
        event = _event(intent, str(seen["algoId"]), "CANCELED", now_ms)
        return Acked(venue_id=event.venue_id, t_venue=int(seen["createTime"]) * MS, event=event)

    def _numbered(self, cid: str) -> str:
        return next((number for number, stop in self._became.items() if stop == cid), "")


def is_algo(raw: Raw) -> bool:
    """Whether a message of the private stream is of an algo order."""
    return "aid" in raw


def _of(rows: Iterable[Raw], cid: str) -> Raw | None:
    return next((each for each in rows if each["clientAlgoId"] == cid), None)


def _row(raw: Raw) -> Row:
    return Row(
        raw["clientAlgoId"], raw["algoId"], raw["side"], raw["quantity"], raw["price"], raw["triggerPrice"]
    )


def _event(intent: Intent | CancelIntent, algo_id: str, status: str, t_ms: int) -> OrderEvent:
    return OrderEvent(
        iid=intent.iid, venue_id=algo_id, symbol=intent.symbol, status=_STATUS.get(status, status.lower()),
        cum_qty=ZERO, avg_px=ZERO, t=t_ms * MS,
    )  # fmt: skip
