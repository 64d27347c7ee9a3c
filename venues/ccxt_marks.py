"""Mark prices and funding rates in ccxt.pro's caches.

Problem: ccxt's ticker of a mark has the price and not the rate that came with it; on some venues the rate has
a stream of its own, of which ccxt keeps the last word apart.

Not here: watching streams (`ccxt_feed`). Invariant: what a venue does not say is None or 0, and never a rate
of zero.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from venues.ccxt_client import MS

Raw = Mapping[str, Any]


def number_of(ticker: Raw) -> int:
    """Return the venue's time of a mark, which grows; -1 when there is no price in it."""
    px = _float(ticker.get("markPrice"))
    return int(ticker.get("timestamp") or 0) if px is not None and px > 0 else -1


def mark_of(ticker: Raw, funding: Raw | None) -> tuple[float, float | None, int]:
    """Return (mark price, funding rate or None, time of its payment in ns or 0).

    ``ticker`` is of `watch_mark_prices`, ``funding`` of `watch_funding_rate` where that was watched.
    """
    raw = ticker["info"]
    if raw.get("e") == "markPriceUpdate":  # Binance, and who copied it: the rate comes with the price
        rate, due = _float(raw.get("r")), raw.get("T")
    else:
        told = funding or {}
        rate, due = _float(told.get("fundingRate")), told.get("fundingTimestamp")
    return float(ticker["markPrice"]), rate, int(due or 0) * MS


def _float(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever the venue said
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
