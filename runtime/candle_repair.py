"""Asks the venue for candles that a broken connection left unsure, and gives up after a few tries.

Problem: while the venue is asked nothing of the symbol may close, and a venue that does not answer must not
hold it back for ever. Not here: what is unsure and what closes (`candle_close`).

Invariant: one question at a time for a symbol; each ends in `CandleClose.settle`, with rows or without.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from parley.messages import Bar
from runtime.candle_close import CandleClose
from venues.ccxt_feed import CcxtFeed

log = logging.getLogger(__name__)

_TRIES: Final = 3
_BETWEEN_S: Final = 1.0
_SETTLING_S: Final = 1.0  # a venue's list may lag behind its stream

OnBars = Callable[[str, Sequence[Bar]], None]


class CandleRepair:
    """Questions about candles in progress, by symbol; ``on_bars`` hears what each of them closed."""

    def __init__(self, feed: CcxtFeed, on_bars: OnBars) -> None:
        self._feed = feed
        self._on_bars = on_bars
        self._asking: dict[str, asyncio.Task[None]] = {}

    def ask(self, symbol: str, close: CandleClose) -> None:
        """See to it that the venue is asked about a symbol."""
        if symbol not in self._asking:
            self._asking[symbol] = asyncio.ensure_future(self._ask(symbol, close))

    async def _ask(self, symbol: str, close: CandleClose) -> None:
        try:
            since = close.unsure_since
            opened = self._feed.candles(symbol, close.closed)[-1][0]  # what made an older one close
            await asyncio.sleep(_SETTLING_S)
            bars = close.settle(await self._rows(symbol, since), opened)
            log.info("candles_repaired symbol=%s since=%d closed=%d", symbol, since, len(bars))
            self._on_bars(symbol, bars)
        finally:
            del self._asking[symbol]

    async def _rows(self, symbol: str, since: int) -> list[tuple[int, float, float, float, float, float]]:
        for left in reversed(range(_TRIES)):
            try:
                return await self._feed.fetch_candles(symbol, since)
            except Exception as error:  # noqa: BLE001 - ccxt stumbles over answers in more ways than it names
                log.warning("candles_not_told symbol=%s since=%d tries=%d %s", symbol, since, left, error)
                await asyncio.sleep(_BETWEEN_S if left else 0)
        return []

    async def stop(self) -> None:
        """Ask no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["CandleRepair", "OnBars"]
