"""The venues that can be traded at, each with what speaks for it.

Not here: what a venue promises (`capabilities`), which one a run takes. Invariant: whoever is here has a row
there, and no other module chooses by a venue's name.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from venues import binance_client, binance_usdm_client, bybit_client, okx_client
from venues.binance_limits import BinanceLimits
from venues.binance_usdm_limits import UsdmLimits
from venues.binance_usdm_words import UsdmOrders
from venues.binance_words import BinanceMarket, BinanceOrders
from venues.bybit_limits import BybitLimits
from venues.bybit_words import BybitMarket, BybitOrders
from venues.capabilities import capabilities_of
from venues.ccxt_client import ClientMaker
from venues.ccxt_feed import CcxtFeed
from venues.ccxt_venue import CcxtVenue
from venues.limits import VenueLimits
from venues.okx_limits import OkxLimits
from venues.okx_words import OkxMarket, OkxOrders
from venues.words import Account, MarketWords, OrderWords


class Adapter(NamedTuple):
    """How one venue is spoken to."""

    make_client: ClientMaker
    orders: Callable[[Any, Account], OrderWords]
    market: Callable[[], MarketWords]
    limits: Callable[[int], VenueLimits]


ADAPTERS: Final[dict[str, Adapter]] = {
    "binance": Adapter(binance_client.make_client, BinanceOrders, BinanceMarket, BinanceLimits),
    "binanceusdm": Adapter(binance_usdm_client.make_client, UsdmOrders, BinanceMarket, UsdmLimits),
    "bybit": Adapter(bybit_client.make_client, BybitOrders, BybitMarket, BybitLimits),
    "okx": Adapter(okx_client.make_client, OkxOrders, OkxMarket, OkxLimits),
}
"""Adapters by ccxt's names of venues; spot but ``binanceusdm``, which are linear perpetuals."""


def venue_of(
    exchange: str, client: Any, account: Account, *, recv_window_ms: int, lag_ms: int, granted: int = 0
) -> CcxtVenue:
    """Return an account at a venue; ``client`` is what its adapter made.

    ``granted`` is how much each of the venue's limits allows this account, 0: what it allows everybody.

    Raises
    ------
    ConfigError
        When nobody certified an adapter for it.
    """
    row = capabilities_of(exchange)
    adapter = ADAPTERS[exchange]
    words, limits = adapter.orders(client, account), adapter.limits(granted)
    return CcxtVenue(client, words, row, limits, recv_window_ms=recv_window_ms, lag_ms=lag_ms)


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
