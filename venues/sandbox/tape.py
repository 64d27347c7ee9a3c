"""Turn one candle into the trades that could have made it.

A candle says where the price went, not how; the sandbox needs prints, because stops trigger and
resting orders fill on prints. The path is open, the two extremes (their order is seeded, with the
candle's direction making one more likely), close. Not here: which of these prints fill somebody's
order. Invariant: quantities sum exactly to the candle's volume, prices stay within low and high,
and the same (seed, symbol, open time) gives the same prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from venues.sandbox.instrument import Instrument
from venues.sandbox.keyed_random import KeyedRandom


class Print(NamedTuple):
    """One public trade before it has an id; price and qty count 1e-8."""

    price: int
    qty: int
    buyer_is_maker: bool
    t: int


@dataclass(frozen=True, slots=True)
class Candle:
    """One closed bucket of market data; prices and volume count 1e-8."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int


def prints_of(instrument: Instrument, candle: Candle, length_ms: int, seed: int, count: int) -> list[Print]:
    """The candle's trades, `count` of them unless the volume has fewer lots; none without volume."""
    if candle.volume <= 0:
        return []
    random = KeyedRandom(seed, instrument.symbol, candle.open_ms)
    lots = max(1, candle.volume // instrument.lot)
    prices = _path(candle, min(count, lots), random, instrument.tick)
    quantities = _split(candle.volume, instrument.lot, len(prices), random)
    spacing = max(1, length_ms // (len(prices) + 1))
    last_ms = candle.open_ms + length_ms - 1
    prints = []
    before = candle.open
    sells = bool(random.below(2))
    for i, (price, qty) in enumerate(zip(prices, quantities, strict=True)):
        if price != before:
            sells = price < before
        prints.append(Print(price, qty, sells, min(last_ms, candle.open_ms + (i + 1) * spacing)))
        before = price
    return prints


def _path(candle: Candle, count: int, random: KeyedRandom, tick: int) -> list[int]:
    """Prices from open over both extremes to close; fewer than four keep what is most telling."""
    rising = candle.close >= candle.open
    low_first = rising if random.below(4) else not rising
    turns = [candle.low, candle.high] if low_first else [candle.high, candle.low]
    if count == 1:
        return [candle.close]
    if count == 2:
        return [candle.open, candle.close]
    if count == 3:
        far = (
            candle.high
            if candle.high - max(candle.open, candle.close) >= (min(candle.open, candle.close) - candle.low)
            else candle.low
        )
        return [candle.open, far, candle.close]
    corners = [candle.open, *turns, candle.close]
    path = [corners[0]]
    extra = count - 4
    for leg in range(3):
        between = extra // 3 + (1 if leg < extra % 3 else 0)
        start, stop = corners[leg], corners[leg + 1]
        path.extend(_on_grid(start, stop, (i + 1) / (between + 1), tick) for i in range(between))
        path.append(stop)
    return path


def _on_grid(start: int, stop: int, share: float, tick: int) -> int:
    return start + int((stop - start) * share) // tick * tick


def _split(volume: int, lot: int, parts: int, random: KeyedRandom) -> list[int]:
    """Quantities of at least one lot each, on the lot grid; what is left over goes to the last."""
    if parts == 1:
        return [volume]
    spare = volume // lot - parts
    weights = [1 + random.below(1000) for _ in range(parts)]
    total = sum(weights)
    quantities = [(1 + spare * weight // total) * lot for weight in weights]
    quantities[-1] += volume - sum(quantities)
    return quantities
