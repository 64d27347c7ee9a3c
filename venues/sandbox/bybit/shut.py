"""What Bybit says while it is shut: during maintenance, and to an address that is banned.

HTTP 403 is what the documentation of the limits names for a ban, code and text are of its table of errors.
10016 is there for a service that is restarting; which status comes with it is not documented, 5xx is what a
client has to be ready for. Not here: when it is shut. Invariant: every answer is in Bybit's envelope.
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
        "retCode": 10009 if is_ban else 10016,
        "retMsg": "IP has been banned." if is_ban else "Server error.",
        "result": {},
        "retExtInfo": {},
        "time": now_ms,
    }
    return web.Response(
        status=403 if is_ban else 503,
        body=msgspec.json.encode(envelope),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )


REFUSING: Final = Refusing(turn_away, too_much=403)
