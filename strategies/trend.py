"""Follow a trend: long when a fast mean crosses above a slow one, out when it falls back.

With `shorts` the mirror image too: short when it crosses below.

Decides once per ``every`` candles; a setup is offered on that candle and the few after
it. Most crossings fail and cost the stop, few run far: the hit rate is low by design.
"""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Annotated

import msgspec
from msgspec import Meta

from parley.indicators import Atr, Candle, EfficiencyRatio, Ema, Resampler
from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass, Stay, StrategySource

from .setup import bet, hear, objection, read_params
from .tracks import Tracks


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``every`` candles per decision; periods in decisions; ``*_atr`` distances in mean true ranges.

    ``band_atr`` is how far the means must part to have crossed.
    ``tilt`` is the probability a straight market is believed to add, ``veto`` the mean
    opinion against it (0 to 1) that stops an entry, ``avoid`` regimes without entries (a short
    avoids their mirror images). ``shorts`` are for contracts.
    """

    every: Annotated[int, Meta(ge=1, le=1440)] = 15
    fast: Annotated[int, Meta(ge=2, le=500)] = 10
    slow: Annotated[int, Meta(ge=3, le=2000)] = 40
    atr: Annotated[int, Meta(ge=2, le=500)] = 14
    stop_atr: Annotated[float, Meta(gt=0, le=20)] = 2.5
    take_atr: Annotated[float, Meta(gt=0, le=50)] = 6.0
    trail_atr: Annotated[float, Meta(gt=0, le=50)] = 3.0
    band_atr: Annotated[float, Meta(ge=0, le=5)] = 0.1
    tilt: Annotated[float, Meta(ge=0, le=0.3)] = 0.10
    offer: Annotated[int, Meta(ge=1, le=1440)] = 3
    hold: Annotated[int, Meta(ge=1, le=10_000)] = 192
    veto: Annotated[float, Meta(ge=0, le=1)] = 0.5
    avoid: tuple[str, ...] = ("quiet",)
    shorts: bool = False

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow, was {self.fast!r} with slow {self.slow!r}")


class Track(msgspec.Struct):
    """What is kept per symbol; ``age`` counts candles since the last decision."""

    frame: Resampler
    fast: Ema
    slow: Ema
    atr: Atr
    straight: EfficiencyRatio
    seen: int = 0
    age: int = 0
    above: bool | None = None
    crossed: bool = False
    strength: float = 0.0


class Trend:
    """The source; see the module."""

    name = "trend"
    version = "1"

    def __init__(self, params: Params) -> None:
        self.params = params
        self._tracks = Tracks(self._track, Track)

    @property
    def warmup_bars(self) -> int:
        return self.params.every * max(self.params.slow + 1, self.params.atr)

    def on_bar(self, bar: Bar) -> None:
        for track, candle in self._tracks.push(bar):
            self._decide(track, candle)

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        p = self.params
        track = self._tracks.get(symbol)
        if track is None or track.above is None:
            return Pass("warming_up", f"{track.seen if track else 0}/{self.warmup_bars}")
        if not track.crossed or track.age >= p.offer:
            return Pass("no_setup", f"fast-slow={track.fast.value - track.slow.value:.6g}")
        heard = hear(opinions)
        direction = 1 if track.above else -1
        if against := objection(heard, p.avoid, p.veto, direction):
            return against
        atr = track.atr.value
        why = f"ema_cross: {p.fast}/{p.slow} er={track.strength:.2f}"
        tilt = p.tilt * (0.5 + 0.5 * track.strength)
        return bet(
            direction,
            bar.close,
            p.stop_atr * atr,
            p.take_atr * atr,
            tilt,
            heard,
            p.every * p.slow * bar.tf_ns // 1_000_000,
            why,
        )

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        p = self.params
        track = self._tracks.get(symbol)
        if track is None or track.above is None:
            return Stay(nan, "warming_up")
        if track.above != (held.direction > 0):
            return Leave("trend_end", f"fast={track.fast.value:.6g} slow={track.slow.value:.6g}")
        if bar.t_open + bar.tf_ns - held.opened >= p.hold * p.every * bar.tf_ns:
            return Leave("time_limit", f"{p.hold} decisions")
        return Stay(bar.close - held.direction * p.trail_atr * track.atr.value)

    def snapshot(self) -> bytes:
        return self._tracks.snapshot()

    def restore(self, blob: bytes) -> None:
        self._tracks.restore(blob)

    def _track(self) -> Track:
        p = self.params
        return Track(Resampler(p.every), Ema(p.fast), Ema(p.slow), Atr(p.atr), EfficiencyRatio(p.fast))

    def _decide(self, track: Track, candle: Candle) -> None:
        fast, slow = track.fast.update(candle.close), track.slow.update(candle.close)
        track.atr.update(candle.high, candle.low, candle.close)
        straight = track.straight.update(candle.close)
        track.age = 0
        track.crossed = False
        if not (track.slow.ready and track.fast.ready and track.atr.ready and track.straight.ready):
            return
        # inside the band the last side stands, so that noise about the slow mean is no crossing
        gap, band = fast - slow, self.params.band_atr * track.atr.value
        above = gap > band or (track.above is True and gap >= -band)
        turned = track.above is not None and above != track.above
        track.crossed = turned and (above or self.params.shorts)
        track.above = above
        track.strength = straight


def make(params: Mapping[str, object]) -> StrategySource:
    """Build the source from its parameters."""
    return Trend(read_params("trend", params, Params))
