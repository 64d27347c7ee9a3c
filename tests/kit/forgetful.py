"""A strategy that trades on every third candle, and whose snapshot does not say at which it is: a trap."""

from collections.abc import Mapping, Sequence

import msgspec

from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass


class Params(msgspec.Struct, frozen=True):
    """Nothing to set."""


class Forgetful:
    """See the module."""

    name = "forgetful"
    version = "1"
    params = Params()
    warmup_bars = 0

    def __init__(self) -> None:
        self._bars = 0

    def on_bar(self, bar: Bar) -> None:
        self._bars += 1

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        if self._bars % 3:
            return Pass("waits", str(self._bars))
        return Entry(
            direction=1, edge_bps=120.0, conf=0.9, stop=bar.close * 0.98, take=bar.close * 1.02,
            horizon_ms=60_000, why="third", urgency="urgent",
        )  # fmt: skip

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave:
        return Leave("third", urgency="urgent")

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None


def make(params: Mapping[str, object]) -> Forgetful:
    """Build the source; it takes no parameters."""
    return Forgetful()
