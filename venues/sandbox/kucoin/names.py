"""Which pair a symbol of KuCoin means: `BTC-USDT`.

Not here: what is asked about it. Invariant: each listed pair has exactly one id.
"""

from __future__ import annotations

from collections.abc import Mapping

from venues.sandbox.exchange import Exchange
from venues.sandbox.instrument import Instrument
from venues.sandbox.matching import SymbolMarket


def pair_id(instrument: Instrument) -> str:
    """The pair's id."""
    return f"{instrument.base}-{instrument.quote}"


def markets_by_id(exchange: Exchange) -> Mapping[str, SymbolMarket]:
    """All listed pairs."""
    return {pair_id(market.instrument): market for market in exchange.markets.values()}
