"""The displayed book of one symbol: finite, seeded levels around the last price.

Orders that take liquidity eat these levels, and eaten size stays gone until the next refresh. The
book keeps Binance's update ids: every publication covers (last + 1 .. now), so a client that joins
a REST snapshot with the diffs never misses one. Not here: resting orders of accounts (they are not
displayed). Invariant: applying every published diff to any earlier snapshot gives the book.
"""

from __future__ import annotations

from venues.sandbox.instrument import Instrument
from venues.sandbox.keyed_random import KeyedRandom

_BASIS_POINT = 10_000
# A level shows about this share of a candle's volume, before the seeded factor of 1 to 4.
_SIZE_SHARE = 40


class DisplayedBook:
    """Levels a side as {price: quantity}, best first in iteration order."""

    def __init__(self, instrument: Instrument, levels: int, seed: int) -> None:
        self._instrument = instrument
        self._levels = levels
        self._seed = seed
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 1
        self._announced: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._usual_volume = 0

    def refresh(self, price: int, volume: int, key: int) -> None:
        """Replace all levels by seeded ones around `price`; `key` is the market time."""
        tick, lot = self._instrument.tick, self._instrument.lot
        if volume > 0:
            self._usual_volume = volume if self._usual_volume == 0 else (self._usual_volume * 3 + volume) // 4
        random = KeyedRandom(self._seed, self._instrument.symbol, key, price)
        bits = random.next64()
        spread = max(1 + (bits & 1), round(price / _BASIS_POINT / tick)) * tick
        gap = max(1, spread // tick // 2) * tick
        below = price - spread // 2 // tick * tick
        best_bid, best_ask = (below, below + spread) if bits & 2 else (price - spread, price)
        best_bid = max(best_bid, tick)
        best_ask = max(best_ask, best_bid + tick)
        unit = max(lot, self._usual_volume // _SIZE_SHARE // lot * lot)
        sizes = random.next64()
        bids, asks = {}, {}
        for i in range(self._levels):
            if i % 16 == 0:
                sizes = random.next64()
            bid = best_bid - i * gap
            if bid > 0:
                bids[bid] = unit * (1 + (sizes & 3))
            asks[best_ask + i * gap] = unit * (1 + (sizes >> 2 & 3))
            sizes >>= 4
        self.bids, self.asks = bids, asks

    def displayed_at(self, is_buy: bool, price: int) -> int:
        """Size shown at a price on the side of a resting order."""
        return (self.bids if is_buy else self.asks).get(price, 0)

    def take(self, from_asks: bool, price: int, qty: int) -> None:
        """Remove size that somebody traded with."""
        side = self.asks if from_asks else self.bids
        left = side[price] - qty
        if left:
            side[price] = left
        else:
            del side[price]

    def best(self, asks: bool) -> tuple[int, int] | None:
        """Best price and its size, or None on an empty side."""
        return next(iter((self.asks if asks else self.bids).items()), None)

    def changes(self) -> tuple[int, int, list[tuple[int, int]], list[tuple[int, int]]] | None:
        """(U, u, bids, asks) since the last call, sizes 0 for removed levels; None if nothing changed."""
        bids = _difference(self._announced[0], self.bids)
        asks = _difference(self._announced[1], self.asks)
        count = len(bids) + len(asks)
        if not count:
            return None
        first = self.update_id + 1
        self.update_id += count
        self._announced = (dict(self.bids), dict(self.asks))
        return first, self.update_id, bids, asks


def _difference(old: dict[int, int], new: dict[int, int]) -> list[tuple[int, int]]:
    changed = [(price, qty) for price, qty in new.items() if old.get(price) != qty]
    changed.extend((price, 0) for price in old if price not in new)
    return changed
