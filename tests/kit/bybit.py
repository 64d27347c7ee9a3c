"""An unmodified ccxt.pro Bybit client on a sandbox exchange that speaks Bybit.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other address than that
process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt.pro

from tests.kit.kucoin import kucoin_client
from tests.kit.okx import okx_client
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


async def last_price(venue: SandboxProcess, symbol: str, exchange: str = "bybit") -> Decimal:
    """Ask an exchange that speaks any of the protocols what was paid last."""
    client = {"bybit": bybit_client, "okx": okx_client, "kucoin": kucoin_client}.get(
        exchange, SandboxProcess.client
    )
    async with client(venue) as asking:
        told = (await asking.fetch_ticker(symbol))["info"]
        return Decimal(told["last" if exchange in ("okx", "kucoin") else "lastPrice"])
