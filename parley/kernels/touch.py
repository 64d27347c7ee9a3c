"""Whether a candle reaches an order's price: the one rule by which simulated orders fill.

Problem: a candle says where the price has been, not in which order. freqtrade fills an order whose price lies
inside the candle, completely and at its own price, and so does everything here that simulates.

Not here: what a fill does to a trade (`book`) or to an account (`venues.sim`).
"""


def is_touched(price: float, low: float, high: float) -> bool:
    """Whether a price lies inside the candle, its ends included (freqtrade's `get_rate_bounds`)."""
    return low <= price <= high
