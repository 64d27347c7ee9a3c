"""The market data process: streams of a venue in, one batch at a time out to the desk.

Run as ``python -m runtime.hub --config FILE.json``; it writes one JSON line when it serves. A desk gets
`MarketBatch` envelopes and answers each with the control text ``closed:<step>``: that is its credit for the
next one. ``end:<json>`` follows when the venue's feed ends. A desk that comes to a stream under way says
``have:<step>`` of the last batch it has: in lock-step the one under way is sent again, otherwise what it lost
goes into the next one.

Three ways to pace it: in lock-step with a sandbox (`lockstep`: one step, one batch, then the sandbox may go
on), behind a sandbox that runs by the clock (a control socket without `lockstep`), or by arrival (no control
socket), where ``t`` is wall time because market and wall are the same.

Not here: what a closed candle is (`candle_close`) and what a batch holds (`hub_feed`), ccxt
(`venues.ccxt_feed`), the sandbox's announcements (`hub_control`).

Invariant: at most one batch is under way to the desk; bars and gaps are never dropped, and none is sent to a
desk that has it.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ConfigError, Fatal, ProtocolError
from parley.messages import Bar, Book, Envelope
from runtime.candle_close import CandleClose
from runtime.candle_repair import CandleRepair
from runtime.frames import CONTROL, Link, control, listen, wrap
from runtime.hub_control import End, Sandbox
from runtime.hub_feed import MS, Conflation, Seen, Sent, Step, behind
from runtime.unit import UnitConfig, announce, die_with_parent, first_of, path_of, read_config, run_unit
from venues.adapters import feed_of
from venues.ccxt_feed import CcxtFeed

_ARRIVAL_PATIENCE_S: Final = 30.0
# The last candle of a feed has none after it; a step's messages are written at once, so after this long
# without a newer candle it is the last one.
_LAST_CANDLE_S: Final = 0.1
_LAST_CANDLE_SURE_S: Final = 2.0
_SPINS: Final = 25
_POLL_S: Final = 0.0005
_BY_ARRIVAL_S: Final = 0.02
# How long a stream is left unwatched between steps: its messages are in the caches anyway.
_BETWEEN_STEPS_S: Final = 0.25


class HubConfig(UnitConfig, frozen=True, kw_only=True):
    """Everything a hub is told. `streams` of candle, trade, book; `levels` of a book's side sent on.

    ``exchange`` is ccxt's name of the venue. ``desk_returns_s``: how long a hub outlives its desk, for one
    that is started again.
    """

    socket: str
    symbols: tuple[str, ...]
    exchange: str = "binance"
    timeframe: str = "1m"
    rest: str = ""
    ws: str = ""
    control: str = ""
    lockstep: bool = False
    streams: tuple[str, ...] = ("candle", "trade", "book")
    levels: int = 10
    max_prints: int = 256
    tenant: str = "local"
    desk: int = 1
    desk_returns_s: float = 0.0


class Totals(msgspec.Struct, kw_only=True):
    """What a hub counts over its life; sent with the end."""

    steps: int = 0
    candles_seen: int = 0
    candles_sent: int = 0
    fills: int = 0
    skipped: int = 0
    missed: int = 0
    reconnects: int = 0
    resyncs: int = 0


class Hub:
    """Reads the feed's caches into batches and sends them to one desk, one after the other was closed."""

    def __init__(self, config: HubConfig, feed: CcxtFeed) -> None:
        self._config = config
        self._feed = feed
        self._closes = {symbol: CandleClose(symbol, feed.tf_ms) for symbol in feed.symbols}
        self._repair = CandleRepair(feed, self._on_bars)
        self._trades = dict.fromkeys(feed.symbols, -1)
        self._missed = dict.fromkeys(feed.symbols, 0)
        self._books = dict.fromkeys(feed.symbols, -1)
        self._next = Conflation(config.max_prints)
        self._t_event = 0
        self._link: Link | None = None
        self._in_flight: int | None = None
        self._batch: Envelope | None = None  # the one in flight, while in lock-step
        self._sent = Sent()
        self._end = ""
        self._returns: asyncio.TimerHandle | None = None
        self._connected = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self.desk_left = asyncio.Event()
        self._last_sent = 0  # here, or by a hub before this one
        self._in_flight_before: int | None = None
        self.totals = Totals()

    # ------------------------------------------------------------------ the desk

    def on_connect(self, link: Link) -> None:
        """Take a desk's connection; there is one desk at a time, the last that says what it has."""
        if self._connected.is_set():
            link.on_envelope = lambda envelope: self._go_on(link, envelope)
        else:
            self._take(link)
            link.on_envelope = lambda envelope: self._first(link, envelope)
            self._connected.set()

    def _take(self, link: Link) -> None:
        self._link = link
        link.on_envelope = self._credit
        link.on_lost = lambda why: self._left(link)
        if self._returns is not None:
            self._returns.cancel()

    def _left(self, link: Link) -> None:
        if self._link is not link:
            return
        self._link = None
        loop = asyncio.get_running_loop()
        self._returns = loop.call_later(self._config.desk_returns_s, self.desk_left.set)

    def _go_on(self, link: Link, envelope: Envelope) -> None:
        """Go on with a desk that came back and says what it has."""
        had = _had(envelope)
        if had is None:
            raise ProtocolError(
                f"expected 'have:<step>' of a desk that comes back, got {envelope.body[:40]!r}"
            )
        if (old := self._link) is not None:  # killed, and the end of its line is not read yet
            self._link = None
            old.close("another desk connected")
        self._take(link)
        self._in_flight_before = None
        if self._batch is not None:
            link.send(self._batch)
        else:
            if had > self._last_sent:  # the first desk was killed before it could say so
                self._resume(had)
            else:
                self._give_back(had)
        if self._end:
            link.send(control(self._end, sender="hub", to="desk"))

    def _first(self, link: Link, envelope: Envelope) -> None:
        """Take the first word of the first desk: one that was killed before it came here has nothing."""
        link.on_envelope = self._credit
        had = _had(envelope)
        if had is None:
            self._credit(envelope)
        elif had:
            self._in_flight_before = self._in_flight  # an old number to this desk: it will close it unread
            self._resume(had)

    def _resume(self, had: int) -> None:
        """Count on from the steps of a hub before this one; what this one sent so far nobody has read."""
        self.on_gap(f"candle: the run went on after step {had}, what was traded meanwhile is not known")
        self._last_sent = max(had, self._last_sent)
        self._give_back(0)

    def _give_back(self, had: int) -> None:
        """Put what a desk does not have into the next batch."""
        bars, gaps = self._sent.take_after(had)
        self._next.add_bars(bars)
        for gap in gaps:
            self._next.add_gap(gap)
        self._closed()

    def _credit(self, envelope: Envelope) -> None:
        if envelope.kind != CONTROL:
            raise ProtocolError(f"a hub takes no messages, got kind {envelope.kind}")
        name, _, number = envelope.body.decode(errors="replace").partition(":")
        if name == "closed" and number == str(self._in_flight_before):
            self._in_flight_before = None
            return
        if name != "closed" or number != str(self._in_flight):
            raise ProtocolError(f"expected 'closed:{self._in_flight}', got {envelope.body[:40]!r}")
        self._closed()

    def _closed(self) -> None:
        self._in_flight = self._batch = None
        self._free.set()

    async def opened(self) -> None:
        """Wait until a desk is connected and the venue confirmed every stream.

        Raises
        ------
        Fatal
            When the venue does not confirm within 30 s.
        """
        await self._connected.wait()
        try:
            async with asyncio.timeout(_ARRIVAL_PATIENCE_S):
                while not await self._feed.is_subscribed():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Fatal(f"the venue did not confirm the streams within {_ARRIVAL_PATIENCE_S} s") from None

    @property
    def is_free(self) -> bool:
        """Whether the desk closed its last batch."""
        return self._in_flight is None

    @property
    def next_step(self) -> int:
        """The number of the next batch, where nobody else counts them."""
        return self._last_sent + 1

    @property
    def has_news(self) -> bool:
        """Whether the next batch would hold anything."""
        return self._next.has_news

    def on_gap(self, note: str) -> None:
        """Note in the next batch that something was missed."""
        self._next.add_gap(note)

    def on_break(self, note: str) -> None:
        """Note that a connection was lost: what was forming then may never be told whole."""
        self.on_gap(note)
        for symbol, close in self._closes.items():
            close.broken(self._feed.candles(symbol, close.closed))

    def send(self, step: int, t: int, fills_due: int = -1) -> None:
        """Send what was gathered as one batch; the desk must have closed the last one."""
        batch = self._next.take(step, t, fills_due)
        self.totals.steps += 1
        self._last_sent = step
        self.totals.skipped += batch.skipped
        self._in_flight = step
        self._free.clear()
        self._sent.keep(batch)
        envelope = wrap(
            batch, sender="hub", to="desk", tenant=self._config.tenant, desk=self._config.desk,
            seq=self.totals.steps, t_event=self._t_event or time.time_ns(), t_mono=time.monotonic_ns(),
        )  # fmt: skip
        if fills_due >= 0:
            self._batch = envelope
        if self._link is not None:
            self._link.send(envelope)
        self._t_event = 0

    async def closed(self) -> None:
        """Wait until the desk closed the last batch."""
        await self._free.wait()

    def send_end(self, end: End) -> None:
        """Tell the desk that the feed ended, and the totals to compare."""
        totals = self.totals
        totals.candles_sent, totals.fills = end.candles_sent, end.fills
        totals.reconnects, totals.resyncs = self._feed.reconnects, self._feed.resyncs
        totals.missed = sum(each.missed for each in self._closes.values())
        self._end = "end:" + msgspec.json.encode(totals).decode()
        if self._link is not None:
            self._link.send(control(self._end, sender="hub", to="desk"))

    async def stop(self) -> None:
        """Ask the venue nothing more."""
        await self._repair.stop()

    # ------------------------------------------------------------------ the feed

    async def arrived(self, step: Step) -> None:
        """Wait until ccxt's caches reached the marks of a step, taking in bars on the way.

        Raises
        ------
        Fatal
            When they did not within 30 s; names the streams that are behind.
        """
        marks = {symbol: mark for each, mark in step.marks.items() if (symbol := self._feed.symbol_of(each))}
        started = time.monotonic()
        spins = 0
        while True:
            self._take_bars()
            late = behind(marks, self._seen())
            if not late:
                return
            waited = time.monotonic() - started
            if waited > _LAST_CANDLE_S:
                self._take_last_bars(is_certain=waited > _LAST_CANDLE_SURE_S)
            if waited > _ARRIVAL_PATIENCE_S:
                raise Fatal(
                    f"step {step.step} did not arrive within {_ARRIVAL_PATIENCE_S} s: {'; '.join(late)}"
                )
            spins += 1
            # The messages were written before the announcement: mostly one turn of the loop is enough.
            await asyncio.sleep(0 if spins < _SPINS else _POLL_S)

    def _seen(self) -> dict[str, Seen]:
        feed = self._feed
        has_candles, has_trades, has_books = (each in feed.streams for each in ("candle", "trade", "book"))
        return {
            symbol: Seen(
                candle=self._closes[symbol].closed if has_candles else None,
                trade=feed.last_trade_id(symbol) if has_trades else None,
                book=feed.book_number(symbol) if has_books else None,
            )
            for symbol in feed.symbols
        }

    def _take_bars(self) -> None:
        self._feed.notice_replaced(self.on_break)
        for symbol, close in self._closes.items():
            self._on_bars(symbol, close.take(self._feed.candles(symbol, close.closed)))
            if close.is_unsure:
                self._repair.ask(symbol, close)

    def _on_bars(self, symbol: str, bars: Sequence[Bar]) -> None:
        self.totals.candles_seen += len(bars)
        self._next.add_bars(bars)
        missed = self._closes[symbol].missed
        if missed > self._missed[symbol]:
            self.on_gap(f"candle: {symbol} misses {missed - self._missed[symbol]}")
            self._missed[symbol] = missed

    def _take_last_bars(self, *, is_certain: bool) -> None:
        for symbol, close in self._closes.items():
            rows = self._feed.candles(symbol, close.closed)
            if len(rows) == 1:
                bars = close.take_last(rows[0], is_certain=is_certain)
                self.totals.candles_seen += len(bars)
                self._next.add_bars(bars)

    def gather(self, t: int) -> None:
        """Take bars, books and prints out of the caches; `t` is market time in ns."""
        self._take_bars()
        for symbol in self._feed.symbols:
            number = self._feed.book_number(symbol)
            # another one, not a higher one: OKX begins its numbers anew after maintenance, without a snapshot
            if number >= 0 and number != self._books[symbol]:
                self._books[symbol] = number
                seq, wall, bids, asks = self._feed.book(symbol, self._config.levels)
                self._t_event = max(self._t_event, wall)
                if bids and asks:
                    self._next.add_book(Book(symbol=symbol, t=t, seq=seq, bids=bids, asks=asks))
            trades = self._feed.trades(symbol, self._trades[symbol])
            if trades:
                self._trades[symbol] = trades[-1][0]
                self._next.add_prints(symbol, [each for _, each in trades])


def _had(envelope: Envelope) -> int | None:
    """Return the step a desk says it has, None when it says something else."""
    name, _, number = envelope.body.decode(errors="replace").partition(":")
    return int(number) if envelope.kind == CONTROL and name == "have" and number.isdecimal() else None


async def run_lockstep(hub: Hub, sandbox: Sandbox) -> None:
    """One step, one batch, one acknowledgement, until the feed ends."""
    await hub.opened()
    sandbox.go()
    while isinstance(step := await sandbox.next(), Step):
        await hub.arrived(step)
        hub.gather(step.t * MS)
        hub.send(step.step, step.t * MS, step.fills)
        await hub.closed()
        sandbox.acknowledge(step.step)
    hub.send_end(step)


async def run_announced(hub: Hub, sandbox: Sandbox) -> None:
    """Follow a sandbox that runs by the clock; steps that meet a busy desk share the next batch."""
    await hub.opened()
    sandbox.go()
    last: Step | None = None
    is_unsent = False
    while isinstance(step := await sandbox.next(), Step):
        await hub.arrived(step)
        hub.gather(step.t * MS)
        last, is_unsent = step, not hub.is_free
        if hub.is_free:
            hub.send(step.step, step.t * MS)
    await hub.closed()
    while last is not None and (is_unsent or hub.has_news):  # news: what a killed desk gave back
        hub.send(last.step, last.t * MS)
        is_unsent = False
        await hub.closed()
    hub.send_end(step)


async def run_by_arrival(hub: Hub, feed: CcxtFeed) -> None:
    """Send what came whenever the desk is free; market time is wall time."""
    await hub.opened()
    while True:
        feed.heard.clear()
        now = time.time_ns()
        hub.gather(now)
        if hub.is_free and hub.has_news:
            hub.send(hub.next_step, now)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(feed.heard.wait(), _BY_ARRIVAL_S)


async def serve(config: HubConfig, stop: asyncio.Event) -> None:
    """Run a hub until `stop`, or until its desk left.

    Raises
    ------
    UserError
        When configuration or socket cannot be used, or venue or sandbox cannot be reached at the start.
    Fatal
        When a step does not arrive, or the sandbox is lost.
    """
    if config.lockstep and not config.control:
        raise ConfigError("lockstep needs the sandbox's control socket in 'control'")
    feed = feed_of(
        config.exchange, config.rest, config.ws,
        symbols=config.symbols, timeframe=config.timeframe, streams=config.streams,
        pause_s=_BETWEEN_STEPS_S if config.control else _BY_ARRIVAL_S / 2,
    )  # fmt: skip
    try:
        await feed.connect()
        hub = Hub(config, feed)
        server = await listen(path_of(config.socket), hub.on_connect)
        try:
            if config.control:
                sandbox = await Sandbox.greet(path_of(config.control))
                pace = run_lockstep(hub, sandbox) if config.lockstep else run_announced(hub, sandbox)
            else:
                pace = run_by_arrival(hub, feed)
            announce({"ready": True, "unit": "hub", "pid": os.getpid(), "socket": config.socket})
            await first_of(
                stop, _then_stay(pace), feed.follow(hub.on_gap, hub.on_break), _until(hub.desk_left)
            )
        finally:
            await hub.stop()
            server.close()
            path_of(config.socket).unlink(missing_ok=True)
    finally:
        await feed.close()


async def _then_stay(pace: Coroutine[None, None, None]) -> None:
    # After the end of the feed the desk still reads; it leaves when it is done.
    await pace
    await asyncio.Event().wait()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def main() -> int:
    """Run the hub's process and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m runtime.hub", description="Market data of one venue.")
    parser.add_argument("--config", required=True, type=Path, help="JSON file, see HubConfig")
    arguments = parser.parse_args()

    async def run(stop: asyncio.Event) -> None:
        die_with_parent()
        await serve(read_config(arguments.config, HubConfig), stop)

    return run_unit("hub", run)


if __name__ == "__main__":
    sys.exit(main())
