"""Point an unmodified ccxt Kraken client at a sandbox exchange.

A client needs nothing but other addresses: the same class, the same requests and signatures, the same
channels. Nothing is patched and no option is changed here. The invariant is that after `override_urls` no
address of the instance leads to the real exchange any more.
"""

from __future__ import annotations

from typing import Any

# ccxt talks to the two v2 addresses only; of the older ones it keeps a client that never connects
_SOCKETS = {"public": "/v1", "private": "/auth/v1", "publicV2": "/v2", "privateV2": "/auth/v2"}


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro kraken) by the sandbox's."""
    http, sockets = rest.rstrip("/"), ws.rstrip("/")
    for name in ("api", "test"):
        if exchange.urls.get(name):
            found: dict[str, Any] = {key: http for key in exchange.urls[name] if key != "ws"}
            if "ws" in exchange.urls[name]:
                found["ws"] = {key: sockets + _SOCKETS.get(key, "/none") for key in exchange.urls[name]["ws"]}
            exchange.urls[name] = found
