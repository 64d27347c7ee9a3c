"""Market data of a venue (or its sandbox) through ccxt.pro's caches: what is the same for all venues.

Problem: one `watch_*` call per message costs more than the message, and a message between two calls wakes
nobody. So the streams are watched only now and then, to subscribe, reconnect and hear of errors; what is
read are ccxt's caches, which hold every message in between. Who wants to know at once that there is something
to read is woken by the sockets (`hear_at_once`, `venues.arrivals`).

Not here: which candle is closed, what is sent to whom (`runtime.hub`); what a venue's sockets and book
numbers are like (its `MarketWords`).

Invariant: nothing is read twice and nothing in the caches is passed over, while they are read at least once
per 10,000 trades of a symbol; a lost connection or a book out of sequence is noted as a gap. Of marks only
the newest counts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import ccxt

from parley.errors import ConfigError, UserError, nearest
from parley.messages import Print
from venues.arrivals import Arrivals
from venues.backoff import Backoff
from venues.ccxt_client import MS
from venues.ccxt_marks import mark_of, number_of
from venues.port import VenueError
from venues.words import MarketWords

log = logging.getLogger(__name__)

OnGap = Callable[[str], None]
Raw = Mapping[str, Any]
Numbered = Callable[[Iterator[Raw]], Iterator[tuple[int, Raw]]]
"""Gives trades, newest first, numbers that grow in the order in which they came."""
Levels = tuple[tuple[float, float], ...]

_READ_ON_S: Final = 0.01
_MOST_CANDLES: Final = 1000
_KINDS: Final = ("candle", "trade", "book", "mark")


def by_id(newest_first: Iterator[Raw]) -> Iterator[tuple[int, Raw]]:
    """Number trades as the venue does."""
    return ((int(trade["id"]), trade) for trade in newest_first)


class CcxtFeed:
    """Streams of `symbols`; `pause_s` is how long a stream is left alone after it was heard.

    ``numbered`` is for venues whose own ids of trades do not grow. Marks are of contracts: once connected,
    `streams` has none where there is no contract among the symbols or the venue does not stream them.
    """

    def __init__(
        self, client: Any, words: MarketWords, *, symbols: Sequence[str], timeframe: str,
        streams: Sequence[str], pause_s: float, numbered: Numbered = by_id,
    ) -> None:  # fmt: skip
        for stream in streams:
            if stream not in _KINDS:
                raise ConfigError(f"no stream {stream!r}; {nearest(stream, list(_KINDS))}")
        if timeframe not in client.timeframes:
            raise ConfigError(f"no timeframe {timeframe!r}; {nearest(timeframe, list(client.timeframes))}")
        self._client = client
        self._words = words
        self._numbered = numbered
        self._timeframe = timeframe
        self._pause_s = pause_s
        self.symbols = tuple(sorted(symbols))
        self.streams = frozenset(streams)
        self.tf_ms = int(client.parse_timeframe(timeframe)) * 1000
        self.reconnects = 0
        self.resyncs = 0
        self.heard = asyncio.Event()
        self._contracts: list[str] = []
        self._ids: dict[str, str] = {}
        self._arrivals: Arrivals | None = None
        self._sockets: dict[str, object] = {}  # held, so that no new one comes to lie where an old one lay

    async def connect(self) -> None:
        """Load the markets.

        Raises
        ------
        UserError
            When the venue does not answer, or does not list a symbol.
        """
        try:
            await self._client.load_markets()
        except ccxt.BaseError as error:
            raise UserError(f"the venue's markets cannot be read: {type(error).__name__}: {error}") from error
        for symbol in self.symbols:
            if symbol not in self._client.markets:
                raise ConfigError(
                    f"the venue does not list {symbol!r}; {nearest(symbol, list(self._client.symbols))}"
                )
            self._ids[str(self._client.markets[symbol]["id"])] = symbol
        self._contracts = [
            each for each in self.symbols if self._client.markets[each].get("contract") is True
        ]
        if not self._contracts or self._client.has.get("watchMarkPrices") is not True:
            self.streams -= {"mark"}

    def symbol_of(self, venue_id: str) -> str | None:
        """Return the symbol of a venue's id if it is one of ours."""
        return self._ids.get(venue_id)

    async def follow(self, on_gap: OnGap, on_break: OnGap) -> None:
        """Keep the streams subscribed until cancelled; an error is answered by a new connection.

        ``on_break`` hears of a connection that was lost, ``on_gap`` of what was lost on one that stands.
        """
        most = self._words.most_symbols
        tasks = [
            asyncio.ensure_future(self._watch(kind, self._call(kind, group), on_gap, on_break))
            for kind in sorted(self.streams)
            for group in self._groups(
                self._contracts if kind == "mark" else self.symbols,
                1 if kind == "candle" and not self._has_candles_together() else most,
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _groups(self, symbols: Sequence[str], most: int) -> list[list[str]]:
        return [list(symbols[at : at + most]) for at in range(0, len(symbols), most)]

    def _has_candles_together(self) -> bool:
        return bool(self._client.has.get("watchOHLCVForSymbols"))

    def _call(self, kind: str, symbols: list[str]) -> Callable[[], Awaitable[object]]:
        client = self._client
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "candle": (
                (lambda: client.watch_ohlcv_for_symbols([[each, self._timeframe] for each in symbols]))
                if self._has_candles_together()
                else lambda: client.watch_ohlcv(
                    symbols[0], self._timeframe, None, None, client.options.get("watchOHLCVParams", {})
                )
            ),
            "trade": (
                (lambda: client.watch_trades_for_symbols(symbols))
                if self._words.most_symbols > 1
                else lambda: client.watch_trades(symbols[0])
            ),
            "book": (
                (lambda: client.watch_order_book_for_symbols(symbols))
                if self._words.most_symbols > 1
                else lambda: client.watch_order_book(symbols[0])
            ),
            "mark": lambda: client.watch_mark_prices(symbols),
        }
        return calls[kind]

    async def _watch(
        self, kind: str, call: Callable[[], Awaitable[object]], on_gap: OnGap, on_break: OnGap
    ) -> None:
        backoff = Backoff()
        while True:
            try:
                await call()
            except ccxt.InvalidNonce:  # a ChecksumError is one
                self.resyncs += 1
                on_gap(f"{kind}: out of sequence, read anew")
                # ccxt raises the same again at once until the loop has read on
                await asyncio.sleep(_READ_ON_S)
            except ccxt.BaseError as error:
                pause = backoff.pause_s()
                log.warning("stream_lost kind=%s cause=%r retry_s=%.1f", kind, error, pause)
                # the next mark says all there is to say: nothing of a candle or book was lost with one
                (on_gap if kind == "mark" else on_break)(f"{kind}: connection lost")
                self.reconnects += 1
                await asyncio.sleep(pause)
                self._forget_errors()
            else:
                backoff.worked()
                self.notice_replaced(on_break)
                self.heard.set()
                await asyncio.sleep(self._pause_s)

    def hear_at_once(self) -> None:
        """Set `heard` whenever something arrived, not only when a watched stream was heard."""
        self._arrivals = Arrivals(lambda: self.heard.set())

    def _forget_errors(self) -> None:
        """Drop the errors that ccxt keeps for a later call: they are of what was waited out.

        One refusal, of a snapshot in a ban for one, is kept for each symbol it was of and raised call by
        call, long after the venue would answer again.
        """
        for socket in list(self._client.clients.values()):
            socket.rejections.clear()

    def notice_replaced(self, on_break: OnGap) -> None:
        """Tell of sockets that broke while nobody waited on them: ccxt replaces these without an exception.

        Asked before the caches are read, it comes before anything that a new socket brought.
        """
        for url, socket in list(self._client.clients.items()):
            if self._sockets.setdefault(url, socket) is not socket:
                self._sockets[url] = socket
                self.reconnects += 1
                on_break("socket: connection replaced")
        if self._arrivals is not None:
            self._arrivals.watch(self._client.clients)

    async def is_subscribed(self) -> bool:
        """Whether the venue confirmed every stream, and every book has its snapshot."""
        # not marks: a venue that tells none is one where they are not known
        streams = sorted(self.streams - {"mark"})
        if not await self._words.stands(self._client, streams, self.symbols, self._timeframe):
            return False
        return "book" not in self.streams or all(self.book_number(each) >= 0 for each in self.symbols)

    def candles(self, symbol: str, after_ms: int) -> list[tuple[int, float, float, float, float, float]]:
        """Return rows that opened after `after_ms` (market time), oldest first; the last may still change."""
        cache = self._client.ohlcvs.get(symbol, {}).get(self._timeframe)
        found = []
        for row in reversed(cache) if cache is not None else ():
            if row[0] <= after_ms:
                break
            found.append(tuple(row))
        return found[::-1]

    async def fetch_candles(
        self, symbol: str, since_ms: int
    ) -> list[tuple[int, float, float, float, float, float]]:
        """Ask the venue for the candles that opened at `since_ms` or later, oldest first, by REST.

        Raises
        ------
        VenueError
            When it does not answer, or refuses.
        """
        try:
            rows = await self._client.fetch_ohlcv(symbol, self._timeframe, since_ms, _MOST_CANDLES)
        except ccxt.BaseError as error:
            raise VenueError(f"no candles of {symbol}: {type(error).__name__}: {error}") from error
        return [
            (int(t), float(open_), float(high), float(low), float(close), float(volume))
            for t, open_, high, low, close, volume in rows
        ]

    def trades(self, symbol: str, after_id: int) -> list[tuple[int, Print]]:
        """Return (venue's id, print) of the trades behind `after_id`, oldest first."""
        cache = self._client.trades.get(symbol)
        found: list[tuple[int, Print]] = []
        for number, trade in self._numbered(reversed(cache if cache is not None else ())):
            if number <= after_id:
                break
            if found and number >= found[-1][0]:
                continue  # told twice
            found.append(
                (
                    number,
                    Print(
                        symbol=symbol, t=int(trade["timestamp"]) * MS, px=float(trade["price"]),
                        qty=float(trade["amount"]), side=1 if trade["side"] == "buy" else -1,
                    ),
                )
            )  # fmt: skip
        return found[::-1]

    def last_trade_id(self, symbol: str) -> int:
        """Id of the newest trade seen, -1 before the first."""
        cache = self._client.trades.get(symbol)
        return next(self._numbered(reversed(cache)))[0] if cache else -1

    def book_number(self, symbol: str) -> int:
        """The number of the newest book update seen, -1 while there is no book."""
        book = self._client.orderbooks.get(symbol)
        return -1 if book is None else self._words.book_number(book)

    def book(self, symbol: str, levels: int) -> tuple[int, int, Levels, Levels]:
        """Return (number, wall time of its last update in ns or 0, bids, asks), best first."""
        book = self._client.orderbooks[symbol]
        bids = tuple((float(px), float(qty)) for px, qty, *_ in book["bids"][:levels])
        asks = tuple((float(px), float(qty)) for px, qty, *_ in book["asks"][:levels])
        return self.book_number(symbol), int(book["timestamp"] or 0) * MS, bids, asks

    def mark_number(self, symbol: str) -> int:
        """A number that grows with each mark of a contract, -1 before the first and for everything else."""
        ticker = self._client.tickers.get(symbol) if symbol in self._contracts else None
        return -1 if ticker is None else number_of(ticker)

    def mark(self, symbol: str) -> tuple[float, float | None, int]:
        """Return (mark price, rate of the next funding payment or None, its time in ns or 0)."""
        return mark_of(self._client.tickers[symbol], self._client.fundingRates.get(symbol))

    async def close(self) -> None:
        """Let go of all connections."""
        if self._arrivals is not None:
            self._arrivals.close()
        await self._client.close()
