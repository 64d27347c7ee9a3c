"""How a symbol's volume is spread over the day, learnt from the candles seen.

A day has `BUCKETS` equal parts; each keeps the volume of its candles per nanosecond, older
days fading. A part never seen is taken to be like the average of those that were, so with no
more than one hour seen the curve is flat.

Not here: cutting an order along it (`slicing.weighted`).

Invariant: nothing here raises for bad candles; a candle that makes no sense changes nothing.
"""

from collections.abc import Mapping, Sequence
from math import isfinite

import msgspec

from parley.messages import Bar

BUCKETS = 96
DAY_NS = 86_400_000_000_000
PART_NS = DAY_NS // BUCKETS
FADE = 0.2  # weight of a candle against what its part of the day held before, per full part


class Curve(msgspec.Struct):
    """Volume per ns by part of the day (negative: never seen); mutable."""

    rates: list[float] = msgspec.field(default_factory=lambda: [-1.0] * BUCKETS)

    def see(self, bar: Bar) -> None:
        """Take in a closed candle; one longer than a part counts for every part it covers."""
        if bar.tf_ns <= 0 or not (isfinite(bar.volume) and bar.volume >= 0):
            return
        rate = bar.volume / bar.tf_ns
        first = bar.t_open // PART_NS
        last = (bar.t_open + bar.tf_ns - 1) // PART_NS
        weight = min(1.0, FADE * bar.tf_ns / PART_NS) if last == first else FADE
        for part in range(first, min(last, first + BUCKETS - 1) + 1):
            before = self.rates[part % BUCKETS]
            self.rates[part % BUCKETS] = rate if before < 0 else before + weight * (rate - before)

    def ahead(self, start: int, step_ns: int, steps: int) -> tuple[float, ...]:
        """Give the volume to be expected in each of the next steps from market time ``start``."""
        seen = [r for r in self.rates if r >= 0]
        usual = sum(seen) / len(seen) if seen else 1.0
        out = []
        for n in range(steps):
            rate = self.rates[((start + n * step_ns) // PART_NS) % BUCKETS]
            out.append((rate if rate >= 0 else usual) * step_ns)
        return tuple(out)


def learn(curves: dict[str, Curve], bars: Sequence[Bar]) -> None:
    """Take candles into the curves of their symbols."""
    for bar in bars:
        curve = curves.get(bar.symbol)
        if curve is None:
            curve = curves[bar.symbol] = Curve()
        curve.see(bar)


def expected(
    curves: Mapping[str, Curve], symbol: str, start: int, step_ns: int, steps: int
) -> tuple[float, ...]:
    """Give a symbol's expected volumes ahead; flat when none of its candles was seen."""
    curve = curves.get(symbol)
    return curve.ahead(start, step_ns, steps) if curve is not None else (1.0,) * steps
