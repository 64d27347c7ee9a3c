"""The largest relative move of a price within a minute (F243), in one pass over the prices. Pure.

What a price can be compared with is at most the lowest and the highest of the minute before it: a quotient
of floats never falls when its upper number rises, so no other pair moves further, to the last bit.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from parley.risk.limits import MINUTE_NS

Price = tuple[int, float]  # market ns, quote
MOST_PRICE = 1e14


def spike(before: Sequence[Price], fresh: Iterable[Price]) -> float:
    """Return the largest move of a fresh price against any price at most a minute older, as a fraction.

    ``before`` are earlier prices, oldest first. A price that is none moves nothing.
    """
    lows: deque[Price] = deque()
    highs: deque[Price] = deque()
    worst = 0.0
    for price in before:
        _push(lows, highs, price)
    for at, px in sorted(fresh, key=_time):
        if not 0 < px < MOST_PRICE:
            continue
        for extremes in (lows, highs):
            while extremes and extremes[0][0] < at - MINUTE_NS:
                extremes.popleft()
            if extremes:
                other = extremes[0][1]
                worst = max(worst, (px / other if px > other else other / px) - 1.0)
        _push(lows, highs, (at, px))
    return worst


def last_minute(before: Sequence[Price], fresh: Sequence[Price]) -> list[Price]:
    """Return the usable ones of earlier and fresh prices that are of the minute up to the latest."""
    told = sorted([(at, px) for at, px in (*before, *fresh) if 0 < px < MOST_PRICE], key=_time)
    return [price for price in told if price[0] >= told[-1][0] - MINUTE_NS]


def _push(lows: deque[Price], highs: deque[Price], price: Price) -> None:
    """Take a price up; one that is older and no further out than it will never be the extreme again."""
    while lows and lows[-1][1] >= price[1]:
        lows.pop()
    lows.append(price)
    while highs and highs[-1][1] <= price[1]:
        highs.pop()
    highs.append(price)


def _time(price: Price) -> int:
    return price[0]
