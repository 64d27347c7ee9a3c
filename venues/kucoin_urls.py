"""Point an unmodified ccxt KuCoin client at a sandbox exchange.

A client needs nothing but other addresses: the same class, the same requests and signatures, the same topics.
The address of the sockets is no setting of ccxt: the venue says it together with a token. Nothing is patched
and no option is changed here. The invariant is that after `override_urls` no address of the instance leads to
the real exchange any more.
"""

from __future__ import annotations

from typing import Any


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro kucoin) by the sandbox's."""
    addresses = {"rest": rest.rstrip("/"), "ws": ws.rstrip("/")}
    exchange.urls["api"] = {
        name: dict.fromkeys(address, addresses["ws"]) if isinstance(address, dict) else addresses["rest"]
        for name, address in exchange.urls["api"].items()
    }
