"""How OKX spot holds a stop: an algo order, and the plain order that it becomes.

Problem: what waits for a price is known to a service of its own, by our client id (``algoClOrdId``) and
under a number of its own. Set off it becomes a plain order with another number and without a client id, which
alone says what traded; its messages on the private stream name the algo order. So an intent with a trigger is
looked for where it was sent, and what it became is the order that the service names. That a stop ended
without becoming one, the stream of orders does not say: who cancels asks until it is so, the rest is for the
look-ups of orders at work (`runtime.inspection`).

https://www.okx.com/docs-v5/en/#order-book-trading-algo-trading: such an order ties nothing up until it is
set off, and then fails if the account has not got what it sells. It has no deadline of its own: ``expTime``
is for plain orders, and a request is taken until 30 s after its time stamp. So a stop counts as absent only
when it has been missed for longer. Ended ones are listed for three months, a plain order that ended without a
fill for two hours.

Not here: what stops are placed (`orchestrator.guarding`), plain orders (`okx_orders`).

Invariant: a request to place or cancel changes at most one order; a stop that was set off, and of which the
plain order is not listed, is in doubt and not absent.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ccxt
import msgspec

from parley.instruments import ZERO
from parley.messages import CancelIntent, Intent, OrderEvent
from venues.ccxt_client import MS, asked, line, plain
from venues.okx_orders import fills_of, order_event, pages, verdict
from venues.port import NOT_FOUND, Absent, Acked, Rejected, Resting, VenueError
from venues.resting import Row, own
from venues.words import Account

_KIND: Final = {"ordType": "conditional"}
_STATUS: Final = {
    "live": "open", "pause": "open", "canceled": "canceled", "order_failed": "rejected",
}  # fmt: skip
_ENDED: Final = ("effective", "canceled", "order_failed")  # states that its history is asked for by
_WINDOW_S: Final = 30.0
_LAG_S: Final = 5.0  # of its lists, and of the two clocks
_PLAIN_MS: Final = 2 * 3_600_000  # for how long a plain order is listed that ended without a fill
_TRADES_MS: Final = 3 * 86_400_000
_LOOKS_S: Final = (0.0, 0.1, 0.2)  # after a cancel, until it shows: meanwhile no order of its symbol leaves
Raw = Mapping[str, Any]


class OkxStops:
    """The stops of one account; remembers their client ids, and since when what was missed."""

    def __init__(self, client: Any, account: Account, *, missing_s: float = _WINDOW_S + _LAG_S) -> None:
        self._client = client
        self._account = account
        self._missing_s = missing_s
        self._cids: set[str] = set()
        self._missed: dict[str, float] = {}

    def knows(self, cid: str) -> bool:
        """Whether an id is known to be a stop's."""
        return cid in self._cids

    async def place(self, intent: Intent) -> Acked:
        """Place a stop; raises whatever the request ends with."""
        assert intent.trigger is not None
        assert intent.px is not None
        self._cids.add(intent.cid)
        # ccxt's own request says `cross`, which is to borrow
        request = {
            "instId": self._client.market_id(intent.symbol), "tdMode": "cash", "side": intent.side, **_KIND,
            "sz": plain(intent.qty), "algoClOrdId": intent.cid, "slTriggerPx": plain(intent.trigger),
            "slTriggerPxType": "last", "slOrdPx": plain(intent.px),
        }  # fmt: skip
        now_ms = int(self._client.nonce())  # the answer says no time
        row = _taken(await self._client.privatePostTradeOrderAlgo(request))
        return Acked(venue_id=str(row["algoId"]), t_venue=now_ms * MS)

    async def cancel(self, intent: CancelIntent) -> Acked:
        """Cancel a stop, or what is left of the plain order that it became meanwhile.

        No stream tells the end of one that was never set off, so the answer has to; an end that does not
        show is in doubt.
        """
        client, cid = self._client, intent.cid
        market = {"instId": client.market_id(intent.symbol)}
        refused: ccxt.BaseError | None = None
        try:
            _taken(await client.privatePostTradeCancelAlgos([{**market, "algoClOrdId": cid}]))
        except ccxt.BaseError as error:
            said = verdict(error)
            if not isinstance(said, Rejected) or said.code != NOT_FOUND:
                raise
            refused = error
        try:
            raw = await self._shown(cid, is_taken=refused is None)
            number = "" if raw is None or _is_over(raw) else _number(raw)
        except VenueError as error:
            raise ccxt.ExchangeError(f"stop {cid}: what became of it was not told") from error
        if number:
            row = _taken(await client.privatePostTradeCancelOrder({**market, "ordId": number}))
            return Acked(venue_id=number, t_venue=int(row["ts"]) * MS)
        if refused is not None and raw is None:
            raise refused
        if raw is None or not _is_over(raw):
            raise ccxt.ExchangeError(f"stop {cid}: its end does not show")
        event = _event(intent, raw)
        return Acked(venue_id=event.venue_id, t_venue=event.t, event=event)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        """Find a stop by its client id, with all that its plain order traded.

        Raises
        ------
        VenueError
            When a list could not be read whole, it was not missed for long enough, the order that it became
            is not shown, or it became several.
        """
        client, cid = self._client, intent.cid
        self._cids.add(cid)
        market = {"instId": client.market_id(intent.symbol)}
        raw = await self._named(cid) or await self._listed(cid, market)
        if raw is None:
            self._miss(f"stop {cid}")
            return Absent()
        self._missed.pop(f"stop {cid}", None)
        algo_id, t_venue = str(raw["algoId"]), int(raw["cTime"]) * MS
        if raw["state"] in _STATUS:
            return Acked(venue_id=algo_id, t_venue=t_venue, event=_event(intent, raw))
        number = _number(raw)
        if not number:
            raise VenueError(f"stop {cid}: it is {raw['state']}, and no order is named that it became")
        order = await self._plain(number, market)
        if order is None:
            return await self._forgotten(intent, market, raw, number)
        self._missed.pop(f"order {number}", None)
        account = self._account
        fills = await fills_of(client, intent, order, market, account.venue, account.name)
        event = order_event(intent.iid, intent.symbol, order)
        return Acked(venue_id=algo_id, t_venue=t_venue, event=event, fills=fills)

    async def resting(self, symbol: str, tag: str) -> list[Resting]:
        """Return the stops of ours in a pair that wait; raises `VenueError`."""
        return own(symbol, map(_row, await self._waiting({"instId": self._client.market_id(symbol)})), tag)

    async def _shown(self, cid: str, *, is_taken: bool) -> Raw | None:
        """Ask for a stop until it is over or an order is named that it became, or for a while."""
        raw = None
        for pause_s in _LOOKS_S:
            await asyncio.sleep(pause_s)
            raw = await self._named(cid)
            if raw is None and not is_taken:
                break
            if raw is not None and (_is_over(raw) or _number(raw)):
                break
        return raw

    async def _named(self, cid: str) -> Raw | None:
        try:
            answer = await self._client.privateGetTradeOrderAlgo({"algoClOrdId": cid})
        except ccxt.OrderNotFound:
            return None
        except ccxt.BaseError as error:
            raise VenueError(f"stop {cid}: {type(error).__name__}: {line(error)}") from error
        return _of(answer["data"], cid)

    async def _listed(self, cid: str, market: Raw) -> Raw | None:
        """A second opinion from other lists, as of plain orders."""
        found = await self._waiting(market)
        for state in _ENDED:
            query = {**_KIND, "instType": "SPOT", **market, "state": state}
            found += (await asked("ended stops", self._client.privateGetTradeOrdersAlgoHistory(query)))[
                "data"
            ]
        return _of(found, cid)

    async def _waiting(self, market: Raw) -> list[Raw]:
        query = {**_KIND, "instType": "SPOT", **market}
        return await pages("stops", self._client.privateGetTradeOrdersAlgoPending, query, "algoId")

    async def _plain(self, number: str, market: Raw) -> Raw | None:
        try:
            found = (await self._client.privateGetTradeOrder({**market, "ordId": number}))["data"]
        except ccxt.OrderNotFound:
            query = {"instType": "SPOT", **market}
            found = await pages("open orders", self._client.privateGetTradeOrdersPending, query, "ordId")
        except ccxt.BaseError as error:
            raise VenueError(f"order {number}: {type(error).__name__}: {line(error)}") from error
        return next((each for each in found if each["ordId"] == number), None)

    def _miss(self, what: str) -> None:
        now = time.monotonic()
        missed_s = now - self._missed.setdefault(what, now)
        if missed_s < self._missing_s:
            raise VenueError(
                f"{what}: in no list, {missed_s:.0f} s long; that says nothing for {self._missing_s:.0f} s"
            )

    async def _forgotten(self, intent: Intent, market: Raw, raw: Raw, number: str) -> Acked:
        """Say what became of a stop of which the plain order is in no list: old enough, it ended unfilled."""
        self._miss(f"order {number}")
        now_ms = int(self._client.nonce())
        query = {"instType": "SPOT", **market, "ordId": number}
        is_old = _PLAIN_MS < now_ms - int(raw["uTime"]) < _TRADES_MS
        if not is_old or await pages("own executions", self._client.privateGetTradeFills, query, "billId"):
            raise VenueError(f"stop {intent.cid}: no list shows order {number}, which it became")
        event = msgspec.structs.replace(_event(intent, raw), status="canceled", t=now_ms * MS)
        return Acked(venue_id=event.venue_id, t_venue=int(raw["cTime"]) * MS, event=event)


def client_ids(raw: Raw) -> Sequence[str]:
    """Return the client ids that a message of the private stream may be of; empty ones are of nobody."""
    return tuple(cid for cid in (str(raw["clOrdId"]), str(raw.get("algoClOrdId") or "")) if cid)


def _is_over(raw: Raw) -> bool:
    return _STATUS.get(raw["state"], "open") != "open"


def _number(raw: Raw) -> str:
    """Return the number of the plain order that a stop became, empty if it became none.

    Raises
    ------
    VenueError
        When it became several: what all of them traded is not counted here.
    """
    numbers = {str(each) for each in raw.get("ordIdList") or () if each}
    if len(numbers) > 1:
        raise VenueError(f"stop {raw['algoClOrdId']}: it became {len(numbers)} orders")
    return next(iter(numbers), str(raw.get("ordId") or ""))


def _of(rows: Sequence[Raw], cid: str) -> Raw | None:
    return next((each for each in rows if each["algoClOrdId"] == cid), None)


def _row(raw: Raw) -> Row:
    return Row(raw["algoClOrdId"], raw["algoId"], raw["side"], raw["sz"], raw["slOrdPx"], raw["slTriggerPx"])


def _event(intent: Intent | CancelIntent, raw: Raw) -> OrderEvent:
    return OrderEvent(
        iid=intent.iid, venue_id=str(raw["algoId"]), symbol=intent.symbol,
        status=_STATUS.get(raw["state"], "open"), cum_qty=ZERO, avg_px=ZERO, t=int(raw["uTime"]) * MS,
    )  # fmt: skip


def _taken(answer: Raw) -> Raw:
    row: Raw = answer["data"][0]
    if row["sCode"] != "0":  # ccxt raises for these unless the venue says that a part of them worked
        raise ccxt.ExchangeError(msgspec.json.encode(answer).decode())
    return row
