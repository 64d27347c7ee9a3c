"""Momentum: how far and how straight a price has gone.

RSI follows Wilder (1978), MACD Appel, the efficiency ratio Kaufman. All take closes.
"""

from math import nan

import msgspec

from .moving_average import Ema
from .rolling import Ring


class Rsi(msgspec.Struct):
    """Wilder's relative strength index in [0, 100]; 50 where nothing moved."""

    period: int
    value: float = nan
    last: float = nan
    gain: float = 0.0
    loss: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")

    @property
    def ready(self) -> bool:
        return self.count >= self.period

    def update(self, x: float) -> float:
        """Take the next close; give the index, NaN before ``period`` changes."""
        change, self.last = x - self.last, x
        if change != change:
            return self.value
        up, down = (change, 0.0) if change > 0.0 else (0.0, -change)
        n = self.period
        if self.count < n:
            # the plain mean of the first n changes is Wilder's seed
            self.count += 1
            self.gain += up / n
            self.loss += down / n
            if self.count < n:
                return self.value
        else:
            self.gain += (up - self.gain) / n
            self.loss += (down - self.loss) / n
        moved = self.gain + self.loss
        self.value = 100.0 * self.gain / moved if moved > 0.0 else 50.0
        return self.value


class Roc(msgspec.Struct):
    """Rate of change over ``period`` values, as a fraction of the older one."""

    period: int
    ring: Ring = msgspec.field(default_factory=lambda: Ring(1))
    value: float = nan

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")
        if self.ring.period != self.period:
            self.ring = Ring(self.period)

    @property
    def ready(self) -> bool:
        return self.value == self.value

    def update(self, x: float) -> float:
        """Take the next positive price; give the change since ``period`` values ago, NaN before."""
        self.value = x / self.ring.push(x) - 1.0
        return self.value


class Macd(msgspec.Struct):
    """Difference of two exponential means; ``value`` is the histogram, in price."""

    fast: int = 12
    slow: int = 26
    signal: int = 9
    value: float = nan
    quick: Ema = msgspec.field(default_factory=lambda: Ema(1))
    calm: Ema = msgspec.field(default_factory=lambda: Ema(1))
    line: Ema = msgspec.field(default_factory=lambda: Ema(1))

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow:
            raise ValueError(f"fast must be in 1..slow-1, was {self.fast!r} with slow {self.slow!r}")
        if (self.quick.period, self.calm.period, self.line.period) != (self.fast, self.slow, self.signal):
            self.quick, self.calm, self.line = Ema(self.fast), Ema(self.slow), Ema(self.signal)

    @property
    def ready(self) -> bool:
        return self.line.ready

    def update(self, x: float) -> float:
        """Take the next close; give the histogram, NaN while warming up."""
        macd = self.quick.update(x) - self.calm.update(x)
        if macd == macd:
            self.value = macd - self.line.update(macd)
        return self.value


class EfficiencyRatio(msgspec.Struct):
    """Kaufman's ratio in [0, 1]: net way over walked way of the last ``period`` changes; 0 where none."""

    period: int
    ring: Ring = msgspec.field(default_factory=lambda: Ring(1))
    steps: Ring = msgspec.field(default_factory=lambda: Ring(1))
    walked: float = 0.0
    net: float = nan
    value: float = nan

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")
        if self.steps.period != self.period:
            self.ring, self.steps = Ring(self.period + 1), Ring(self.period)

    @property
    def ready(self) -> bool:
        return self.ring.full

    def update(self, x: float) -> float:
        """Take the next close; give the ratio, NaN before ``period`` changes. ``net`` keeps its sign."""
        last = self.ring.back(0)
        self.ring.push(x)
        if last != last:
            return self.value
        step = abs(x - last)
        gone = self.steps.push(step)
        self.walked += step - gone if gone == gone else step
        if self.steps.at == 0:
            # once per turn: subtraction leaves rounding behind
            self.walked = sum(self.steps.values)
        if self.ring.full:
            self.net = x - self.ring.oldest()
            self.value = min(1.0, abs(self.net) / self.walked) if self.walked > 0.0 else 0.0
        return self.value
