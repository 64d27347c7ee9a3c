"""An unmodified ccxt.pro Bybit client on a sandbox exchange that speaks Bybit.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other address than that
process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro

from tests.kit.sandbox import KEY, SECRET, SandboxProcess
from venues.bybit_urls import override_urls


@contextlib.asynccontextmanager
async def bybit_client(
    venue: SandboxProcess, key: str = KEY, secret: str = SECRET, **options: Any
) -> AsyncIterator[ccxt.pro.bybit]:
    """Return a client of the account whose keys are given; `options` are ccxt's."""
    exchange = ccxt.pro.bybit(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "options": {"defaultType": "spot", **options},
        }
    )
    override_urls(exchange, venue.rest, venue.ws)
    try:
        yield exchange
    finally:
        await exchange.close()
