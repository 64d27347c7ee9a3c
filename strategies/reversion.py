"""Buy exhaustion: long when the RSI turns up out of oversold, out when it is back in the middle.

With `shorts` the mirror image too: short when it turns down out of overbought.

The setup is the turn, not the low reading: in a crash the index can stay low for long.
Gains are small and frequent, the stop is as far as the take, and time limits the rest.
"""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from parley.indicators import Atr, Candle, Resampler, Rsi
from parley.messages import Bar, Opinion
from parley.strategy_source import Entry, Held, Leave, Pass, Stay, StrategySource

from .setup import bet, hear, objection, read_params
from .tracks import Tracks


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``every`` candles per decision; periods in decisions; ``*_atr`` distances in mean true ranges.

    ``low`` is the RSI below which a market is oversold, ``middle`` where it has recovered
    (100 - both for a short), ``tilt`` the probability a turn from RSI 0 would add. ``shorts``
    are for contracts.
    """

    every: Annotated[int, Meta(ge=1, le=1440)] = 15
    rsi: Annotated[int, Meta(ge=2, le=500)] = 14
    low: Annotated[float, Meta(gt=0, lt=50)] = 33.0
    middle: Annotated[float, Meta(ge=50, lt=100)] = 55.0
    atr: Annotated[int, Meta(ge=2, le=500)] = 14
    stop_atr: Annotated[float, Meta(gt=0, le=20)] = 2.5
    take_atr: Annotated[float, Meta(gt=0, le=50)] = 2.5
    tilt: Annotated[float, Meta(ge=0, le=0.3)] = 0.12
    offer: Annotated[int, Meta(ge=1, le=1440)] = 3
    hold: Annotated[int, Meta(ge=1, le=10_000)] = 24
    veto: Annotated[float, Meta(ge=0, le=1)] = 0.6
    avoid: tuple[str, ...] = ("trend_down",)
    shorts: bool = False


class Track(msgspec.Struct):
    """What is kept per symbol; NaN where there is none.

    ``deepest`` is the lowest RSI since it fell below ``low``, ``highest`` its mirror image, ``turned`` the
    one of them that the last candle came back from.
    """

    frame: Resampler
    rsi: Rsi
    atr: Atr
    seen: int = 0
    age: int = 0
    deepest: float = nan
    turned: float = nan
    highest: float = nan


class Reversion:
    """The source; see the module."""

    name = "reversion"
    version = "1"

    def __init__(self, params: Params) -> None:
        self.params = params
        self._tracks = Tracks(self._track, Track)

    @property
    def warmup_bars(self) -> int:
        return self.params.every * max(self.params.rsi + 1, self.params.atr)

    def on_bar(self, bar: Bar) -> None:
        for track, candle in self._tracks.push(bar):
            self._decide(track, candle)

    def entry(self, symbol: str, bar: Bar, opinions: Sequence[Opinion]) -> Entry | Pass:
        p = self.params
        track = self._tracks.get(symbol)
        if track is None or not (track.rsi.ready and track.atr.ready):
            return Pass("warming_up", f"{track.seen if track else 0}/{self.warmup_bars}")
        if track.turned != track.turned or track.age >= p.offer:
            return Pass("no_setup", f"rsi={track.rsi.value:.1f}")
        heard = hear(opinions)
        direction = 1 if track.turned < 50.0 else -1
        if against := objection(heard, p.avoid, p.veto, direction):
            return against
        atr = track.atr.value
        turned = track.turned if direction > 0 else 100.0 - track.turned
        depth = min(1.0, (p.low - turned) / 15.0)
        why = f"rsi_turn: from {track.turned:.1f} to {track.rsi.value:.1f}"
        tilt = p.tilt * (0.6 + 0.4 * depth)
        answer = bet(
            direction,
            bar.close,
            p.stop_atr * atr,
            p.take_atr * atr,
            tilt,
            heard,
            p.every * p.hold * bar.tf_ns // 1_000_000,
            why,
        )
        # who buys weakness gives liquidity: the order may rest and earn the spread instead of paying it
        return replace(answer, urgency="patient") if isinstance(answer, Entry) else answer

    def exit(self, symbol: str, bar: Bar, held: Held, opinions: Sequence[Opinion]) -> Leave | Stay:
        p = self.params
        track = self._tracks.get(symbol)
        if track is None or not track.rsi.ready:
            return Stay(nan, "warming_up")
        rsi = track.rsi.value if held.direction > 0 else 100.0 - track.rsi.value
        if rsi >= p.middle:
            return Leave("mean_reached", f"rsi={track.rsi.value:.1f}")
        if bar.t_open + bar.tf_ns - held.opened >= p.hold * p.every * bar.tf_ns:
            return Leave("time_limit", f"{p.hold} decisions")
        return Stay(nan)

    def snapshot(self) -> bytes:
        return self._tracks.snapshot()

    def restore(self, blob: bytes) -> None:
        self._tracks.restore(blob)

    def _track(self) -> Track:
        p = self.params
        return Track(Resampler(p.every), Rsi(p.rsi), Atr(p.atr))

    def _decide(self, track: Track, candle: Candle) -> None:
        rsi = track.rsi.update(candle.close)
        track.atr.update(candle.high, candle.low, candle.close)
        track.age = 0
        track.turned = nan
        if rsi < self.params.low:
            track.deepest = min(rsi, track.deepest) if track.deepest == track.deepest else rsi
        elif track.deepest == track.deepest:
            track.turned, track.deepest = track.deepest, nan
        if not self.params.shorts:
            return
        if rsi > 100.0 - self.params.low:
            track.highest = max(rsi, track.highest) if track.highest == track.highest else rsi
        elif track.highest == track.highest:
            track.turned, track.highest = track.highest, nan


def make(params: Mapping[str, object]) -> StrategySource:
    """Build the source from its parameters."""
    return Reversion(read_params("reversion", params, Params))
