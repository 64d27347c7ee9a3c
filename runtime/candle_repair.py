"""Asks the venue for candles that a broken connection left unsure, and gives up after a few tries.

Problem: while the venue is asked nothing of the symbol may close, and a venue that does not answer must not
hold it back for ever. Of a long absence only the newest candles are asked for. Not here: what is unsure and
what closes (`candle_close`).

Invariant: one question at a time for a symbol; each ends in `CandleClose.settle`, with rows or without.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from parley.messages import Bar
from runtime.candle_close import CandleClose
from venues.several_feed import Feed

log = logging.getLogger(__name__)

_TRIES: Final = 3
_BETWEEN_S: Final = 1.0
_SETTLING_S: Final = 1.0  # a venue's list may lag behind its stream
FOR_GOOD: Final = 1 << 62  # ms, when the candle behind the last one opens
_MOST: Final = 240  # candles: of sixty symbols they fit into one frame to the desk

OnBars = Callable[[str, Sequence[Bar]], None]


class CandleRepair:
    """Questions about candles in progress, by symbol; ``on_bars`` hears what each of them closed."""

    def __init__(self, feed: Feed, on_bars: OnBars) -> None:
        self._feed = feed
        self._on_bars = on_bars
        self._asking: dict[str, asyncio.Task[None]] = {}

    def ask(self, symbol: str, close: CandleClose, opened: int = -1) -> None:
        """See to it that the venue is asked about a symbol, as soon as it is known which candle is forming.

        opened : when that one opened, ms, `FOR_GOOD` if none forms any more; otherwise the newest row says it
        """
        if symbol in self._asking:
            return
        if opened < 0:
            rows = self._feed.candles(symbol, close.closed)
            if not rows:
                return
            opened = rows[-1][0]
        self._asking[symbol] = asyncio.ensure_future(self._ask(symbol, close, opened))

    async def idle(self) -> None:
        """Wait until nothing is asked any more."""
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _ask(self, symbol: str, close: CandleClose, opened: int) -> None:
        try:
            since = close.unsure_since
            if opened != FOR_GOOD:
                since = max(since, opened - _MOST * self._feed.tf_ms)
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


__all__ = ["FOR_GOOD", "CandleRepair", "OnBars"]
