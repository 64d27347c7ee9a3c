"""An unmodified ccxt.pro Kraken client on a sandbox exchange that speaks Kraken, and a key of it.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other address than that
process.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import ccxt.pro

from tests.kit.sandbox import ACCOUNT, KEY, SandboxProcess
from venues.kraken_urls import override_urls

SECRET: Final = base64.b64encode(b"a secret of the sandbox").decode()
ACCOUNTS: Final[list[dict[str, Any]]] = [ACCOUNT | {"secret": SECRET}]


@contextlib.asynccontextmanager
async def kraken_client(
    venue: SandboxProcess, key: str = KEY, secret: str = SECRET, **options: Any
) -> AsyncIterator[ccxt.pro.kraken]:
    """Return a client of the account whose keys are given; `options` are ccxt's."""
    exchange = ccxt.pro.kraken(
        {"apiKey": key, "secret": secret, "enableRateLimit": False, "options": options}
    )
    override_urls(exchange, venue.rest, venue.ws)
    try:
        yield exchange
    finally:
        await exchange.close()
