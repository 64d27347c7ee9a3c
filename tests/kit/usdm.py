"""An unmodified ccxt.pro client of Binance's USD-M contracts on a sandbox exchange that speaks them.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other address than that
process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro

from tests.kit.sandbox import KEY, SECRET, SandboxProcess, sandbox
from venues.binance_urls import override_urls

MARKET = {"kind": "synthetic", "candles": 40, "history": 60, "assets": ["BTC", "ETH"]}


@contextlib.asynccontextmanager
async def usdm_client(
    venue: SandboxProcess, key: str = KEY, secret: str = SECRET, **options: Any
) -> AsyncIterator[ccxt.pro.binanceusdm]:
    """Return a client of the account whose keys are given; `options` are ccxt's."""
    exchange = ccxt.pro.binanceusdm(
        {"apiKey": key, "secret": secret, "enableRateLimit": False, "options": options}
    )
    override_urls(exchange, venue.rest, venue.ws)
    exchange.urls["api"]["ws"]["linear"] = venue.ws.rstrip("/") + "/ws"
    try:
        yield exchange
    finally:
        await exchange.close()


@contextlib.asynccontextmanager
async def usdm_venue(
    feed: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[tuple[SandboxProcess, ccxt.pro.binanceusdm]]:
    """Run an exchange of contracts in lock-step, and a client of its first account."""
    async with (
        sandbox(feed or MARKET, protocol="binanceusdm", **config) as venue,
        usdm_client(venue) as client,
    ):
        yield venue, client
