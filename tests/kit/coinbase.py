"""An unmodified ccxt.pro Coinbase client on a sandbox exchange that speaks Coinbase, and its key.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other address than that
process; the private key is made for this process of tests and no other.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro

from tests.kit.sandbox import ACCOUNT, KEY, SandboxProcess, sandbox
from venues.coinbase_urls import override_urls
from venues.key_pairs import made_pem

PEM = made_pem()


@contextlib.asynccontextmanager
async def coinbase(feed: dict[str, Any] | None = None, **config: object) -> AsyncIterator[SandboxProcess]:
    """Run a sandbox that speaks Coinbase; its account's secret is the private key."""
    account = ACCOUNT | {"secret": PEM}
    async with sandbox(feed, **({"protocol": "coinbase", "accounts": [account]} | config)) as process:
        yield process


@contextlib.asynccontextmanager
async def coinbase_client(
    venue: SandboxProcess, key: str = KEY, secret: str = PEM, **options: Any
) -> AsyncIterator[ccxt.pro.coinbase]:
    """Return a client of the account whose key is given; `options` are ccxt's."""
    exchange = ccxt.pro.coinbase(
        {"apiKey": key, "secret": secret, "enableRateLimit": False, "options": dict(options)}
    )
    override_urls(exchange, venue.rest, venue.ws)
    try:
        yield exchange
    finally:
        await exchange.close()
