"""Point an unmodified ccxt.pro client of any venue at other hosts.

Problem: ccxt keeps a venue's addresses in a tree of its own shape. The paths in it belong to the venue's
protocol, the hosts do not. Not here: protocols whose addresses differ by more than the host (`binance_urls`).
The invariant is that after `override_urls` no address of the instance leads to another host.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace the host of every API address of `exchange`: `rest` for http, `ws` for sockets."""
    for name in ("api", "test"):
        if name in exchange.urls:
            exchange.urls[name] = _moved(exchange.urls[name], rest.rstrip("/"), ws.rstrip("/"))


def _moved(tree: Any, rest: str, ws: str) -> Any:
    match tree:
        case dict():
            return {key: _moved(each, rest, ws) for key, each in tree.items()}
        case list():
            return [_moved(each, rest, ws) for each in tree]
        case str():
            parts = urlsplit(tree)
            return (ws if parts.scheme in ("ws", "wss") else rest) + parts.path
        case _:
            return tree
