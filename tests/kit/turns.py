"""Strategies that take turns: each buys in the candle in which the other leaves, for benchmarks of nothing.

Not here: what their desk does about it (tests/integration/test_crossing_journal.py).
"""

from collections.abc import Mapping, Sequence

from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass, Stay

PERIOD = 3  # candles that each holds


class Turns:
    """Holds in the candles of its turn (``turn`` 0 or 1), and is flat in the other's."""

    name = "turns"
    version = "1"
    warmup_bars = 0

    def __init__(self, turn: int) -> None:
        self.params = turn

    def on_bar(self, bar: Bar) -> None:
        return None

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        if not self._is_mine(bar):
            return Pass("not_my_turn")
        px = bar.close
        return Entry(
            direction=1, edge_bps=120.0, conf=0.9, stop=px * 0.9, take=px * 1.1, horizon_ms=60_000, why="turn"
        )

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        return Stay(float("nan")) if self._is_mine(bar) else Leave("turn")

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None

    def _is_mine(self, bar: Bar) -> bool:
        return bar.t_open // bar.tf_ns // PERIOD % 2 == self.params


def make(params: Mapping[str, object]) -> Turns:
    """Build the source of a turn."""
    turn = params["turn"]
    assert isinstance(turn, int)
    return Turns(turn)
