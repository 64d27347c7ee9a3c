"""Any ccxt.pro client, seen as the shared code for venues wants to see one.

Problem: the shared code subscribes to many symbols at once, reads a venue's raw messages, and numbers trades
by the venue's ids; of an unknown venue there are only ccxt's unified methods and structures. So this stands
before an unmodified client: each symbol is watched by itself, what has no stream is asked for, and where raw
messages are expected there are the unified ones.

Not here: what orders and market data mean (`generic_words`, `generic_market`). Invariant: nothing of ccxt is
changed; everything that is not named here is the client's own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import ccxt

from venues.ccxt_client import ClientMaker
from venues.generic_ids import OrderIds
from venues.generic_polls import Polls
from venues.generic_rows import class_of, read_means
from venues.generic_trades import NumberedTrades, Trade
from venues.generic_urls import override_urls

# Nothing unified says that a venue took a subscription: it counts after it stood so long without an error.
_SETTLES_S: Final = 1.0
_ANY_TIMEFRAME: Final = dict.fromkeys(("1m", "5m", "15m", "1h", "4h", "1d"))
Raw = Mapping[str, Any]


class UnifiedClient:
    """One client of ``exchange``; ``pause_s`` is how long to wait between questions, as `Polls`."""

    def __init__(self, exchange: Any, pause_s: float | None = None) -> None:
        self.exchange = exchange
        self.means = read_means(exchange.id, exchange)
        self.ids = OrderIds()
        self._symbols: tuple[str, ...] = ()
        self._polls = Polls(exchange, pause_s)
        self._numbered: dict[str, NumberedTrades] = {}
        self._begun: dict[tuple[str, str], float] = {}
        self._answered: set[tuple[str, str]] = set()
        self._denied: set[tuple[str, str]] = set()
        self._watching: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._sockets: dict[str, object] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.exchange, name)

    async def close(self) -> None:
        """Let go of all connections."""
        for task in self._watching.values():
            task.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)
        await self.exchange.close()

    # ------------------------------------------------------------------ an account

    def follow_only(self, symbols: Sequence[str]) -> None:
        """Say which symbols to watch one by one, where a venue cannot watch all of an account."""
        self._symbols = tuple(symbols)

    async def watch_orders(self) -> None:
        """Wait for news of orders."""
        await self._of_account("watch_orders")

    async def watch_my_trades(self) -> None:
        """Wait for news of trades of the account."""
        await self._of_account("watch_my_trades")

    async def _of_account(self, method: str) -> None:
        watch = getattr(self.exchange, method)
        if (method, self._symbols[0]) not in self._watching:
            try:
                await self._heard((method, ""), watch)
                return
            except ccxt.ArgumentsRequired:  # it watches one symbol at a time
                self._begun.pop((method, ""), None)
        for symbol in self._symbols:
            if (method, symbol) not in self._watching:
                calling = self._heard((method, symbol), partial(watch, symbol))
                self._watching[method, symbol] = asyncio.ensure_future(calling)
        mine = [task for (name, _), task in self._watching.items() if name == method]
        done, _ = await asyncio.wait(mine, return_when=asyncio.FIRST_COMPLETED)
        for key in [key for key, task in self._watching.items() if task in done]:
            ended = self._watching.pop(key)
            self._watching[key] = asyncio.ensure_future(self._heard(key, partial(watch, key[1])))
            ended.result()

    @property
    def orders(self) -> "Shown":
        """States of orders: where a raw one is expected is the unified one."""
        return Shown(self.exchange.orders, lambda each: not self._is_early(each, "id"))

    @property
    def myTrades(self) -> "Shown":
        """Trades of the account, as `orders`."""
        return Shown(self.exchange.myTrades, lambda each: not self._is_early(each, "order"))

    def _is_early(self, raw: Raw, named: str) -> bool:
        return self.ids.may_come(self._told(raw, named), str(raw.get(named)))

    def owner(self, raw: Raw, named: str) -> str:
        """Return the client order id of an order (``named`` id) or a trade (order), empty if nobody knows."""
        venue_id, told = str(raw.get(named)), self._told(raw, named)
        if self.ids.is_sent(told):
            self.ids.learn(told, venue_id)
        return self.ids.cid(venue_id) or told

    def is_called(self, raw: Raw, cid: str) -> bool:
        """Whether an order has this client id, be it with a word of the venue's own before it."""
        return self.owner(raw, "id") == cid or self._told(raw, "id").endswith(cid)

    def _told(self, raw: Raw, named: str) -> str:
        """Return the client id in a message, else in the state of its order."""
        if not (told := raw.get("clientOrderId")):
            states = getattr(self.exchange.orders, "hashmap", {}).get(raw.get("symbol"), {})
            told = states.get(str(raw.get(named)), {}).get("clientOrderId")
        return str(told or "")

    # ------------------------------------------------------------------ market data

    @property
    def timeframes(self) -> Mapping[str, Any]:
        """Lengths of candles it has."""
        return self.exchange.timeframes or _ANY_TIMEFRAME

    async def watch_ohlcv_for_symbols(self, pairs: Sequence[Sequence[str]]) -> None:
        """Wait for news of candles of one (symbol, timeframe)."""
        ((symbol, timeframe),) = pairs
        await self.watch_ohlcv(symbol, timeframe)

    async def watch_ohlcv(self, symbol: str, timeframe: str, *_: object) -> None:
        """Do the same for one symbol; what else ccxt would take is left at its defaults."""
        is_streamed = self.means.streams["candle"] == "stream"
        call = self.exchange.watch_ohlcv if is_streamed else self._polls.ask_candles
        await self._of_market(("candle", symbol), lambda: call(symbol, timeframe))

    async def watch_trades(self, symbol: str) -> None:
        """Wait for news of trades of a symbol."""
        is_streamed = self.means.streams["trade"] == "stream"
        call = self.exchange.watch_trades if is_streamed else self._polls.ask_trades
        await self._of_market(("trade", symbol), lambda: call(symbol))

    async def watch_order_book(self, symbol: str) -> None:
        """Wait for news of the book of a symbol."""
        is_streamed = self.means.streams["book"] == "stream"
        call = self.exchange.watch_order_book if is_streamed else self._polls.ask_book
        await self._of_market(("book", symbol), lambda: call(symbol))

    async def _of_market(self, key: tuple[str, str], call: Callable[[], Awaitable[object]]) -> None:
        """Await a stream; when a connection was lost, all of them are begun anew, with empty books.

        Not every class of ccxt empties a book when it gets a new snapshot, and which socket carries which
        book is not told: what was taken off the book meanwhile would stay in it for ever.
        """
        now = dict(self.exchange.clients)
        if any(now.get(url) is not socket for url, socket in self._sockets.items()):
            await self._begin_anew()
        try:
            await self._heard(key, call)
        except ccxt.ExchangeClosedByUser:  # another stream of ours saw it first
            raise
        except ccxt.NetworkError:
            await self._begin_anew()
            raise
        self._sockets.update(self.exchange.clients)

    async def _begin_anew(self) -> None:
        self._sockets.clear()
        self.exchange.orderbooks.clear()
        await self.exchange.close()

    @property
    def ohlcvs(self) -> Mapping[str, Any]:
        """Candles by symbol and timeframe."""
        is_streamed = self.means.streams["candle"] == "stream"
        return self.exchange.ohlcvs if is_streamed else self._polls.candles

    @property
    def orderbooks(self) -> Mapping[str, Any]:
        """Books by symbol."""
        return self.exchange.orderbooks if self.means.streams["book"] == "stream" else self._polls.books

    @property
    def trades(self) -> "ByNumber":
        """Trades by symbol, with numbers that grow."""
        return ByNumber(self._read_trades)

    def _read_trades(self, symbol: str) -> Sequence[Trade]:
        is_streamed = self.means.streams["trade"] == "stream"
        cache = (self.exchange.trades if is_streamed else self._polls.trades).get(symbol)
        return self._numbered.setdefault(symbol, NumberedTrades()).read(cache)

    # ------------------------------------------------------------------ what stands

    async def _heard(self, key: tuple[str, str], call: Callable[[], Awaitable[object]]) -> None:
        self._begun.setdefault(key, time.monotonic())
        try:
            await call()
        except Exception as error:
            self._begun.pop(key, None)
            self._answered.discard(key)
            if isinstance(error, ccxt.AuthenticationError):  # the next try may hang without an error
                self._denied.add(key)
            raise
        self._answered.add(key)
        self._denied.discard(key)

    def stands(self, keys: Iterable[tuple[str, str]]) -> bool:
        """Whether each was answered, or has stood for 1 s without an error, and all sockets are connected.

        What the venue once denied stands only when it was answered.
        """
        return all(self._is_heard(key) for key in keys) and all(
            _is_connected(each) for each in list(self.exchange.clients.values())
        )

    def _is_heard(self, key: tuple[str, str]) -> bool:
        if key in self._answered:
            return True
        now = time.monotonic()
        return key not in self._denied and now - self._begun.get(key, now) >= _SETTLES_S

    def follows(self, method: str) -> bool:
        """Whether a stream of the account stands, for all of it or for each symbol."""
        if (method, "") in self._begun:
            return self.stands([(method, "")])
        return self.stands([(method, symbol) for symbol in self._symbols])


class Shown:
    """A cache of unified structures as the shared code reads one of raw ones; without what is too early."""

    def __init__(self, cache: Any, is_shown: Callable[[Raw], bool]) -> None:
        self._cache = cache if cache is not None else ()
        self._is_shown = is_shown

    def __iter__(self) -> Iterator[Raw]:
        return self._shown(self._cache)

    def __reversed__(self) -> Iterator[Raw]:
        return self._shown(reversed(self._cache))

    def __len__(self) -> int:
        return len(self._cache)

    def _shown(self, rows: Iterable[Raw]) -> Iterator[Raw]:
        for each in rows:
            if self._is_shown(each):
                name = each.get("id") or f"{each.get('order')}:{each.get('timestamp')}:{each.get('amount')}"
                yield {"symbol": each["symbol"], "id": name, "info": each}


class ByNumber:
    """Trades by symbol."""

    def __init__(self, read: Callable[[str], Sequence[Trade]]) -> None:
        self._read = read

    def get(self, symbol: str) -> Sequence[Trade]:
        """Return the trades of a symbol, oldest first."""
        return self._read(symbol)


def maker_of(venue: str) -> ClientMaker:
    """Return what makes clients of a venue; raises `ConfigError` when ccxt has none."""
    kind = class_of(venue)
    return ClientMaker(
        lambda config: UnifiedClient(kind(config)),
        lambda client, rest, ws: override_urls(client.exchange, rest, ws),
        {},
    )


def _is_connected(socket: Any) -> bool:
    connected = socket.connected
    return bool(connected.done() and not connected.cancelled() and connected.exception() is None)
