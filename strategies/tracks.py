"""What a strategy keeps of each symbol, and how candles of its own length reach it.

Not here: what is kept and what is made of a candle.

Invariant: a bar counts once and in order; a repeated, older or unusable one changes nothing.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from parley.indicators import Candle, Resampler, usable_bar
from parley.messages import Bar


class Kept(Protocol):
    """What every track has: ``seen`` bars in all, ``age`` bars since the strategy last decided."""

    frame: Resampler
    seen: int
    age: int


T = TypeVar("T", bound=Kept)


class Tracks(Generic[T]):
    """Tracks by symbol; ``new`` makes the first state of one, ``kind`` is its type in snapshots."""

    def __init__(self, new: Callable[[], T], kind: type[T]) -> None:
        self._new = new
        self._kind = kind
        self._tracks: dict[str, T] = {}

    def get(self, symbol: str) -> T | None:
        return self._tracks.get(symbol)

    def push(self, bar: Bar) -> Iterator[tuple[T, Candle]]:
        """Take a bar; yield its track with each longer candle that is complete now."""
        if not usable_bar(bar):
            return
        track = self._tracks.get(bar.symbol)
        if track is None:
            track = self._tracks[bar.symbol] = self._new()
        if bar.t_open <= track.frame.last:
            return
        track.seen += 1
        track.age += 1
        for candle in track.frame.push(bar):
            yield track, candle

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._tracks)

    def restore(self, blob: bytes) -> None:
        self._tracks = msgspec.msgpack.decode(blob, type=dict[str, self._kind])  # type: ignore[name-defined]
