"""From a venue's caches to a desk: batches, one at a time, and what a desk that comes back lacks.

Problem: the venue speaks at any moment and the desk takes one batch after the other; either may die and come
back. So what is gathered waits in the next batch, what was sent is kept until it is known to be durable, and
a desk that has a past says what it has before it is sent anything.

Not here: what a closed candle is (`candle_close`), what a batch holds (`hub_feed`), when one is due (`hub`).

Invariant: at most one batch is under way to the desk; bars and gaps are never dropped, and none is sent to a
desk that has it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from parley.errors import Fatal, ProtocolError
from parley.instruments import at, exchange_of, plain
from parley.messages import Bar, Book, Envelope, Mark
from runtime.candle_close import CandleClose
from runtime.candle_repair import FOR_GOOD, CandleRepair
from runtime.frames import CONTROL, Link, control, wrap
from runtime.hub_away import AwayFeed
from runtime.hub_control import End
from runtime.hub_feed import Conflation, Marks, Seen, Sent, Step, behind
from runtime.hub_have import Have, read_have
from runtime.unit import UnitConfig
from venues.several_feed import Feed

_NONE_TOLD: Final = -2  # instead of a book's number
_ARRIVAL_PATIENCE_S: Final = 30.0
# The last candle of a feed has none after it; a step's messages are written at once, so after this long
# without a newer candle it is the last one.
_LAST_CANDLE_S: Final = 0.1
_LAST_CANDLE_SURE_S: Final = 2.0
_SPINS: Final = 25
_POLL_S: Final = 0.0005


class HubConfig(UnitConfig, frozen=True, kw_only=True):
    """Everything a hub is told. `streams` of candle, trade, book, mark; `levels` of a book's side sent on.

    Marks are of contracts alone; those of a symbol are sent on ``mark_gap_s`` of market time or more apart.

    ``exchange`` is ccxt's name of the venue. ``desk_returns_s``: how long a hub outlives its desk, for one
    that is started again. ``heartbeat``: the file in which it says that it lives. ``also`` are further
    exchanges, told of by the same ``timeframe`` and ``streams``.
    """

    socket: str
    symbols: tuple[str, ...]
    exchange: str = "binance"
    timeframe: str = "1m"
    rest: str = ""
    ws: str = ""
    control: str = ""
    lockstep: bool = False
    streams: tuple[str, ...] = ("candle", "trade", "book", "mark")
    levels: int = 10
    max_prints: int = 256
    tenant: str = "local"
    desk: int = 1
    desk_returns_s: float = 0.0
    heartbeat: str = ""
    also: tuple[AwayFeed, ...] = ()
    mark_gap_s: float = 0.0


class Totals(msgspec.Struct, kw_only=True):
    """What a hub counts over its life; sent with the end.

    ``candles_seen`` begins with those that the desk had before it.
    """

    steps: int = 0
    candles_seen: int = 0
    candles_sent: int = 0
    candles_closed: int = 0
    fills: int = 0
    skipped: int = 0
    missed: int = 0
    reconnects: int = 0
    resyncs: int = 0


class Hub:
    """Reads the feed's caches into batches and sends them to one desk, one after the other was closed.

    One that ``takes_over`` sends nothing before its first desk has said what it has.
    """

    def __init__(self, config: HubConfig, feed: Feed, *, takes_over: bool = False) -> None:
        self._config = config
        self._takes_over = takes_over
        self._feed = feed
        self._closes = {symbol: CandleClose(symbol, feed.tf_ms) for symbol in feed.symbols}
        self._repair = CandleRepair(feed, self._on_bars)
        self._trades = dict.fromkeys(feed.symbols, -1)
        self._missed = dict.fromkeys(feed.symbols, 0)
        self._books = dict.fromkeys(feed.symbols, -1)
        self._follows = takes_over  # whether the desk may hold books told by somebody else, or by us long ago
        self._marks = dict.fromkeys(feed.symbols, -1)
        self._next = Conflation(config.max_prints, round(config.mark_gap_s * 1e9))
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
        self.on_free: Callable[[], None] = lambda: None
        self._last_sent = 0  # here, or by a hub before this one
        self._in_flight_before: int | None = None
        self.t = 0  # market time of the last batch, here or before, ns
        self.totals = Totals()

    # ------------------------------------------------------------------ the desk

    def on_connect(self, link: Link) -> None:
        """Take a desk's connection; there is one desk at a time, the last that says what it has."""
        if self._connected.is_set():
            link.on_envelope = lambda envelope: self._go_on(link, envelope)
        else:
            self._take(link)
            link.on_envelope = lambda envelope: self._first(link, envelope)
            if not self._takes_over:
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
            raise ProtocolError(f"expected 'have:' of a desk that comes back, got {envelope.body[:40]!r}")
        if (old := self._link) is not None:  # killed, and the end of its line is not read yet
            self._link = None
            old.close("another desk connected")
        self._take(link)
        self._in_flight_before = None
        if self._batch is not None:
            link.send(self._batch)
        else:
            if had.step > self._last_sent:  # the first desk was killed before it could say so
                self._resume(had)
            else:
                self._give_back(had.step)
        if self._end:
            link.send(control(self._end, sender="hub", to="desk"))

    def _first(self, link: Link, envelope: Envelope) -> None:
        """Take the first word of the first desk: one that was killed before it came here has nothing."""
        link.on_envelope = self._credit
        had = _had(envelope)
        if had is None:
            self._credit(envelope)
        elif had.step or self._takes_over:
            self._in_flight_before = self._in_flight  # an old number to this desk: it will close it unread
            self._resume(had)
            self._connected.set()

    def _resume(self, had: Have) -> None:
        """Count on from the steps of a hub before this one; what this one sent so far nobody has read.

        The candles between are asked for; the trades between nobody tells any more.
        """
        self.on_gap(f"trade: the run went on after step {had.step}, what was traded meanwhile is not known")
        self._last_sent = max(had.step, self._last_sent)
        self.t = max(had.t, self.t)
        self._next.follow(self.t)
        self.totals.candles_seen += had.candles
        for symbol, close in self._closes.items():
            last = had.last_bar(symbol, self._feed.tf_ms)
            if close.closed < 0 <= last:
                close.go_on_after(last)
        self._give_back(0)

    def _give_back(self, had: int) -> None:
        """Put what a desk does not have into the next batch; by the clock that is every book and mark."""
        if not self._config.lockstep:
            self._books, self._follows = dict.fromkeys(self._books, -1), True
            self._marks = dict.fromkeys(self._marks, -1)
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
        self.on_free()

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

    @property
    def has_bars(self) -> bool:
        """Whether the next batch would hold a closed candle."""
        return self._next.has_bars

    def on_gap(self, note: str) -> None:
        """Note in the next batch that something was missed."""
        self._next.add_gap(note)

    def on_break(self, note: str, symbols: Sequence[str] = ()) -> None:
        """Note that a connection was lost: what was forming over it may never be told whole.

        ``symbols``: which ones came over it, empty: all.
        """
        self.on_gap(note)
        for symbol in symbols or self._closes:
            close = self._closes[symbol]
            close.broken(self._feed.candles(symbol, close.closed))

    def send(self, step: int, t: int, fills_due: int = -1) -> None:
        """Send what was gathered as one batch; the desk must have closed the last one."""
        batch = self._next.take(step, t, fills_due)
        self.totals.steps += 1
        self._last_sent, self.t = step, batch.t
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
        listed = {_pair(each): count for each, count in end.candles_closed.items()}
        totals.candles_closed = sum(listed.get(_pair(each), 0) for each in self._feed.symbols)
        totals.reconnects, totals.resyncs = self._feed.reconnects, self._feed.resyncs
        totals.missed = sum(each.missed for each in self._closes.values())
        self._end = "end:" + msgspec.json.encode(totals).decode()
        if self._link is not None:
            self._link.send(control(self._end, sender="hub", to="desk"))

    async def finish(self) -> None:
        """Take what is still in doubt from the venue's list, when no candle forms any more."""
        doubtful = [(symbol, close) for symbol, close in self._closes.items() if close.is_unsure]
        await self._repair.idle()
        for symbol, close in doubtful:
            self._repair.ask(symbol, close, FOR_GOOD)
        await self._repair.idle()

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
                self._take_last_bars(marks, is_certain=waited > _LAST_CANDLE_SURE_S)
            if waited > _ARRIVAL_PATIENCE_S:
                raise Fatal(
                    f"step {step.step} did not arrive within {_ARRIVAL_PATIENCE_S} s: {'; '.join(late)}"
                )
            spins += 1
            # The messages were written before the announcement: mostly one turn of the loop is enough.
            await asyncio.sleep(0 if spins < _SPINS else _POLL_S)

    def _seen(self) -> dict[str, Seen]:
        return {symbol: self._seen_of(symbol) for symbol in self._feed.symbols}

    def _seen_of(self, symbol: str) -> Seen:
        feed, close = self._feed, self._closes[symbol]
        candle = close.closed if "candle" in feed.streams else None
        trade = feed.last_trade_id(symbol) if "trade" in feed.streams else None
        mark = feed.mark_number(symbol) if "mark" in feed.streams else None
        if not self._config.lockstep:
            if close.is_unsure:
                candle = None  # it comes when the venue was asked; books do not wait for that
            if self._takes_over:  # what was told before it came does not come again
                candle, trade, mark = (None if each == -1 else each for each in (candle, trade, mark))
        book = feed.book_number(symbol) if "book" in feed.streams else None
        return Seen(candle=candle, trade=trade, book=book, mark=mark)

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

    def _take_last_bars(self, marks: Mapping[str, Marks], *, is_certain: bool) -> None:
        for symbol, close in self._closes.items():
            wanted = marks.get(symbol)
            if wanted is None or wanted.candle is None:
                continue  # of an exchange whose step this is not
            rows = self._feed.candles(symbol, close.closed)
            if len(rows) == 1 and rows[0][0] <= wanted.candle:  # a newer one forms on
                bars = close.take_last(rows[0], is_certain=is_certain)
                self.totals.candles_seen += len(bars)
                self._next.add_bars(bars)

    def gather(self, t: int) -> None:
        """Take bars, books, marks and prints out of the caches; `t` is market time in ns."""
        self._take_bars()
        for symbol in self._feed.symbols:
            number = self._feed.book_number(symbol)
            if number < 0 and self._follows and self._books[symbol] == -1:
                # there is none now: that too has to take the place of an old one
                self._books[symbol] = _NONE_TOLD
                self._next.add_book(Book(symbol=symbol, t=t, seq=0, bids=(), asks=()))
            # another one, not a higher one: OKX begins its numbers anew after maintenance, without a snapshot
            if number >= 0 and number != self._books[symbol]:
                is_first, self._books[symbol] = self._books[symbol] < 0, number
                seq, wall, bids, asks = self._feed.book(symbol, self._config.levels)
                self._t_event = max(self._t_event, wall)
                # of one that follows another, a book without a side has to take the place of an old one
                if (bids and asks) or (is_first and self._follows):
                    self._next.add_book(Book(symbol=symbol, t=t, seq=seq, bids=bids, asks=asks))
            self._gather_mark(symbol, t)
            trades = self._feed.trades(symbol, self._trades[symbol])
            if trades:
                self._trades[symbol] = trades[-1][0]
                self._next.add_prints(symbol, [each for _, each in trades])

    def _gather_mark(self, symbol: str, t: int) -> None:
        if "mark" not in self._feed.streams:
            return
        number = self._feed.mark_number(symbol)
        if number >= 0 and number != self._marks[symbol]:
            self._marks[symbol] = number
            px, rate, next_funding = self._feed.mark(symbol)
            self._next.add_mark(Mark(symbol=symbol, t=t, px=px, rate=rate, next_funding=next_funding))


def _had(envelope: Envelope) -> Have | None:
    """Return what a desk says it has, None when it says something else."""
    return read_have(envelope.body) if envelope.kind == CONTROL else None


def _pair(symbol: str) -> str:
    """Write a symbol as the sandbox does; what a contract settles in is no part of it."""
    return at(plain(symbol).partition(":")[0].replace("/", ""), exchange_of(symbol))
