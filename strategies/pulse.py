"""A strategy that trades on every candle, for benchmarks and rehearsals: it buys when flat, else it sells."""

from collections.abc import Mapping, Sequence

import msgspec

from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass


class Params(msgspec.Struct, frozen=True):
    """Nothing to set."""


class Pulse:
    """See the module."""

    name = "pulse"
    version = "1"
    params = Params()
    warmup_bars = 0

    def on_bar(self, bar: Bar) -> None:
        return None

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        px = bar.close
        return Entry(
            direction=1, edge_bps=120.0, conf=0.9, stop=px * 0.98, take=px * 1.02, horizon_ms=60_000,
            why="pulse", urgency="urgent",
        )  # fmt: skip

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave:
        return Leave("pulse", urgency="urgent")

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None


def make(params: Mapping[str, object]) -> Pulse:
    """Build the source; it takes no parameters."""
    return Pulse()
