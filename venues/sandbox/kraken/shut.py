"""What Kraken says while it is shut: during maintenance, and to a key or an address that asked too much.

Its documentation names the error of a lockout and none for an address; that gets the same. Not here: when it
is shut. Invariant: every answer is in Kraken's envelope.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from venues.sandbox.hostility.door import Refusing, Shut

TOO_MUCH: Final = 429


def turn_away(request: web.Request, shut: Shut, now_ms: int) -> web.Response:
    """The answer to a request or a handshake."""
    is_ban = shut.why == "banned"
    text = "EGeneral:Temporary lockout" if is_ban else "EService:Unavailable"
    return web.Response(
        status=TOO_MUCH if is_ban else 503,
        body=msgspec.json.encode({"error": [text]}),
        headers={"Content-Type": "application/json"},
    )


REFUSING: Final = Refusing(turn_away, too_much=TOO_MUCH)
