"""Where market data comes from: one bucket of candles and prints for each step of the market.

A feed lists its instruments, gives history from before the start, and then one `Step` after the
other, until it is exhausted or for ever. Here is the feed of recorded candles; `trade_feed` and
`synthetic` have the others. Invariant: steps come in time order, and a feed with the same
configuration gives the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from venues.recorded import (
    MAX_DECIMALS,
    CandleError,
    CandleSeries,
    load_candles,
    moment_ms,
    timeframe_ms,
    warnings_of,
)
from venues.sandbox.instrument import Instrument, minimum_notional
from venues.sandbox.tape import Candle, Print, prints_of
from venues.sandbox.units import money_from_text, units_from_float

_EXACT_UNITS = 2.0**50 / 10**MAX_DECIMALS


@dataclass(frozen=True, slots=True)
class Step:
    """One bucket across all symbols that have a candle in it."""

    open_ms: int
    close_ms: int
    bars: dict[str, tuple[Candle, list[Print]]]

    def moments(self, parts: int) -> list[int]:
        """When each of so many parts of the bucket is over, ms; the last is its close."""
        length = self.close_ms - self.open_ms
        return [self.open_ms + length * (n + 1) // parts for n in range(parts)]


class Feed(Protocol):
    """What the exchange needs from market data."""

    instruments: list[Instrument]
    timeframe: str
    length_ms: int
    notes: list[str]

    def history(self, symbol: str) -> list[Candle]:
        """Closed candles from before the first step, oldest first."""

    def next_step(self) -> Step | None:
        """The next bucket, or None at the end of the data."""

    def upcoming(self, symbol: str) -> int | None:
        """Open time of the symbol's next candle, None if there is no more."""


def instrument_of(pair: str, price_decimals: int, volume_decimals: int) -> Instrument:
    """A listed pair whose grid has these decimals."""
    base, quote = pair.split("/")
    return Instrument(
        base,
        quote,
        10 ** (MAX_DECIMALS - price_decimals),
        10 ** (MAX_DECIMALS - volume_decimals),
        money_from_text(minimum_notional(quote)),
    )


class CandleFeed:
    """Recorded candles of several pairs on one clock."""

    def __init__(
        self,
        folder: str,
        exchange: str,
        pairs: list[str],
        timeframe: str,
        start: str | int | None,
        end: str | int | None,
        seed: int,
        trades_per_candle: int,
        history: int,
        decimals: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Read the candles; ``decimals`` of prices and quantities of pairs that are finer than their data."""
        finer = decimals or {}
        self.timeframe = timeframe
        self.length_ms = timeframe_ms(timeframe)
        self._seed = seed
        self._count = trades_per_candle
        begin = moment_ms(start)
        windows = {pair: load_candles(folder, exchange, pair, timeframe, start, end) for pair in pairs}
        self.notes = warnings_of(windows.values())
        self.instruments = [
            instrument_of(pair, max(s.price_decimals, price), max(s.volume_decimals, volume))
            for pair, s in windows.items()
            for price, volume in [finer.get(pair, (0, 0))]
        ]
        self._candles = {one.symbol: candles_of(windows[one.pair], one) for one in self.instruments}
        self._history: dict[str, list[Candle]] = {one.symbol: [] for one in self.instruments}
        if begin is not None and history:
            for one in self.instruments:
                self._history[one.symbol] = _before(
                    folder, exchange, one, timeframe, begin - history * self.length_ms, begin
                )
        self._at = dict.fromkeys(self._candles, 0)

    def history(self, symbol: str) -> list[Candle]:
        """Candles before `start` that the files have."""
        return self._history[symbol]

    def upcoming(self, symbol: str) -> int | None:
        """Open time of the symbol's next candle."""
        candles, at = self._candles[symbol], self._at[symbol]
        return candles[at].open_ms if at < len(candles) else None

    def next_step(self) -> Step | None:
        """All candles that open at the earliest open time not played yet."""
        times = [t for t in map(self.upcoming, self._candles) if t is not None]
        if not times:
            return None
        now = min(times)
        bars = {}
        for one in self.instruments:
            symbol = one.symbol
            if self.upcoming(symbol) == now:
                candle = self._candles[symbol][self._at[symbol]]
                self._at[symbol] += 1
                bars[symbol] = candle, prints_of(one, candle, self.length_ms, self._seed, self._count)
        return Step(now, now + self.length_ms, bars)


def candles_of(series: CandleSeries, instrument: Instrument) -> list[Candle]:
    """A recorded series as scaled integers on the instrument's grid."""
    columns = [_scaled(getattr(series, name)) for name in ("open", "high", "low", "close", "volume")]
    lot = instrument.lot
    return [
        Candle(t, o, h, low, c, v // lot * lot)
        for t, o, h, low, c, v in zip(series.date_ms.tolist(), *columns, strict=True)
    ]


def _before(
    folder: str, exchange: str, instrument: Instrument, timeframe: str, begin: int, end: int
) -> list[Candle]:
    try:
        return candles_of(load_candles(folder, exchange, instrument.pair, timeframe, begin, end), instrument)
    except CandleError:
        return []  # the recording begins with the wanted window


def _scaled(values: npt.NDArray[np.float64]) -> list[int]:
    if values.max(initial=0.0) < _EXACT_UNITS:
        return [int(v) for v in np.rint(values * 10**MAX_DECIMALS).astype(np.int64).tolist()]
    return [units_from_float(v) for v in values.tolist()]
