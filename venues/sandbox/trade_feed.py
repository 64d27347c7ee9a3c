"""The feed of recorded trades: real prints, cut into steps of a fixed length.

Each step's candle is made from its trades, so candles and trades agree by construction; a slice
without trades has no candle, as on venues that omit empty minutes. Not here: reading and checking
the files (see `venues.recorded_trades`). Invariant: every recorded trade is printed exactly once,
in order.
"""

from __future__ import annotations

from bisect import bisect_left

from venues.recorded import MAX_DECIMALS, Moment
from venues.recorded_trades import TradeSeries, load_trades
from venues.sandbox.feeds import Step, instrument_of
from venues.sandbox.instrument import Instrument
from venues.sandbox.tape import Candle, Print
from venues.sandbox.units import units_from_float

_TIMEFRAMES = {1_000: "1s", 60_000: "1m", 300_000: "5m", 900_000: "15m", 3_600_000: "1h", 86_400_000: "1d"}


class TradeFeed:
    """Recorded trades of several pairs on one clock."""

    def __init__(self, files: dict[str, str], slice_ms: int, start: Moment, end: Moment) -> None:
        self.length_ms = slice_ms
        self.timeframe = _TIMEFRAMES.get(slice_ms, f"{slice_ms // 1000}s")
        series = {pair: load_trades(path, pair, start, end) for pair, path in files.items()}
        self.notes = [
            f"{one.pair}: {one.duplicates} identical duplicates dropped ({one.file})"
            for one in series.values()
            if one.duplicates
        ]
        self.instruments = [
            instrument_of(pair, s.price_decimals, s.quantity_decimals) for pair, s in series.items()
        ]
        self._prints = {one.symbol: _prints_of(series[one.pair], one) for one in self.instruments}
        self._at = dict.fromkeys(self._prints, 0)

    def history(self, symbol: str) -> list[Candle]:
        """Nothing is known from before the recording."""
        return []

    def upcoming(self, symbol: str) -> int | None:
        """Open time of the slice with the symbol's next trade."""
        prints, at = self._prints[symbol], self._at[symbol]
        return prints[at].t // self.length_ms * self.length_ms if at < len(prints) else None

    def next_step(self) -> Step | None:
        """The next slice in which something was traded."""
        times = [t for t in map(self.upcoming, self._prints) if t is not None]
        if not times:
            return None
        now = min(times)
        close = now + self.length_ms
        bars = {}
        for symbol, prints in self._prints.items():
            at = self._at[symbol]
            stop = bisect_left(prints, close, lo=at, key=lambda one: one.t)
            if stop > at:
                self._at[symbol] = stop
                group = prints[at:stop]
                bars[symbol] = _candle_of(group, now), group
        return Step(now, close, bars)


def _candle_of(prints: list[Print], open_ms: int) -> Candle:
    prices = [one.price for one in prints]
    return Candle(open_ms, prices[0], max(prices), min(prices), prices[-1], sum(one.qty for one in prints))


def _prints_of(series: TradeSeries, instrument: Instrument) -> list[Print]:
    lot = instrument.lot
    assert lot == 10 ** (MAX_DECIMALS - series.quantity_decimals)
    return [
        Print(units_from_float(price), units_from_float(qty), maker, t)
        for t, price, qty, maker in zip(
            series.time_ms.tolist(),
            series.price.tolist(),
            series.quantity.tolist(),
            series.buyer_is_maker.tolist(),
            strict=True,
        )
    ]
