"""Point an unmodified ccxt Coinbase client at a sandbox exchange.

Nothing is patched and no option is changed here. The invariant is that after `override_urls` no address of
the instance leads to the real exchange any more.
"""

from __future__ import annotations

from typing import Any


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro coinbase) by the sandbox's."""
    exchange.urls["api"] = {"rest": rest.rstrip("/"), "ws": ws.rstrip("/")}
