"""A strategy that always finds something to do: in at most of the candles, out again a few candles later.

Problem: a kill on the way of an order needs orders on their way. Whether this earns anything is of no
interest; it goes through the same negotiation, limits and gate as any other.

Invariant: what it says follows from its seed, the symbol and the candle alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2s
from typing import Annotated

import msgspec
from msgspec import Meta

from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass, Stay
from strategies.setup import read_params

FACTORY = "tests.chaos.busy:make"


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``enter``: at this share of candles it wants in, for ``hold`` candles; ``patient`` of them it waits.

    ``short``: at this share it sells what it has not got, which only a contract allows.
    """

    seed: int = 0
    enter: Annotated[float, Meta(ge=0, le=1)] = 0.8
    hold: Annotated[int, Meta(ge=1)] = 2
    patient: Annotated[float, Meta(ge=0, le=1)] = 0.25
    short: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Busy:
    """The source; see the module."""

    name = "busy"
    version = "1"
    warmup_bars = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def on_bar(self, bar: Bar) -> None:
        pass

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        params, wants, waits = self.params, self._dice(symbol, bar, "wants"), self._dice(symbol, bar, "waits")
        if wants >= params.enter:
            return Pass("no_setup")
        way = -1 if self._dice(symbol, bar, "way") < params.short else 1
        return Entry(
            direction=way, edge_bps=120.0, conf=0.6, stop=bar.close * (1 - way * 0.03),
            take=bar.close * (1 + way * 0.05),
            horizon_ms=params.hold * bar.tf_ns // 1_000_000, why="busy",
            urgency="patient" if waits < params.patient else "normal",
        )  # fmt: skip

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        if bar.t_open + bar.tf_ns - held.opened >= self.params.hold * bar.tf_ns:
            return Leave("busy")
        return Stay(bar.close * (1 - held.direction * 0.03))

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        pass

    def _dice(self, symbol: str, bar: Bar, what: str) -> float:
        text = f"{self.params.seed}|{symbol}|{bar.t_open}|{what}".encode()
        return int.from_bytes(blake2s(text, digest_size=4).digest(), "big") / 2**32


def make(params: Mapping[str, object]) -> Busy:
    """Make the source."""
    return Busy(read_params("busy", params, Params))
