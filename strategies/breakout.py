"""Buy strength: long when a close leaves the Donchian channel upwards by a part of the true range.

With `shorts` the mirror image too: short when a close leaves it downwards.

Out when a close falls through the shorter exit channel. The channel is the one before the
candle that breaks it, and a new entry needs a close back inside first, so that one move
is one setup.
"""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Annotated

import msgspec
from msgspec import Meta

from parley.indicators import Atr, Candle, Donchian, Resampler
from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass, Stay, StrategySource

from .setup import bet, hear, objection, read_params
from .tracks import Tracks


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``every`` candles per decision; periods in decisions; ``*_atr`` distances in mean true ranges.

    ``buffer_atr`` is how far beyond the channel a close must be, ``tilt`` the probability
    a break by one true range is believed to add. ``shorts`` are for contracts.
    """

    every: Annotated[int, Meta(ge=1, le=1440)] = 15
    channel: Annotated[int, Meta(ge=2, le=2000)] = 24
    exit_channel: Annotated[int, Meta(ge=2, le=2000)] = 12
    atr: Annotated[int, Meta(ge=2, le=500)] = 14
    buffer_atr: Annotated[float, Meta(ge=0, le=5)] = 0.1
    stop_atr: Annotated[float, Meta(gt=0, le=20)] = 2.0
    take_atr: Annotated[float, Meta(gt=0, le=50)] = 5.0
    trail_atr: Annotated[float, Meta(gt=0, le=50)] = 3.0
    tilt: Annotated[float, Meta(ge=0, le=0.3)] = 0.10
    offer: Annotated[int, Meta(ge=1, le=1440)] = 3
    hold: Annotated[int, Meta(ge=1, le=10_000)] = 96
    veto: Annotated[float, Meta(ge=0, le=1)] = 0.5
    avoid: tuple[str, ...] = ("trend_down",)
    shorts: bool = False


class Track(msgspec.Struct):
    """What is kept per symbol.

    ``broke`` is how many true ranges the last candle closed above the channel, below zero: beneath it.
    """

    frame: Resampler
    channel: Donchian
    floor: Donchian
    atr: Atr
    seen: int = 0
    age: int = 0
    outside: bool = False
    broke: float = nan
    close: float = nan
    exit_low: float = nan
    exit_high: float = nan
    beneath: bool = False


class Breakout:
    """The source; see the module."""

    name = "breakout"
    version = "1"

    def __init__(self, params: Params) -> None:
        self.params = params
        self._tracks = Tracks(self._track, Track)

    @property
    def warmup_bars(self) -> int:
        p = self.params
        return p.every * (max(p.channel, p.exit_channel, p.atr) + 1)

    def on_bar(self, bar: Bar) -> None:
        for track, candle in self._tracks.push(bar):
            self._decide(track, candle)

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        p = self.params
        track = self._tracks.get(symbol)
        if track is None or not (track.channel.ready and track.atr.ready):
            return Pass("warming_up", f"{track.seen if track else 0}/{self.warmup_bars}")
        if track.broke != track.broke or track.age >= p.offer:
            return Pass("no_setup", f"upper={track.channel.upper:.6g}")
        heard = hear(opinions)
        direction = 1 if track.broke > 0.0 else -1
        if against := objection(heard, p.avoid, p.veto, direction):
            return against
        atr = track.atr.value
        why = f"channel_break: {p.channel} by {abs(track.broke):.2f} atr"
        tilt = p.tilt * (0.5 + 0.5 * min(1.0, abs(track.broke)))
        return bet(
            direction,
            bar.close,
            p.stop_atr * atr,
            p.take_atr * atr,
            tilt,
            heard,
            p.every * p.hold * bar.tf_ns // 1_000_000,
            why,
        )

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        p = self.params
        track = self._tracks.get(symbol)
        if track is None or not (track.floor.ready and track.atr.ready):
            return Stay(nan, "warming_up")
        level = track.exit_low if held.direction > 0 else track.exit_high
        if (level - track.close) * held.direction > 0.0:
            return Leave("channel_exit", f"close={track.close:.6g} level={level:.6g}")
        if bar.t_open + bar.tf_ns - held.opened >= p.hold * p.every * bar.tf_ns:
            return Leave("time_limit", f"{p.hold} decisions")
        return Stay(bar.close - held.direction * p.trail_atr * track.atr.value)

    def snapshot(self) -> bytes:
        return self._tracks.snapshot()

    def restore(self, blob: bytes) -> None:
        self._tracks.restore(blob)

    def _track(self) -> Track:
        p = self.params
        return Track(Resampler(p.every), Donchian(p.channel), Donchian(p.exit_channel), Atr(p.atr))

    def _decide(self, track: Track, candle: Candle) -> None:
        upper, lower, atr = track.channel.upper, track.channel.lower, track.atr.value
        # the exit channel, too, is the one before this candle
        track.exit_low, track.exit_high = track.floor.lower, track.floor.upper
        track.channel.update(candle.high, candle.low)
        track.floor.update(candle.high, candle.low)
        track.atr.update(candle.high, candle.low, candle.close)
        track.close = candle.close
        track.age = 0
        track.broke = nan
        if not (upper == upper and atr > 0.0):
            return
        excess = (candle.close - upper) / atr
        if excess > self.params.buffer_atr and not track.outside:
            track.broke = excess
        track.outside = excess > 0.0
        if not self.params.shorts:
            return
        excess = (lower - candle.close) / atr
        if excess > self.params.buffer_atr and not track.beneath:
            track.broke = -excess
        track.beneath = excess > 0.0


def make(params: Mapping[str, object]) -> StrategySource:
    """Build the source from its parameters."""
    return Breakout(read_params("breakout", params, Params))
