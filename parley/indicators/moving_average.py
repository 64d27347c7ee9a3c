"""Moving averages: simple and exponential.

The exponential one starts from the simple mean of its first ``period`` values, as
charting programs do, so two of different length can be compared once both are ready.
"""

from math import nan

import msgspec

from .rolling import Moments


class Sma(msgspec.Struct):
    """Simple mean of the last ``period`` values."""

    period: int
    window: Moments = msgspec.field(default_factory=lambda: Moments(1))
    value: float = nan

    def __post_init__(self) -> None:
        if self.window.period != self.period:
            self.window = Moments(self.period)

    @property
    def ready(self) -> bool:
        return self.window.ready

    def update(self, x: float) -> float:
        """Take the next value; give the mean, NaN while the window fills."""
        self.window.update(x)
        if self.window.ready:
            self.value = self.window.mean
        return self.value


class Ema(msgspec.Struct):
    """Exponential mean with smoothing 2 / (period + 1), seeded with the simple mean."""

    period: int
    value: float = nan
    total: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")

    @property
    def ready(self) -> bool:
        return self.count >= self.period

    def update(self, x: float) -> float:
        """Take the next value; give the mean, NaN before ``period`` values."""
        if self.count >= self.period:
            self.value += (x - self.value) * 2.0 / (self.period + 1)
            return self.value
        self.count += 1
        self.total += x
        if self.count == self.period:
            self.value = self.total / self.period
        return self.value
