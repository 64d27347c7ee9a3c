"""Candles of Coinbase by request, asked for when trades say that there is something new.

Problem: the venue's candle channel knows no length but five minutes, and candles that are built from trades
lack what was traded while a connection was broken. The venue's own list is right; but it may not be asked at
every trade. So it is asked when something was traded since the last question and enough time went by, in
market time, which the trades tell, or on our own clock. At the real venue the two are the same, and there are
at most four questions a second for all symbols together; a sandbox at full speed makes minutes pass between
two of its messages and is asked once a step.

Not here: when a candle is closed (`runtime.candle_close`). Invariant: rows are the venue's, in order of time;
a question that fails ends `follow` with ccxt's exception, and what it asked for is asked again.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

_LOOK_S: Final = 0.005
_BETWEEN_ALL_MS: Final = 250  # of ten a second that the address has
_PARTS: Final = 12  # of a candle, at least so long between two questions about a symbol
_MOST_ROWS: Final = 1000
_PAGE: Final = 300
Row = Sequence[float]


class _Asked:
    """The last question about a symbol: the newest trade then, and both clocks, ms."""

    def __init__(self, trade: str, market_ms: float, own_ms: float) -> None:
        self.trade = trade
        self.market_ms = market_ms
        self.own_ms = own_ms


class Candles:
    """``rows`` by symbol and timeframe."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.rows: dict[str, dict[str, list[Row]]] = {}
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._trades: asyncio.Task[object] | None = None

    async def follow(self, wanted: Sequence[Sequence[str]]) -> None:
        """Read candles of (symbol, timeframe) until cancelled, or until something fails."""
        symbols = sorted({symbol for symbol, _ in wanted})
        while True:
            self._listen(symbols)
            due = [
                (symbol, timeframe)
                for symbol, timeframe in wanted
                if self._is_due(symbol, timeframe, len(wanted))
            ]
            if due:
                await asyncio.gather(*(self._ask(symbol, timeframe) for symbol, timeframe in due))
            else:
                await asyncio.sleep(_LOOK_S)

    def close(self) -> None:
        """Listen no more."""
        if self._trades is not None:
            self._trades.cancel()

    def _listen(self, symbols: list[str]) -> None:
        """See to it that trades are subscribed to; raises what the connection was lost with."""
        # never cancelled on the way: ccxt shares one future among all who wait for a stream
        before = self._trades
        if before is None or before.done():
            self._trades = asyncio.ensure_future(self._client.watch_trades_for_symbols(symbols))
        if before is not None and before.done():
            before.result()

    def _is_due(self, symbol: str, timeframe: str, count: int) -> bool:
        newest = self._newest(symbol)
        if newest is None:
            return False
        asked = self._asked.get((symbol, timeframe))
        if asked is None:
            return True
        if newest["id"] == asked.trade:
            return False
        pause = max(self._length_ms(timeframe) / _PARTS, _BETWEEN_ALL_MS * count)
        passed = max(newest["timestamp"] - asked.market_ms, time.monotonic() * 1000 - asked.own_ms)
        return bool(passed >= pause)

    async def _ask(self, symbol: str, timeframe: str) -> None:
        newest = self._newest(symbol)
        length = self._length_ms(timeframe)
        kept = self.rows.setdefault(symbol, {}).setdefault(timeframe, [])
        since = int(newest["timestamp"] // length * length)
        if kept:  # the one before the last as well: it may have been told before it was whole
            since = int(max(kept[0][0], kept[-1][0] - length))
        asked = _Asked(newest["id"], newest["timestamp"], time.monotonic() * 1000)
        found = await self._client.fetch_ohlcv(symbol, timeframe, since, _PAGE)
        self._asked[symbol, timeframe] = asked
        first = found[0][0] if found else float("inf")
        kept[:] = [*(row for row in kept if row[0] < first), *found][-_MOST_ROWS:]

    def _newest(self, symbol: str) -> Any:
        cache = self._client.trades.get(symbol)
        return cache[-1] if cache else None

    def _length_ms(self, timeframe: str) -> int:
        return int(self._client.parse_timeframe(timeframe)) * 1000
