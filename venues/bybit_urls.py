"""Point an unmodified ccxt Bybit client at a sandbox exchange.

A client needs nothing but other addresses: the same class, the same requests and signatures, the same
topics. Nothing is patched and no option is changed here. The invariant is that after `override_urls` no
address of the instance leads to the real exchange any more.
"""

from __future__ import annotations

from typing import Any

# ccxt tells spot from contract messages by "spot" in a public socket's address, and the unified account by
# "v5/private" in a private one's.
_PUBLIC_SPOT = "/v5/public/spot"
_PRIVATE = "/v5/private"


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro bybit) by the sandbox's."""
    rest, ws = rest.rstrip("/"), ws.rstrip("/")
    api = exchange.urls["api"]
    replaced: dict[str, Any] = {
        name: rest if name in ("public", "private") else f"{rest}/unsupported/{name}"
        for name in api
        if name != "ws"
    }
    if "ws" in api:
        elsewhere = ws + "/unsupported"
        replaced["ws"] = {
            "public": dict.fromkeys(api["ws"]["public"], elsewhere) | {"spot": ws + _PUBLIC_SPOT},
            "private": {
                "spot": {"unified": ws + _PRIVATE, "nonUnified": elsewhere},
                "contract": ws + _PRIVATE,
                "usdc": elsewhere,
                "trade": elsewhere,
            },
        }
    exchange.urls["api"] = replaced
