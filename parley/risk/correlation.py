"""How symbols move together: exponentially weighted correlations of bar returns.

Both capital (to shrink what is correlated) and risk (to cap it) need the same
number, so it lives here. Updated by one bar set at a time in O(pairs), no window is
kept. Not here: what to do about a correlation.

Invariant: the state is a fold over the bars, so a restored one goes on identically.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite, log, sqrt

import msgspec

from parley.instruments import symbol_of

ZERO = Decimal(0)


class CorrelationState(msgspec.Struct, kw_only=True):
    """What is remembered: last closes, variances, covariances of sorted pairs, and counts."""

    close: dict[str, float] = {}
    variance: dict[str, float] = {}
    covariance: dict[str, dict[str, float]] = {}
    bars: dict[str, int] = {}


class Correlations:
    """Folds closes; ``decay`` is the weight the past keeps per bar (RiskMetrics' lambda)."""

    __slots__ = ("_decay", "_warm", "state")

    def __init__(self, decay: float, warm_bars: int, state: CorrelationState | None = None) -> None:
        self._decay = decay
        self._warm = warm_bars
        self.state = state if state is not None else CorrelationState()

    def see(self, closes: Mapping[str, float]) -> None:
        """Take the closes of one step; symbols without a new bar are left out."""
        state, keep = self.state, self._decay
        new = 1.0 - keep
        returns: list[tuple[str, float]] = []
        for symbol in sorted(closes):
            close = closes[symbol]
            if not isfinite(close) or close <= 0:
                continue
            before = state.close.get(symbol)
            state.close[symbol] = close
            if before is None:
                continue
            r = log(close / before)
            was = state.variance.get(symbol)
            state.variance[symbol] = r * r if was is None else keep * was + new * r * r
            state.bars[symbol] = state.bars.get(symbol, 0) + 1
            returns.append((symbol, r))
        for i, (a, ra) in enumerate(returns):
            row = state.covariance.setdefault(a, {})
            for b, rb in returns[i + 1 :]:
                pair = row.get(b)
                row[b] = ra * rb if pair is None else keep * pair + new * ra * rb

    def sigma(self, symbol: str) -> float | None:
        """Standard deviation of one bar's log return; None before two bars."""
        variance = self.state.variance.get(symbol)
        return None if variance is None else sqrt(variance)

    def of(self, a: str, b: str) -> float | None:
        """Correlation in [-1, 1]; None while either has too few bars. A symbol with itself gives 1."""
        if a == b:
            return 1.0
        state = self.state
        if min(state.bars.get(a, 0), state.bars.get(b, 0)) < self._warm:
            return None
        first, second = (a, b) if a < b else (b, a)
        covariance = state.covariance.get(first, {}).get(second)
        scale = state.variance.get(a, 0.0) * state.variance.get(b, 0.0)
        if covariance is None or scale <= 0:
            return None
        return max(-1.0, min(1.0, covariance / sqrt(scale)))

    def with_symbol(self, symbol: str) -> dict[tuple[str, str], float]:
        """Give all known correlations of a symbol, keyed by the sorted pair."""
        found: dict[tuple[str, str], float] = {}
        for other in self.state.close:
            rho = self.of(symbol, other)
            if rho is not None and other != symbol:
                found[(symbol, other) if symbol < other else (other, symbol)] = rho
        return found


def apart(
    base: str,
    assets: Iterable[str],
    quote: str,
    correlations: Mapping[tuple[str, str], float],
    threshold: float,
) -> frozenset[str]:
    """Name the assets known not to move with one; of a pair nobody knows it is never assumed."""
    symbol = symbol_of(base, quote)
    found = []
    for asset in assets:
        other = symbol_of(asset, quote)
        pair = (symbol, other) if symbol < other else (other, symbol)
        if other != symbol and correlations.get(pair, 1.0) < threshold:
            found.append(asset)
    return frozenset(found)


def moving_with(base: str, values: Mapping[str, Decimal], others: frozenset[str]) -> Decimal:
    """Sum the values of an asset and of all but those that are known to move apart from it."""
    return sum([value for asset, value in values.items() if asset == base or asset not in others], ZERO)
