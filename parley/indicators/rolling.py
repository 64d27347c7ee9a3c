"""Windows over the last n values: the ring, its mean and deviation, and the rank of the newest.

Not here: what the windows are used for. Moments are updated in O(1) and recomputed
once per turn of the ring, so rounding errors never live longer than one window.
"""

from bisect import bisect_left, bisect_right, insort
from math import fsum, nan, sqrt

import msgspec


class Ring(msgspec.Struct):
    """The last ``period`` values in the order they came."""

    period: int
    values: list[float] = msgspec.field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")

    @property
    def full(self) -> bool:
        return len(self.values) == self.period

    def push(self, x: float) -> float:
        """Take a value; give the one that left the window, NaN while it fills."""
        if len(self.values) < self.period:
            self.values.append(x)
            return nan
        at = self.at
        old = self.values[at]
        self.values[at] = x
        self.at = at + 1 if at + 1 < self.period else 0
        return old

    def oldest(self) -> float:
        """Give the oldest value held, NaN when empty."""
        return self.values[self.at if len(self.values) == self.period else 0] if self.values else nan

    def back(self, n: int) -> float:
        """Give the value ``n`` places before the newest (0: the newest), NaN where none is held."""
        size = len(self.values)
        if n >= size:
            return nan
        if size < self.period:
            return self.values[size - 1 - n]
        return self.values[(self.at - 1 - n) % size]


class Moments(msgspec.Struct):
    """Mean and population standard deviation of the last ``period`` values (Welford, windowed)."""

    period: int
    ring: Ring = msgspec.field(default_factory=lambda: Ring(1))
    mean: float = 0.0
    m2: float = 0.0

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError(f"period must be at least 1, was {self.period!r}")
        if self.ring.period != self.period:
            self.ring = Ring(self.period)

    @property
    def ready(self) -> bool:
        return self.ring.full

    @property
    def std(self) -> float:
        """Population standard deviation of what is held; 0 for fewer than two values."""
        size = len(self.ring.values)
        return sqrt(self.m2 / size) if size and self.m2 > 0.0 else 0.0

    def update(self, x: float) -> None:
        """Take the next value."""
        ring = self.ring
        filling = len(ring.values) < self.period
        old = ring.push(x)
        if filling:
            step = x - self.mean
            self.mean += step / len(ring.values)
            self.m2 += step * (x - self.mean)
        elif ring.at == 0:
            self.mean = fsum(ring.values) / self.period
            self.m2 = fsum((v - self.mean) ** 2 for v in ring.values)
        else:
            before = self.mean
            self.mean += (x - old) / self.period
            self.m2 += (x - old) * (x - self.mean + old - before)

    def z(self, x: float) -> float:
        """Distance of ``x`` from the mean in standard deviations; 0 where nothing moved."""
        # a deviation of 1e-9 of the mean is rounding, not movement
        std = self.std
        return (x - self.mean) / std if std > 1e-9 * abs(self.mean) and std > 0.0 else 0.0


class Rank(msgspec.Struct):
    """Where the newest value stands among the last ``period``: 0 smallest, 1 largest."""

    period: int
    ring: Ring = msgspec.field(default_factory=lambda: Ring(1))
    ordered: list[float] = msgspec.field(default_factory=list)
    value: float = nan

    def __post_init__(self) -> None:
        if self.period < 2:
            raise ValueError(f"period must be at least 2, was {self.period!r}")
        if self.ring.period != self.period:
            self.ring = Ring(self.period)

    @property
    def ready(self) -> bool:
        return self.ring.full

    def update(self, x: float) -> float:
        """Take the next value; give its mid-rank in [0, 1] (0.5 when all are equal)."""
        ordered = self.ordered
        old = self.ring.push(x)
        if len(ordered) == self.period:
            del ordered[bisect_left(ordered, old)]
        insort(ordered, x)
        below, upto = bisect_left(ordered, x), bisect_right(ordered, x)
        span = len(ordered) - 1
        self.value = (below + upto - 1) / (2 * span) if span else 0.5
        return self.value
