"""Candles: which are usable, and longer ones built from shorter ones as they come.

Buckets are aligned to market time, so a restart or a gap never shifts them. A bucket
whose last minutes are missing is closed by the first candle after it; nothing is
invented for the gap. What is older than the last candle taken is ignored.
"""

import msgspec

from parley.messages.market import Bar


class Candle(msgspec.Struct):
    """A candle being built or done. ``t_open`` market ns, ``bars`` how many shorter ones it holds."""

    t_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    bars: int = 1


def usable_bar(bar: Bar) -> bool:
    """Whether a bar's numbers can be a candle: finite, positive, high and low enclosing open and close."""
    low, high = bar.low, bar.high
    return (
        0.0 < low <= bar.open <= high < 1e15
        and 1e-12 < low <= bar.close <= high
        and 0.0 <= bar.volume < 1e18
        and bar.tf_ns > 0
    )


class Resampler(msgspec.Struct):
    """Joins ``every`` candles into one."""

    every: int
    current: Candle | None = None
    bucket: int = -1
    last: int = -1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, was {self.every!r}")

    def push(self, bar: Bar) -> tuple[Candle, ...]:
        """Take a usable bar; give the candles it completes: none, one, or two after a gap."""
        if bar.t_open <= self.last:
            return ()
        self.last = bar.t_open
        length = bar.tf_ns * self.every
        bucket = bar.t_open // length
        current = self.current
        done: tuple[Candle, ...] = ()
        if current is None or bucket != self.bucket:
            done = () if current is None else (current,)
            self.bucket = bucket
            current = Candle(bar.t_open, bar.open, bar.high, bar.low, bar.close, bar.volume)
        else:
            current.high = max(current.high, bar.high)
            current.low = min(current.low, bar.low)
            current.close = bar.close
            current.volume += bar.volume
            current.bars += 1
        if bar.t_open + bar.tf_ns >= (bucket + 1) * length:
            self.current = None
            return (*done, current)
        self.current = current
        return done
