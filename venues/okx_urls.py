"""Point an unmodified ccxt OKX client at a sandbox exchange.

A client needs nothing but other addresses: the same class, the same requests and signatures, the same
channels. Nothing is patched and no option is changed here. The invariant is that after `override_urls` no
address of the instance leads to the real exchange any more.
"""

from __future__ import annotations

from typing import Any

_SOCKETS = "/ws/v5"  # ccxt adds public, business or private


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro okx) by the sandbox's."""
    addresses = {"rest": rest.rstrip("/"), "ws": ws.rstrip("/") + _SOCKETS}
    for name in ("api", "test"):
        if name in exchange.urls:
            exchange.urls[name] = {key: addresses[key] for key in exchange.urls[name]}
