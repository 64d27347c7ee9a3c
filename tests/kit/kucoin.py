"""An unmodified ccxt.pro KuCoin client on a sandbox exchange that speaks KuCoin.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other address than that
process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro

from tests.kit.sandbox import KEY, PASSPHRASE, SECRET, SandboxProcess
from venues.kucoin_urls import override_urls


@contextlib.asynccontextmanager
async def kucoin_client(
    venue: SandboxProcess, key: str = KEY, secret: str = SECRET, passphrase: str = PASSPHRASE, **options: Any
) -> AsyncIterator[ccxt.pro.kucoin]:
    """Return a client of the account whose keys are given; `options` are ccxt's."""
    spot = {"fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}}
    exchange = ccxt.pro.kucoin(
        {
            "apiKey": key,
            "secret": secret,
            "password": passphrase,
            "enableRateLimit": False,
            "options": {"defaultType": "spot", **spot, **options},
        }
    )
    override_urls(exchange, venue.rest, venue.ws)
    try:
        yield exchange
    finally:
        await exchange.close()
