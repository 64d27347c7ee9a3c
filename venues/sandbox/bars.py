"""Closed candles of a symbol as the API serves them, and its rolling 24-hour statistics.

The feed's candle lacks what Binance adds (quote volume, trade count, taker volume); that is added
here from the prints. Longer intervals are aggregated on request. Invariant: nothing of a candle
that is not closed is visible, except the empty placeholder that says where the next one opens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from venues.sandbox.tape import Candle, Print

_DAY_MS = 86_400_000
_KEPT = 120_000
_TRIMMED_TO = 100_000


class Bar(NamedTuple):
    """A closed candle with Binance's extras; prices and volumes 1e-8, quote amounts 1e-16."""

    open_ms: int
    close_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    taker_volume: int
    taker_quote: int
    first_id: int
    last_id: int


def bar_of(candle: Candle, length_ms: int, prints: list[Print], first_id: int, last_id: int) -> Bar:
    """A candle completed from its prints."""
    quote = taker_volume = taker_quote = 0
    for price, qty, buyer_is_maker, _ in prints:
        amount = price * qty
        quote += amount
        if not buyer_is_maker:
            taker_volume += qty
            taker_quote += amount
    if not prints:
        quote = candle.volume * candle.close
    return Bar(
        candle.open_ms,
        candle.open_ms + length_ms - 1,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        quote,
        len(prints),
        taker_volume,
        taker_quote,
        first_id,
        last_id,
    )


def merged(bars: Iterable[Bar], open_ms: int, length_ms: int) -> Bar | None:
    """Several bars as one longer one, None if there are none."""
    group = list(bars)
    if not group:
        return None
    ids = [bar.first_id for bar in group if bar.first_id > 0]
    return Bar(
        open_ms,
        open_ms + length_ms - 1,
        group[0].open,
        max(b.high for b in group),
        min(b.low for b in group),
        group[-1].close,
        sum(b.volume for b in group),
        sum(b.quote for b in group),
        sum(b.trades for b in group),
        sum(b.taker_volume for b in group),
        sum(b.taker_quote for b in group),
        ids[0] if ids else -1,
        max(b.last_id for b in group),
    )


def bucket_of(t: int, length_ms: int) -> int:
    """Open time of the bucket that a time falls in; weeks begin on Monday."""
    origin = 4 * _DAY_MS if length_ms % (7 * _DAY_MS) == 0 else 0
    return t - (t - origin) % length_ms


class BarHistory:
    """The closed bars of one symbol."""

    def __init__(self, length_ms: int) -> None:
        self.length_ms = length_ms
        self.bars: list[Bar] = []
        self.next_open: int | None = None
        self._day: deque[Bar] = deque()
        # Candidates for the window's high and low: each bar drops those that it outdoes for good.
        self._highs: deque[Bar] = deque()
        self._lows: deque[Bar] = deque()
        self._volume = self._quote = self._count = 0

    def append(self, bar: Bar) -> None:
        """Add the bar that just closed."""
        self.bars.append(bar)
        if len(self.bars) > _KEPT:
            del self.bars[:-_TRIMMED_TO]
        self._day.append(bar)
        while self._highs and self._highs[-1].high <= bar.high:
            self._highs.pop()
        self._highs.append(bar)
        while self._lows and self._lows[-1].low >= bar.low:
            self._lows.pop()
        self._lows.append(bar)
        self._volume += bar.volume
        self._quote += bar.quote
        self._count += bar.trades
        while self._day[0].open_ms <= bar.close_ms - _DAY_MS:
            old = self._day.popleft()
            for candidates in (self._highs, self._lows):
                if candidates[0] is old:
                    candidates.popleft()
            self._volume -= old.volume
            self._quote -= old.quote
            self._count -= old.trades

    def rows(self, length_ms: int, start: int | None, end: int | None, limit: int, now: int) -> list[Bar]:
        """Closed bars of a length; the last one may be the placeholder of the candle that opens now."""
        if length_ms == self.length_ms:
            chosen = self._window(start, end, limit)
        else:
            chosen = self._aggregated(length_ms, start, end, limit)
        rows = list(chosen)
        hole = self._placeholder(now)
        if (
            hole is not None
            and length_ms == self.length_ms
            and (end is None or hole.open_ms <= end)
            and (start is None or hole.open_ms >= start)
        ):
            if start is None and len(rows) == limit:
                del rows[0]
            if len(rows) < limit:
                rows.append(hole)
        return rows

    def day(self) -> tuple[Bar, Bar, int, int, int, int, int] | None:
        """(oldest bar, newest bar, high, low, volume, quote, count) of the last 24 hours."""
        if not self._day:
            return None
        return (
            self._day[0],
            self._day[-1],
            self._highs[0].high,
            self._lows[0].low,
            self._volume,
            self._quote,
            self._count,
        )

    def _placeholder(self, now: int) -> Bar | None:
        if self.next_open is None or self.next_open > now or not self.bars:
            return None
        return placeholder(self.bars[-1], self.next_open, self.length_ms)

    def _window(self, start: int | None, end: int | None, limit: int) -> list[Bar]:
        def at(t: int) -> int:
            return bisect_left(self.bars, t, key=lambda bar: bar.open_ms)

        last = len(self.bars) if end is None else at(end + 1)
        if start is None:
            return self.bars[max(0, last - limit) : last]
        first = at(start)
        return self.bars[first : min(last, first + limit)]

    def _aggregated(self, length_ms: int, start: int | None, end: int | None, limit: int) -> list[Bar]:
        groups: dict[int, list[Bar]] = {}
        ratio = length_ms // self.length_ms
        first = None if start is None else -(-start // length_ms) * length_ms
        for bar in self._window(first, None if end is None else end + length_ms - 1, (limit + 1) * ratio):
            groups.setdefault(bucket_of(bar.open_ms, length_ms), []).append(bar)
        bars = [merged(group, t, length_ms) for t, group in groups.items() if end is None or t <= end]
        found = [bar for bar in bars if bar is not None]
        return found[-limit:] if start is None else found[:limit]


def placeholder(last: Bar, open_ms: int, length_ms: int) -> Bar:
    """An empty candle at the last close: it shows that the former one is closed, and nothing else."""
    close = last.close
    return Bar(open_ms, open_ms + length_ms - 1, close, close, close, close, 0, 0, 0, 0, 0, -1, -1)
