"""What KuCoin says while it is shut: during maintenance, and to an address that is banned.

503 is its documented status for maintenance; the code of the answer is not documented. Which status an
address gets that was banned is not documented either; it is told the same as one that asks too fast. Not
here: when it is shut. Invariant: every answer is in KuCoin's envelope.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from venues.sandbox.hostility.door import Refusing, Shut
from venues.sandbox.kucoin import errors


def turn_away(request: web.Request, shut: Shut, now_ms: int) -> web.Response:
    """The answer to a request or a handshake."""
    is_ban = shut.why == "banned"
    banned = errors.too_many()
    envelope = {
        "code": str(banned.code) if is_ban else "503",
        "msg": banned.msg if is_ban else "Service Unavailable",
    }
    return web.Response(
        status=banned.status if is_ban else 503,
        body=msgspec.json.encode(envelope),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )


REFUSING: Final = Refusing(turn_away, too_much=429)
