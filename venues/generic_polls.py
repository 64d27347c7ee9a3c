"""Candles, trades and books asked for again and again, where a venue has no stream of them.

Problem: some classes of ccxt.pro lack one stream and have the answer to a question. What is asked goes into
caches like those ccxt fills from streams, so that who reads them need not know.

Not here: which venue lacks what (`generic_rows`). Invariant: one request at a time, and a pause after each.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import ccxt

_SHORTEST_S: Final = 1.0
_SLOTS: Final = 5  # of ccxt's own pauses: questions have weights that no unified method tells
_CANDLES: Final = 5
_CANDLES_KEPT: Final = 1000
Row = list[Any]


class Polls:
    """Asks ``exchange``; ``pause_s`` after each answer, None: five of ccxt's pauses, at least 1 s."""

    def __init__(self, exchange: Any, pause_s: float | None = None) -> None:
        self._exchange = exchange
        slots_s = _SLOTS * float(exchange.rateLimit or 0) / 1000
        self._pause_s = max(slots_s, _SHORTEST_S) if pause_s is None else pause_s
        self._turn = asyncio.Lock()
        self.candles: dict[str, dict[str, list[Row]]] = {}
        self.trades: dict[str, Sequence[Any]] = {}
        self.books: dict[str, Any] = {}

    async def ask_candles(self, symbol: str, timeframe: str) -> None:
        """Ask for the newest candles; raises what ccxt raises."""
        rows = await self._ask("fetch_ohlcv", symbol, timeframe, None, _CANDLES)
        kept = {row[0]: row for row in self.candles.get(symbol, {}).get(timeframe, ())}
        kept |= {row[0]: row for row in rows}
        newest = [kept[t] for t in sorted(kept)][-_CANDLES_KEPT:]
        self.candles.setdefault(symbol, {})[timeframe] = newest

    async def ask_trades(self, symbol: str) -> None:
        """Ask for the newest trades; raises what ccxt raises.

        Raises
        ------
        ccxt.InvalidNonce
            When none of the last answer's trades is in this one: those in between were missed.
        """
        before = self.trades.get(symbol, ())
        now = self.trades[symbol] = await self._ask("fetch_trades", symbol)
        if before and now and not {_name(each) for each in before} & {_name(each) for each in now}:
            raise ccxt.InvalidNonce(f"{symbol}: trades were missed between two answers")

    async def ask_book(self, symbol: str) -> None:
        """Ask for the book; raises what ccxt raises."""
        self.books[symbol] = await self._ask("fetch_order_book", symbol)

    async def _ask(self, method: str, *arguments: object) -> Any:
        async with self._turn:
            try:
                return await getattr(self._exchange, method)(*arguments)
            finally:
                await asyncio.sleep(self._pause_s)


def _name(trade: Any) -> object:
    return trade["id"] or (trade["timestamp"], trade["price"], trade["amount"], trade["side"])
