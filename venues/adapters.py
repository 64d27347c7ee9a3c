"""The venues that can be traded at, each with what speaks for it.

Not here: what a venue promises (`capabilities`), which one a run takes. Invariant: whoever is here has a row
there, and no other module chooses by a venue's name.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from venues import binance_client, bybit_client
from venues.binance_words import BinanceMarket, BinanceOrders
from venues.bybit_words import BybitMarket, BybitOrders
from venues.capabilities import capabilities_of
from venues.ccxt_client import ClientMaker
from venues.ccxt_feed import CcxtFeed
from venues.ccxt_venue import CcxtVenue
from venues.words import Account, MarketWords, OrderWords


class Adapter(NamedTuple):
    """How one venue is spoken to."""

    make_client: ClientMaker
    orders: Callable[[Any, Account], OrderWords]
    market: Callable[[], MarketWords]


ADAPTERS: Final[dict[str, Adapter]] = {
    "binance": Adapter(binance_client.make_client, BinanceOrders, BinanceMarket),
    "bybit": Adapter(bybit_client.make_client, BybitOrders, BybitMarket),
}
"""Adapters by ccxt's names of venues; spot."""


def venue_of(exchange: str, client: Any, account: Account, *, recv_window_ms: int, lag_ms: int) -> CcxtVenue:
    """Return an account at a venue; ``client`` is what its adapter made.

    Raises
    ------
    ConfigError
        When nobody certified an adapter for it.
    """
    row = capabilities_of(exchange)
    words = ADAPTERS[exchange].orders(client, account)
    return CcxtVenue(client, words, row, recv_window_ms=recv_window_ms, lag_ms=lag_ms)


def feed_of(
    exchange: str, rest: str, ws: str, *, symbols: Sequence[str], timeframe: str, streams: Sequence[str],
    pause_s: float,
) -> CcxtFeed:  # fmt: skip
    """Return market data of a venue; empty `rest` and `ws` leave the addresses of the real one.

    Raises
    ------
    ConfigError
        When nobody certified an adapter for it, or it has no such stream or timeframe.
    """
    capabilities_of(exchange)
    adapter = ADAPTERS[exchange]
    client = adapter.make_client(rest, ws)
    return CcxtFeed(
        client, adapter.market(), symbols=symbols, timeframe=timeframe, streams=streams, pause_s=pause_s
    )
