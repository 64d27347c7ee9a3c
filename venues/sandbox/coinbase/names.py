"""Which pair a product id of Coinbase means, `BTC-USDT`, and how it writes times.

Not here: what is asked about it. Invariant: each listed pair has exactly one id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from venues.sandbox.exchange import Exchange
from venues.sandbox.instrument import Instrument
from venues.sandbox.matching import SymbolMarket


def product_id(instrument: Instrument) -> str:
    """The pair's id."""
    return f"{instrument.base}-{instrument.quote}"


def markets_by_id(exchange: Exchange) -> Mapping[str, SymbolMarket]:
    """All listed pairs."""
    return {product_id(market.instrument): market for market in exchange.markets.values()}


def stamp(ms: int) -> str:
    """A time as text."""
    seconds, part = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{part:03d}Z"
