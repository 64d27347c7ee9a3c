"""What Coinbase says while it is shut: during maintenance, and to an address that asked too much.

It documents 429 for the latter and no longer ban. Not here: when it is shut. Invariant: every answer is one
that ccxt reads.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from venues.sandbox.hostility.door import Refusing, Shut


def turn_away(request: web.Request, shut: Shut, now_ms: int) -> web.Response:
    """The answer to a request or a handshake."""
    is_ban = shut.why == "banned"
    told = ("rate_limit_exceeded", "Too many requests") if is_ban else ("UNAVAILABLE", "service unavailable")
    return web.Response(
        status=429 if is_ban else 503,
        body=msgspec.json.encode({"errors": [{"id": told[0], "message": told[1]}]}),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )


REFUSING: Final = Refusing(turn_away, too_much=429)
