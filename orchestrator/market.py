"""What the desk last saw of the market: books, volatility and how old it is.

Prices for marks and mark-outs are mids. ``sigma_bps`` is an exponentially weighted
standard deviation of bar returns, scaled by the square root of the horizon.
"""

from math import log, sqrt

from parley.messages import Book, MarketBatch

DECAY = 0.97  # RiskMetrics uses 0.94 for days; bars are noisier
START_SIGMA_BPS = 10.0


class Market:
    """Folds `MarketBatch`es; mutable, owned by the firm."""

    def __init__(self, tf_ns: int) -> None:
        self.books: dict[str, Book] = {}
        self.t = 0
        self.step = -1
        self.t_event = 0
        self.t_recv = 0
        self._tf_ns = tf_ns
        self._close: dict[str, float] = {}
        self._var: dict[str, float] = {}

    def see(self, batch: MarketBatch, t_event: int, t_recv: int) -> None:
        """Take a batch; ``t_event`` is the venue's wall time of it, ``t_recv`` ours."""
        self.t, self.step, self.t_event, self.t_recv = batch.t, batch.step, t_event, t_recv
        for book in batch.books:
            self.books[book.symbol] = book
        for bar in batch.bars:
            before = self._close.get(bar.symbol)
            if before and bar.close > 0:
                r = log(bar.close / before) * 1e4
                self._var[bar.symbol] = DECAY * self._var.get(bar.symbol, r * r) + (1 - DECAY) * r * r
            self._close[bar.symbol] = bar.close

    @property
    def age_ms(self) -> float | None:
        """Age of the last batch when it was admitted, by the venue's own clock; None before the first."""
        return (self.t_recv - self.t_event) / 1e6 if self.t_event else None

    def mids(self) -> dict[str, float]:
        return {s: b.mid for s, b in self.books.items() if b.bids and b.asks}

    def sigma_bps(self, symbol: str, horizon_ms: int) -> float:
        """Expected absolute move over a horizon, in basis points."""
        bars = max(1.0, horizon_ms * 1e6 / self._tf_ns)
        return sqrt(self._var.get(symbol, START_SIGMA_BPS**2) * bars)
