"""An account at a sandbox exchange that speaks Hyperliquid, and an unmodified ccxt.pro client of it.

The account is an address; its API wallet's private key signs. Both are made up here and hold nothing
anywhere. Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the client knows no other
address than that process, and makes no action of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro

from tests.kit.sandbox import SandboxProcess
from venues.hyperliquid_client import make_client

ADDRESS = "0x" + "ab" * 20
PRIVATE_KEY = "0x" + "4c0883a69102937d6231471b5dbb6204fe512961708279" + "1f" * 9
USDC_FEED: dict[str, Any] = {
    "kind": "synthetic", "candles": 40, "history": 60, "quote": "USDC", "crosses": [],
}  # fmt: skip
ACCOUNT: dict[str, Any] = {
    "name": "first",
    "api_key": ADDRESS,
    "secret": PRIVATE_KEY,
    "balances": {"USDC": "10000000", "BTC": "20", "ETH": "100"},
}
SANDBOX: dict[str, Any] = {"protocol": "hyperliquid", "feed": USDC_FEED, "accounts": [ACCOUNT]}
BTC = "BTC/USDC"


@contextlib.asynccontextmanager
async def hyperliquid_client(
    venue: SandboxProcess, key: str = ADDRESS, secret: str = PRIVATE_KEY
) -> AsyncIterator[ccxt.pro.hyperliquid]:
    """Return a client of the account whose keys are given."""
    exchange = make_client(venue.rest, venue.ws, api_key=key, secret=secret, recv_window_ms=5000)
    try:
        yield exchange
    finally:
        await exchange.close()
