"""A trading idea that buys once, with a stop so far below the close, or sells short; and then only holds.

Not here: anything that leaves: who sells what it bought is the stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import msgspec

from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass, Stay


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """``stop_bps`` below the close, of a short above it; ``trail_bps`` 0: it stays there."""

    stop_bps: float = 100.0
    trail_bps: float = 0.0
    direction: int = 1


class OnePurchase:
    """See the module; it remembers what it has bought."""

    name = "one_purchase"
    version = "1"
    warmup_bars = 1

    def __init__(self, params: Params) -> None:
        self.params = params
        self._bought: set[str] = set()

    def on_bar(self, bar: Bar) -> None:
        return None

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        if symbol in self._bought:
            return Pass("done")
        sign, away = self.params.direction, self.params.stop_bps / 1e4
        return Entry(
            direction=sign, edge_bps=900.0, conf=0.9, stop=bar.close * (1 - sign * away),
            take=bar.close * (1 + sign * 0.5), horizon_ms=60_000, why="test", urgency="urgent",
        )  # fmt: skip

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        self._bought.add(symbol)
        trail = self.params.trail_bps
        return Stay(bar.close * (1 - self.params.direction * trail / 1e4) if trail else nan)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(sorted(self._bought))

    def restore(self, blob: bytes) -> None:
        self._bought = set(msgspec.msgpack.decode(blob, type=list[str]))


def make(params: Mapping[str, object]) -> OnePurchase:
    return OnePurchase(msgspec.convert(params, Params))
