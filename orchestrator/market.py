"""What the desk last saw of the market: books, contracts' marks, volatility and how old it is.

Prices for marks and mark-outs are mids. ``sigma_bps`` is an exponentially weighted
standard deviation of bar returns, scaled by the square root of the horizon.
"""

from collections.abc import Mapping
from math import inf, log, sqrt

from msgspec.structs import replace

from parley.instruments import plain
from parley.messages import Book, Mark, MarketBatch

DECAY = 0.97  # RiskMetrics uses 0.94 for days; bars are noisier
START_SIGMA_BPS = 10.0


class Market:
    """Folds `MarketBatch`es; mutable, owned by the firm."""

    def __init__(self, tf_ns: int) -> None:
        self.books: dict[str, Book] = {}
        self.marks: dict[
            str, Mark
        ] = {}  # of contracts, as their venue says: funding, and what it liquidates at
        self.step = -1
        self.t_event = 0
        self._tf_ns = tf_ns
        self._mids: dict[str, float] = {}
        self._close: dict[str, float] = {}
        self._var: dict[str, float] = {}
        self._turnover: dict[str, float] = {}

    def see(self, batch: MarketBatch, t_event: int) -> None:
        """Take a batch; ``t_event`` is the venue's wall time of it."""
        self.step = batch.step
        if batch.bars or batch.books or batch.prints or not batch.marks:
            self.t_event = t_event  # marks alone make no book younger
        self.marks.update({mark.symbol: mark for mark in batch.marks})
        for book in batch.books:
            # a book that is no book counts as an empty one: everybody knows what to do with that
            mid = book.mid if book.bids and book.asks else 0.0
            if 0 < mid < inf:
                self.books[book.symbol], self._mids[book.symbol] = book, mid
                continue
            self.books[book.symbol] = replace(book, bids=(), asks=()) if book.bids and book.asks else book
            self._mids.pop(book.symbol, None)
        for bar in batch.bars:
            before = self._close.get(bar.symbol)
            if before and bar.close > 0:
                r = log(bar.close / before) * 1e4
                self._var[bar.symbol] = DECAY * self._var.get(bar.symbol, r * r) + (1 - DECAY) * r * r
            self._close[bar.symbol] = bar.close
            turnover = bar.close * bar.volume
            was = self._turnover.get(bar.symbol, turnover)
            self._turnover[bar.symbol] = DECAY * was + (1 - DECAY) * turnover

    def age_ms(self, wall: int) -> float | None:
        """Age of the last batch of prices at a wall time, by the venue's own clock; None before the first.

        One that is from later is as far off: somebody's clock is wrong, and nobody knows how old it is.
        """
        return abs(wall - self.t_event) / 1e6 if self.t_event else None

    def busiest(self) -> list[str]:
        """Pairs by their smoothed turnover per candle in quote, over all exchanges, the highest first."""
        pairs: dict[str, float] = {}
        for symbol, turnover in self._turnover.items():
            pair = plain(symbol)
            pairs[pair] = pairs.get(pair, 0.0) + turnover
        return sorted(pairs, key=lambda pair: (-pairs[pair], pair))

    def mids(self) -> Mapping[str, float]:
        """Mids of the books that have one, as of the last batch."""
        return self._mids

    def sigma_bps(self, symbol: str, horizon_ms: int) -> float:
        """Expected absolute move over a horizon, in basis points."""
        bars = max(1.0, horizon_ms * 1e6 / self._tf_ns)
        return sqrt(self._var.get(symbol, START_SIGMA_BPS**2) * bars)
