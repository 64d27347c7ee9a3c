"""Point an unmodified ccxt Hyperliquid client at a sandbox exchange.

A client needs nothing but other addresses: the same class, the same actions and signatures, the same
subscriptions. Nothing is patched and no option is changed here. The invariant is that after `override_urls`
no address of the instance leads to the real exchange any more.
"""

from __future__ import annotations

from typing import Any


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro hyperliquid) by the sandbox's."""
    rest, ws = rest.rstrip("/"), ws.rstrip("/") + "/ws"
    for name in ("api", "test"):
        exchange.urls[name] = {"public": rest, "private": rest, "ws": {"public": ws}}
