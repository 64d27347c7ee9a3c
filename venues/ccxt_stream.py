"""Follow an account's orders and fills through ccxt.pro's caches, whatever the venue.

Problem: a `watch_*` call wakes for one message, and a message between two calls wakes nobody; but ccxt's
caches hold every message in between. So the caches are read when a call wakes and by the clock. And ccxt may
stumble over a failure of its own and leave behind what everybody waits for, for ever; or a venue ends a
stream on a socket that stays open, of which nobody who waits hears.

Not here: what a venue's fields mean (each adapter), what a gap leads to (the gateway).

Invariant: fills are told before the order's state that holds them; a lost connection is told as a `Gap`; what
a venue repeats is told once, whatever came between.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import ccxt

from parley.messages import Fill, Gap, OrderEvent
from venues.backoff import Backoff
from venues.port import OnFact

log = logging.getLogger(__name__)

_SWEEP_S: Final = 0.05
_LOOK_S: Final = 2.0
_DEAF_S: Final = 10.0  # a stream that ccxt replaces stands again sooner
_LOOK_BEHIND: Final = 32
_WHOLE_EVERY: Final = 100  # sweeps
_MOST_TOLD: Final = 50_000
Raw = Mapping[str, Any]


class Reading(NamedTuple):
    """How a venue's raw messages are read.

    ``version`` differs between two states of one order; the others give None for what is not ours. ``event``
    is a trade where the venue tells one only as a state. ``end`` is the state that a trade's message says its
    order ended with: ccxt keeps one state of an order, and an older one that comes again takes its place. A
    message is left in the cache until it ``is_whole``, and ``complete`` asks for what is missing.
    """

    version: Callable[[Raw], tuple[str, ...]]
    event: Callable[[Raw], OrderEvent | Fill | None]
    fill: Callable[[Raw], Fill | None]
    end: Callable[[Raw], OrderEvent | None] = lambda raw: None
    is_whole: Callable[[Raw], bool] = lambda raw: True
    complete: Callable[[], Awaitable[None]] | None = None


class UserStream:
    """Orders and fills of one account; ``last_seq`` is the venue's number of the newest message read."""

    def __init__(self, client: Any, reading: Reading, last_seq: Callable[[], int]) -> None:
        self._client = client
        self._reading = reading
        self._last_seq = last_seq
        self._told: dict[tuple[str, str], tuple[str, ...]] = {}
        self._told_trades: set[tuple[str, str]] = set()
        self._sweeps = 0
        self._pauses = 0

    async def follow(
        self, stands: Callable[[], Awaitable[bool]], on_fact: OnFact, on_ready: Callable[[], None]
    ) -> None:
        """Tell facts until cancelled; `on_ready` once when `stands` says that the venue confirmed."""
        watching = [
            asyncio.ensure_future(self._listen(watch, stands, on_fact))
            for watch in (self._client.watch_orders, self._client.watch_my_trades)
        ]
        try:
            while not await stands():
                await asyncio.sleep(_SWEEP_S / 10)
            on_ready()
            watching.append(asyncio.ensure_future(self._guard(stands, on_fact)))
            while True:
                await asyncio.sleep(_SWEEP_S)
                if self._reading.complete is not None:
                    await self._reading.complete()
                self.sweep(on_fact)
                for task in watching:
                    if task.done():  # by an error of our own: nobody would hear the stream any more
                        task.result()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _listen(
        self, watch: Callable[[], Awaitable[object]], stands: Callable[[], Awaitable[bool]], on_fact: OnFact
    ) -> None:
        backoff = Backoff()
        while True:
            try:
                await watch()
            except Exception as error:  # noqa: BLE001 - ccxt stumbles over messages in more ways than it names
                pause = backoff.pause_s()
                log.warning("user_stream_lost cause=%r retry_s=%.1f", error, pause)
                on_fact(Gap(stream="user", from_seq=self._last_seq(), to_seq=-1))
                self._pauses += 1
                try:
                    await asyncio.sleep(pause)
                finally:
                    self._pauses -= 1
                if not isinstance(error, ccxt.BaseError) and not await stands():
                    self._begin_anew()
            else:
                backoff.worked()
                self.sweep(on_fact)

    async def _guard(self, stands: Callable[[], Awaitable[bool]], on_fact: OnFact) -> None:
        """Begin a stream anew that does not stand, while nobody has heard of its end.

        So Binance ends one (`eventStreamTerminated`): ccxt forgets the subscription and lets the socket be.
        """
        deaf_since = 0.0
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._pauses or await stands():
                deaf_since = 0.0
            elif not deaf_since:
                deaf_since = time.monotonic()
            elif time.monotonic() - deaf_since >= _DEAF_S:
                log.warning("user_stream_deaf for_s=%.0f", time.monotonic() - deaf_since)
                on_fact(Gap(stream="user", from_seq=self._last_seq(), to_seq=-1))
                self._begin_anew()
                deaf_since = 0.0

    def _begin_anew(self) -> None:
        """Take ccxt's sockets from it: whoever waits on one of them hears that it is lost.

        A subscription that failed while its socket broke is kept as one under way (seen with Binance, whose
        `KeyError('spot')` it is), and the next call waits for its end.
        """
        for socket in list(self._client.clients.values()):
            socket.on_error(ccxt.NetworkError("the stream is begun anew"))

    def sweep(self, on_fact: OnFact) -> None:
        """Tell what is in the caches and was not told."""
        self._sweeps += 1
        # Trades first: whoever hears that an order is closed has heard of its fills.
        for raw in self._new_trades():
            self._tell(self._reading.fill, raw, on_fact)
            self._tell(self._reading.end, raw, on_fact)
        for raw in self._new_orders():
            self._tell(self._reading.event, raw, on_fact)

    def _tell(self, read: Callable[[Raw], Fill | OrderEvent | None], raw: Raw, on_fact: OnFact) -> None:
        try:
            fact = read(raw)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            # one message that nobody can read hides no other; what it said is a gap
            log.error("user_stream_unreadable cause=%r", error)
            on_fact(Gap(stream="user", from_seq=self._last_seq(), to_seq=-1))
            return
        if fact is not None:
            on_fact(fact)

    def _new_orders(self) -> list[Raw]:
        found = []
        for order in self._unread(self._client.orders, self._is_told):
            raw = order["info"]
            if not self._reading.is_whole(raw):
                continue
            self._told[order["symbol"], order["id"]] = self._reading.version(raw)
            found.append(raw)
        return found

    def _is_told(self, order: Raw) -> bool:
        told = self._told.get((order["symbol"], order["id"]))
        return told is not None and told == self._reading.version(order["info"])

    def _new_trades(self) -> list[Raw]:
        cache = self._client.myTrades
        unread = self._unread(cache, lambda trade: (trade["symbol"], trade["id"]) in self._told_trades)
        found = [trade for trade in unread if self._reading.is_whole(trade["info"])]
        self._told_trades.update((trade["symbol"], trade["id"]) for trade in found)
        if len(self._told_trades) > _MOST_TOLD:  # the gateway knows its trades; here only the cache matters
            self._told_trades = {(trade["symbol"], trade["id"]) for trade in cache}
        return [trade["info"] for trade in found]

    def _unread(self, cache: Sequence[Raw] | None, is_known: Callable[[Raw], bool]) -> list[Raw]:
        """Return the new ones of a cache, oldest first.

        ccxt moves what comes again to the end, so the new ones are near the tail, but a repeated old one may
        lie behind them: the tail is looked through some way past it, and at times the whole.
        """
        most = len(self._told) + len(self._told_trades) if self._sweeps % _WHOLE_EVERY == 0 else _LOOK_BEHIND
        found: list[Raw] = []
        known = 0
        for each in reversed(cache) if cache is not None else ():
            if is_known(each):
                known += 1
                if known > most:
                    break
            else:
                found.append(each)
        return found[::-1]
