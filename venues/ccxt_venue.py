"""One account at a venue through ccxt.pro, as a gateway sees it: what is the same for all venues.

Problem: ccxt answers with floats and with some forty exception types. Here quantities and prices go out
as exact decimals, and every way a send can end becomes one of three answers. What the venue's words say was
refused for certain is `Rejected`; everything else, even an exception nobody thought of, is `Ambiguous`.

Not here: when to send and what then (the gateway); a venue's requests, codes and fields (its `OrderWords`).

Invariant: a request to place or cancel leaves this module at most once per call; the client order id is
always the intent's. A call that failed is either the fate of an order or counted in ``meter.faults``.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Gap, Intent, OrderEvent
from venues.capabilities import Capabilities, wrong_cid
from venues.ccxt_client import MS, asked, plain
from venues.ccxt_stream import Reading, UserStream
from venues.dead_man import DeadManSwitch
from venues.limits import Request, VenueLimits
from venues.meter import Meter
from venues.port import (
    FORCED,
    NOT_FOUND,
    Absent,
    Acked,
    Ambiguous,
    Fact,
    KeyRights,
    OnFact,
    Rejected,
    Resting,
    SendResult,
    Unasked,
    VenueError,
)
from venues.words import Completing, DeadManWords, OrderWords, Placing, Prepared, Raw, Timed, UnsentError

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
_UNREADABLE: Final = (KeyError, TypeError, ValueError, ArithmeticError)


class CcxtVenue:
    """An account at a venue; ``words`` speak for it through ``client``, ``capabilities`` are its row.

    ``limits`` are the venue's for this account; ``wire_id`` is what the venue calls an order of ours.
    """

    def __init__(
        self,
        client: Any,
        words: OrderWords,
        capabilities: Capabilities,
        limits: VenueLimits,
        *,
        recv_window_ms: int,
        lag_ms: int,
        wire_id: Callable[[str], str] = str,
    ) -> None:
        self._client = client
        self._words = words
        self._capabilities = capabilities
        self._limits = limits
        self.meter = Meter(limits)
        timer = capabilities.dead_man
        self.dead_man: DeadManSwitch | None = None
        if timer is not None and isinstance(words, DeadManWords):
            self.dead_man = DeadManSwitch(timer, words, self.meter, self._metered)
        self._recv_window_ms = recv_window_ms
        self._lag_ms = lag_ms
        self._wire_id = wire_id
        self._iids: dict[str, bytes] = {}
        self._foreign: set[str] = set()
        self._last_seq = 0
        self._read_stream: Callable[[], None] = lambda: None

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def fence_ns(self) -> int:
        return self._recv_window_ms * MS

    @property
    def lag_ns(self) -> int:
        return self._lag_ms * MS

    @property
    def foreign(self) -> int:
        return len(self._foreign)

    async def connect(self) -> dict[str, Instrument]:
        await self._heard(Request.OTHER, asked("markets", self._client.load_markets()))
        instruments = await self._heard(Request.OTHER, self._words.connect())
        limits = self._limits.announced(self._client, tuple(instruments))
        if announced := await self._heard(Request.OTHER, limits):
            try:
                self.meter.adopt(announced)
            except ValueError as error:
                raise VenueError(f"limits: too small to trade with: {error}") from error
        return instruments

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        try:
            totals = await self._heard(Request.BALANCES, self._words.balances())
        except _UNREADABLE as error:
            raise VenueError(f"balances: an answer nobody can read: {error!r}") from error
        return tuple((asset, total) for asset, total in sorted(totals.items()) if total)

    async def marks(self) -> Mapping[str, Decimal]:
        if not isinstance(self._words, Prepared):
            return {}
        try:
            return await self._heard(Request.BALANCES, self._words.marks())
        except _UNREADABLE as error:
            raise VenueError(f"marks: an answer nobody can read: {error!r}") from error

    async def clock_offset_ms(self) -> float:
        if isinstance(self._words, Timed):
            return await self._heard(Request.TIME, self._words.clock_offset_ms())
        before = time.time_ns()
        venue_ms = await self._heard(Request.TIME, asked("time", self._client.fetch_time()))
        if not isinstance(venue_ms, int | float):
            self._failed(Request.TIME, f"an answer nobody can read: {venue_ms!r}")
            raise VenueError(f"time: an answer nobody can read: {venue_ms!r}")
        return float(venue_ms - (before + time.time_ns()) / 2 / MS)

    async def key_rights(self) -> KeyRights:
        try:
            return await self._heard(Request.OTHER, self._words.key_rights())
        except (KeyError, TypeError) as error:
            raise VenueError(f"rights of the key: the answer does not say: {error!r}") from error

    async def unfit(self) -> Sequence[str]:
        if not isinstance(self._words, Prepared):
            return ()
        try:
            return await self._heard(Request.OTHER, self._words.unfit())
        except _UNREADABLE as error:
            raise VenueError(f"modes of the account: the answer does not say: {error!r}") from error

    async def prepare(self) -> None:
        if isinstance(self._words, Prepared):
            await self._heard(Request.OTHER, self._words.prepare())

    def know(self, cid: str, iid: bytes) -> None:
        self._iids[self._wire_id(cid)] = iid

    async def send(self, intent: Intent) -> SendResult:
        if wrong := wrong_cid(self._capabilities, intent.cid):
            # ccxt would leave an empty one out and send an order that nobody could find again
            return Rejected(code="venue:client_id", detail=wrong)
        self._iids[self._wire_id(intent.cid)] = intent.iid
        params: dict[str, str | bool] = {"clientOrderId": intent.cid}
        if intent.trigger is not None:
            if not self._capabilities.stops:
                return Rejected(code="venue:no_stops", detail="it was not tried how this venue holds a stop")
            params["stopLossPrice"] = plain(intent.trigger)
            params["timeInForce"] = intent.tif
        elif intent.style == "post_only":
            params["postOnly"] = True
        elif intent.style == "limit":
            params["timeInForce"] = intent.tif
        if intent.reduce_only and self._capabilities.reduce_only:
            params["reduceOnly"] = True
        placing = Placing(
            symbol=intent.symbol, kind="market" if intent.style == "market" else "limit", side=intent.side,
            qty=plain(intent.qty), px=None if intent.px is None else plain(intent.px), params=params,
        )  # fmt: skip
        return await self._outcome(Request.SEND, self._words.place(intent, placing))

    async def cancel(self, intent: CancelIntent) -> SendResult:
        return await self._outcome(Request.CANCEL, self._words.cancel(intent))

    async def look_up(self, intent: Intent) -> Acked | Absent:
        try:
            return await self._heard(Request.LOOK_UP, self._words.look_up(intent))
        except _UNREADABLE as error:
            raise VenueError(f"order {intent.cid}: an answer nobody can read: {error!r}") from error

    async def resting(self, tag: str) -> Sequence[Resting]:
        try:
            return await self._heard(Request.OTHER, self._words.resting(tag))
        except _UNREADABLE as error:
            raise VenueError(f"open orders: an answer nobody can read: {error!r}") from error

    async def unasked(self) -> Sequence[Unasked]:
        return await self._heard(Request.OTHER, self._words.unasked())

    async def _heard(self, request: Request, answering: Awaitable[Answer]) -> Answer:
        """Await what may be repeated, and let the meter read what the venue says of its limits."""
        try:
            return await self._metered(request, answering)
        except VenueError as error:
            if error.__cause__ is not None:  # else it answered: only not yet, or not with, what is needed
                self._failed(request, error)
            raise
        except _UNREADABLE as error:
            self._failed(request, f"an answer nobody can read: {error!r}")
            raise

    async def _metered(self, request: Request, answering: Awaitable[Answer]) -> Answer:
        try:
            answer = await answering
        except VenueError as error:
            self.meter.failed(request, error.__cause__ or error, self._client.last_response_headers)
            raise
        self.meter.heard(request, self._client.last_response_headers)
        return answer

    async def _outcome(self, request: Request, answering: Coroutine[Any, Any, Acked]) -> SendResult:
        try:
            answer = await answering
        except UnsentError as error:
            return Rejected(code="venue:request", detail=str(error))
        except asyncio.CancelledError:
            # The request may be under way; who cancels wants to know the state, not an exception.
            return Ambiguous(cause="cancelled")
        except Exception as error:  # noqa: BLE001 - whatever went wrong after the send leaves the order in doubt
            # no other answer came between this one and here, so the headers are this one's
            self.meter.failed(request, error, self._client.last_response_headers)
            said = self._words.verdict(error)
            if isinstance(said, Ambiguous):
                log.warning("send_in_doubt cause=%r", error)
            elif request is Request.CANCEL and said.code != NOT_FOUND:
                self._failed(request, error)  # for its order nothing follows from it
            return said
        self.meter.heard(request, self._client.last_response_headers)
        # What traded at once is told before the answer, be it in the answer or on the stream.
        with contextlib.suppress(asyncio.CancelledError):
            await self._words.spoken()
            await self._complete()
        self._read_stream()
        return answer

    def _failed(self, request: Request, why: object) -> None:
        self.meter.faults.failed(request.name.lower(), why)

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        def hear(fact: Fact) -> None:
            if isinstance(fact, Gap):
                self.meter.faults.failed("stream", "it broke, or said what nobody can read")
            on_fact(fact)

        reading = Reading(self._words.version, self._event_of, self._fill_of, self._end_of)
        if isinstance(self._words, Completing):
            reading = reading._replace(is_whole=self._words.is_whole, complete=self._complete)
        stream = UserStream(self._client, reading, lambda: self._last_seq)
        self._read_stream = lambda: stream.sweep(hear)
        try:
            await stream.follow(self._words.stands, hear, on_ready)
        finally:
            self._read_stream = lambda: None

    async def _complete(self) -> None:
        """Ask for what the stream left out, where it does: paid for as a look-up, again by the clock."""
        words = self._words
        if isinstance(words, Completing) and words.lacks() and self.meter.take(Request.LOOK_UP) is None:
            with contextlib.suppress(VenueError):
                await self._heard(Request.LOOK_UP, words.complete())

    async def hears(self) -> bool:
        return await self._words.stands()

    def _event_of(self, raw: Raw) -> OrderEvent | Fill | None:
        self._last_seq = max(self._last_seq, self._words.seq(raw))
        if self._is_forced(raw):
            return self._forced_fill(raw)
        iid, symbol = self._iid_of(raw), self._symbol_of(raw)
        return None if iid is None or symbol is None else self._words.event(iid, symbol, raw)

    def _fill_of(self, raw: Raw) -> Fill | None:
        if self._is_forced(raw):
            return self._forced_fill(raw)
        iid, symbol = self._iid_of(raw), self._symbol_of(raw)
        return None if iid is None or symbol is None else self._words.fill(iid, symbol, raw)

    def _is_forced(self, raw: Raw) -> bool:
        own = self._capabilities.forced
        return bool(own) and any(cid.startswith(own) for cid in self._words.client_ids(raw))

    def _forced_fill(self, raw: Raw) -> Fill | None:
        """Read what the venue's own order traded: nobody's here, but the account's.

        ccxt takes its executions for states, not for trades, and keeps the last; `unasked` brings the others.
        """
        symbol = self._symbol_of(raw)
        fill = None if symbol is None else self._words.fill(FORCED, symbol, raw)
        return fill if fill is not None and fill.qty > 0 else None

    def _end_of(self, raw: Raw) -> OrderEvent | None:
        iid, symbol = self._iid_of(raw), self._symbol_of(raw)
        return None if iid is None or symbol is None else self._words.end(iid, symbol, raw)

    def _iid_of(self, raw: Raw) -> bytes | None:
        for cid in self._words.client_ids(raw):
            if cid in self._iids:
                return self._iids[cid]
        self._foreign.add(self._words.venue_id(raw))
        return None

    def _symbol_of(self, raw: Raw) -> str | None:
        markets = self._client.markets_by_id.get(self._words.market(raw), ())
        return next((str(each["symbol"]) for each in markets if each[self._words.kind]), None)

    async def close(self) -> None:
        await self._client.close()
