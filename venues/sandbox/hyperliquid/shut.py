"""What Hyperliquid says while it is shut: during maintenance, and to an address that asked too much.

Neither has documented words; both are a bare status. Not here: when it is shut. Invariant: nothing in it
looks like an answer to an action.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from venues.sandbox.hostility.door import Refusing, Shut


def turn_away(request: web.Request, shut: Shut, now_ms: int) -> web.Response:
    """The answer to a request or a handshake."""
    return web.Response(status=429 if shut.why == "banned" else 503, text="null")


REFUSING: Final = Refusing(turn_away, too_much=429)
