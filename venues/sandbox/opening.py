"""At which price a made-up asset starts, in the account's currency.

Apart from the feed, because who writes the limits of a run needs the prices and none of the feed's weight.
Not here: how prices move (`synthetic`). Invariant: every asset has one.
"""

from __future__ import annotations

from typing import Final

_PRICES: Final = {
    "BTC": 60_000.0, "ETH": 3_000.0, "LTC": 80.0, "SOL": 150.0, "BNB": 500.0, "XRP": 0.5, "LINK": 15.0,
}  # fmt: skip
_ANY_OTHER: Final = 10.0


def opening_price(asset: str) -> float:
    """Return the price of the first candle's open, up to the candle's history."""
    return _PRICES.get(asset, _ANY_OTHER)
