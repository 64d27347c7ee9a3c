"""The venues that can be traded at, each with what speaks for it; any other of ccxt's by unified methods.

Not here: what a venue promises (`capabilities`, `generic_rows`), which one a run takes. Invariant: whoever is
here has a row there, and no other module chooses by a venue's name.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from venues import (
    binance_client,
    binance_usdm_client,
    bybit_client,
    coinbase_client,
    hyperliquid_client,
    kraken_client,
    kucoin_client,
    okx_client,
)
from venues.binance_limits import BinanceLimits
from venues.binance_usdm_limits import UsdmLimits
from venues.binance_usdm_words import UsdmOrders
from venues.binance_words import BinanceMarket, BinanceOrders
from venues.bybit_limits import BybitLimits
from venues.bybit_words import BybitMarket, BybitOrders
from venues.capabilities import CAPABILITIES, Capabilities
from venues.ccxt_client import ClientMaker
from venues.ccxt_feed import CcxtFeed, Numbered, by_id
from venues.ccxt_venue import CcxtVenue
from venues.coinbase_limits import CoinbaseLimits
from venues.coinbase_words import CoinbaseMarket, CoinbaseOrders
from venues.generic_client import maker_of
from venues.generic_limits import GenericLimits
from venues.generic_market import GenericMarket
from venues.generic_rows import check_streams, means_of
from venues.generic_words import GenericOrders
from venues.hyperliquid_cloids import wire_id
from venues.hyperliquid_limits import HyperliquidLimits
from venues.hyperliquid_market import HyperliquidMarket, numbered
from venues.hyperliquid_words import HyperliquidOrders
from venues.kraken_ids import wire_id as kraken_wire_id
from venues.kraken_limits import KrakenLimits
from venues.kraken_market import KrakenMarket
from venues.kraken_words import KrakenOrders
from venues.kucoin_limits import KucoinLimits
from venues.kucoin_words import KucoinMarket, KucoinOrders
from venues.limits import VenueLimits
from venues.okx_limits import OkxLimits
from venues.okx_words import OkxMarket, OkxOrders
from venues.words import Account, MarketWords, OrderWords


class Adapter(NamedTuple):
    """How one venue is spoken to.

    ``wire_id`` is what the venue calls an order with a client order id of ours, ``numbered`` how its public
    trades are counted.
    """

    make_client: ClientMaker
    orders: Callable[[Any, Account], OrderWords]
    market: Callable[[], MarketWords]
    limits: Callable[[int], VenueLimits]
    wire_id: Callable[[str], str] = str
    numbered: Numbered = by_id


ADAPTERS: Final[dict[str, Adapter]] = {
    "binance": Adapter(binance_client.make_client, BinanceOrders, BinanceMarket, BinanceLimits),
    "binanceusdm": Adapter(binance_usdm_client.make_client, UsdmOrders, BinanceMarket, UsdmLimits),
    "bybit": Adapter(bybit_client.make_client, BybitOrders, BybitMarket, BybitLimits),
    "coinbase": Adapter(coinbase_client.make_client, CoinbaseOrders, CoinbaseMarket, CoinbaseLimits),
    "kraken": Adapter(kraken_client.make_client, KrakenOrders, KrakenMarket, KrakenLimits, kraken_wire_id),
    "okx": Adapter(okx_client.make_client, OkxOrders, OkxMarket, OkxLimits),
    "kucoin": Adapter(kucoin_client.make_client, KucoinOrders, KucoinMarket, KucoinLimits),
    "hyperliquid": Adapter(
        hyperliquid_client.make_client,
        HyperliquidOrders,
        HyperliquidMarket,
        HyperliquidLimits,
        wire_id,
        numbered,
    ),
}
"""Adapters by ccxt's names of venues; spot but ``binanceusdm``, which are linear perpetuals."""


def adapter_of(exchange: str) -> Adapter:
    """Return a venue's own adapter, or the one for any venue of ccxt; raises `ConfigError` for others."""
    return ADAPTERS.get(exchange) or generic_adapter(exchange)


def generic_adapter(exchange: str) -> Adapter:
    """Return the adapter that knows nothing but ccxt's unified methods, also where there is a better one."""
    limits = partial(GenericLimits, means_of(exchange).rate_ms)
    return Adapter(maker_of(exchange), GenericOrders, GenericMarket, limits)


def row_of(exchange: str) -> Capabilities:
    """Return a venue's row, or what ccxt says of it; raises `ConfigError` for those ccxt does not have."""
    return CAPABILITIES.get(exchange) or means_of(exchange).row


def venue_of(
    exchange: str, client: Any, account: Account, *, recv_window_ms: int, lag_ms: int, granted: int = 0
) -> CcxtVenue:
    """Return an account at a venue; ``client`` is what its adapter made.

    ``granted`` is how much each of the venue's limits allows this account, 0: what it allows everybody.

    Raises
    ------
    ConfigError
        When ccxt has no such venue.
    """
    row, adapter = row_of(exchange), adapter_of(exchange)
    words, limits = adapter.orders(client, account), adapter.limits(granted)
    recv_window_ms = max(recv_window_ms, row.least_fence_ms)
    return CcxtVenue(
        client, words, row, limits, recv_window_ms=recv_window_ms, lag_ms=lag_ms, wire_id=adapter.wire_id
    )


def feed_of(
    exchange: str, rest: str, ws: str, *, symbols: Sequence[str], timeframe: str, streams: Sequence[str],
    pause_s: float,
) -> CcxtFeed:  # fmt: skip
    """Return market data of a venue; empty `rest` and `ws` leave the addresses of the real one.

    Raises
    ------
    ConfigError
        When ccxt has no such venue, or it has no such stream or timeframe.
    """
    adapter = adapter_of(exchange)
    if exchange not in ADAPTERS:
        check_streams(exchange, tuple(streams))
    client = adapter.make_client(rest, ws)
    return CcxtFeed(
        client, adapter.market(), symbols=symbols, timeframe=timeframe, streams=streams, pause_s=pause_s,
        numbered=adapter.numbered,
    )  # fmt: skip
