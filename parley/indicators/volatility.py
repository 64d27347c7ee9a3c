"""Volatility: true range, and the deviation of log returns, decayed or over a window.

Values are per candle, never annualised: whoever needs another horizon scales by the
square root of the number of candles.
"""

from math import log, nan, sqrt

import msgspec

from .rolling import Moments


class Atr(msgspec.Struct):
    """Wilder's average true range, in price units; the first candle counts with high minus low."""

    period: int
    value: float = nan
    close: float = nan
    total: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")

    @property
    def ready(self) -> bool:
        return self.count >= self.period

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next candle; give the range, NaN before ``period`` candles."""
        before = self.close if self.count else close
        true = max(high, before) - min(low, before)
        self.close = close
        if self.count >= self.period:
            self.value += (true - self.value) / self.period
            return self.value
        self.count += 1
        self.total += true
        if self.count == self.period:
            self.value = self.total / self.period
        return self.value


class EwmaVol(msgspec.Struct):
    """Root of the decayed mean square log return: v = d*v + (1-d)*r^2 with d = 2**(-1/half_life)."""

    half_life: float
    value: float = nan
    variance: float = 0.0
    weight: float = 0.0
    last: float = nan
    count: int = 0
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not self.half_life > 0.0:
            raise ValueError(f"half_life must be above 0, was {self.half_life!r}")
        self.decay = 0.5 ** (1.0 / self.half_life)

    @property
    def ready(self) -> bool:
        return self.count >= self.half_life

    def update(self, x: float) -> float:
        """Take the next positive price; give the deviation per candle, NaN before ``half_life`` returns."""
        last, self.last = self.last, x
        if last != last:
            return self.value
        r = log(x / last)
        decay = self.decay
        self.variance = decay * self.variance + (1.0 - decay) * r * r
        # dividing by the weight seen takes out the bias of starting at zero
        self.weight = decay * self.weight + (1.0 - decay)
        self.count += 1
        if self.count >= self.half_life:
            self.value = sqrt(self.variance / self.weight)
        return self.value


class RealisedVol(msgspec.Struct):
    """Standard deviation of the last ``period`` log returns about their mean."""

    period: int
    window: Moments = msgspec.field(default_factory=lambda: Moments(1))
    last: float = nan
    value: float = nan

    def __post_init__(self) -> None:
        if self.window.period != self.period:
            self.window = Moments(self.period)

    @property
    def ready(self) -> bool:
        return self.window.ready

    def update(self, x: float) -> float:
        """Take the next positive price; give the deviation per candle, NaN while the window fills."""
        last, self.last = self.last, x
        if last == last:
            self.window.update(log(x / last))
            if self.window.ready:
                self.value = self.window.std
        return self.value
