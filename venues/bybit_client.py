"""Make the unmodified ccxt.pro Bybit client for spot, and read what it lists.

Not here: orders (`bybit_venue`, `bybit_orders`). Invariant: nothing of ccxt is subclassed or patched; only
addresses, keys and documented options differ from the default.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import ccxt.pro

from parley.instruments import Instrument
from venues.bybit_urls import override_urls
from venues.ccxt_client import exact


def make_client(
    rest: str,
    ws: str,
    *,
    api_key: str = "",
    secret: str = "",
    recv_window_ms: int = 2000,
    timeout_ms: int = 10_000,
) -> Any:
    """Return a ccxt.pro bybit client; empty `rest` and `ws` leave the addresses of the real exchange.

    Our own budget limits the rate (settled 9), and no request is ever repeated by the client (trap T3).
    """
    client = ccxt.pro.bybit(
        {
            "apiKey": api_key,
            "secret": secret,
            "enableRateLimit": False,
            "timeout": timeout_ms,
            "options": {
                "defaultType": "spot",
                "recvWindow": recv_window_ms,
                "maxRetriesOnFailure": 0,
                "fetchMarkets": {"types": ["spot"]},
            },
        }
    )
    if rest or ws:
        override_urls(client, rest, ws)
    return client


def bybit_instrument(
    market: Mapping[str, Any], venue: str, fees: Mapping[str, tuple[Decimal, Decimal]]
) -> Instrument:
    """Read a listed pair; `fees` are (maker, taker) by the venue's id of the pair."""
    lot, price = market["info"]["lotSizeFilter"], market["info"]["priceFilter"]
    maker, taker = fees[market["id"]]
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(price["tickSize"]), lot=exact(lot["basePrecision"]), min_qty=exact(lot["minOrderQty"]),
        max_qty=exact(lot["maxOrderQty"]), min_notional=exact(lot["minOrderAmt"]),
        maker_fee=maker, taker_fee=taker,
    )  # fmt: skip
