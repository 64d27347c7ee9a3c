"""What OKX says while it is shut: during maintenance, and to an address that is banned.

50001 is its code for a service that is not available for a while. Which status an address gets that was
banned is not documented; it is told the same as one that asks too fast. Not here: when it is shut. Invariant:
every answer is in OKX's envelope.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from venues.sandbox.hostility.door import Refusing, Shut


def turn_away(request: web.Request, shut: Shut, now_ms: int) -> web.Response:
    """The answer to a request or a handshake."""
    is_ban = shut.why == "banned"
    envelope: dict[str, object] = {
        "code": "50011" if is_ban else "50001",
        "msg": "Too Many Requests" if is_ban else "Service temporarily unavailable. Try again later",
        "data": [],
    }
    return web.Response(
        status=429 if is_ban else 503,
        body=msgspec.json.encode(envelope),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )


REFUSING: Final = Refusing(turn_away, too_much=429)
