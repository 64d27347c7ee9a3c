"""Channels: the extremes of a window (Donchian) and deviations about its mean (Bollinger).

The extremes are kept in two monotone queues, so a new candle costs O(1) amortised at
any window length: what is older and less extreme than the newest can never matter again.
"""

from math import nan

import msgspec

from .rolling import Moments


class _Extreme(msgspec.Struct):
    # candidates from most to least extreme: positions and values, `head` the first still valid
    sign: float
    at: list[int] = msgspec.field(default_factory=list)
    of: list[float] = msgspec.field(default_factory=list)
    head: int = 0

    def push(self, n: int, x: float, period: int) -> float:
        x *= self.sign
        at, of = self.at, self.of
        while len(of) > self.head and of[-1] <= x:
            of.pop()
            at.pop()
        of.append(x)
        at.append(n)
        while at[self.head] <= n - period:
            self.head += 1
        if self.head > period:
            del at[: self.head]
            del of[: self.head]
            self.head = 0
        return of[self.head] * self.sign


class Donchian(msgspec.Struct):
    """Highest high and lowest low of the last ``period`` candles, the newest included."""

    period: int
    upper: float = nan
    lower: float = nan
    count: int = 0
    highs: _Extreme = msgspec.field(default_factory=lambda: _Extreme(1.0))
    lows: _Extreme = msgspec.field(default_factory=lambda: _Extreme(-1.0))

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")

    @property
    def ready(self) -> bool:
        return self.count >= self.period

    @property
    def middle(self) -> float:
        return (self.upper + self.lower) / 2.0

    def update(self, high: float, low: float) -> None:
        """Take the next candle; ``upper`` and ``lower`` stay NaN before ``period`` candles."""
        n = self.count
        top = self.highs.push(n, high, self.period)
        bottom = self.lows.push(n, low, self.period)
        self.count = n + 1
        if self.count >= self.period:
            self.upper, self.lower = top, bottom


class Bollinger(msgspec.Struct):
    """Mean of the last ``period`` closes and ``width`` population deviations about it."""

    period: int
    width: float = 2.0
    window: Moments = msgspec.field(default_factory=lambda: Moments(1))

    def __post_init__(self) -> None:
        if not self.width > 0.0:
            raise ValueError(f"width must be above 0, was {self.width!r}")
        if self.window.period != self.period:
            self.window = Moments(self.period)

    @property
    def ready(self) -> bool:
        return self.window.ready

    @property
    def middle(self) -> float:
        return self.window.mean if self.window.ready else nan

    @property
    def upper(self) -> float:
        return self.middle + self.width * self.window.std

    @property
    def lower(self) -> float:
        return self.middle - self.width * self.window.std

    def update(self, x: float) -> None:
        """Take the next close."""
        self.window.update(x)
