"""What Binance says while it is shut: during maintenance, and to an address that is banned.

The ban's code and text are of the table of errors, its status and `Retry-After` of the section on limits. The
text of maintenance is one that clients know; which status comes with it is not documented, 5xx is what a
client has to be ready for. Not here: when it is shut. Invariant: as Binance, the status of the system can be
asked for also during maintenance.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from venues.sandbox.hostility.door import Refusing, Shut

_JSON: Final = {"Content-Type": "application/json;charset=UTF-8"}
_STATUS_PATH: Final = "/sapi/v1/system/status"


def turn_away(request: web.Request, shut: Shut, now_ms: int) -> web.Response:
    """The answer to a request or a handshake."""
    if shut.why == "banned":
        msg = (
            f"Way too much request weight used; IP banned until {shut.until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        wait_s = -(-(shut.until_ms - now_ms) // 1000)
        return _answer(418, {"code": -1003, "msg": msg}, {"Retry-After": str(wait_s)})
    if request.path == _STATUS_PATH:
        return _answer(200, {"status": 1, "msg": "system_maintenance"}, {})
    return _answer(503, {"code": 1, "msg": "System is under maintenance."}, {})


def _answer(status: int, body: dict[str, object], headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), headers=_JSON | headers)


REFUSING: Final = Refusing(turn_away, too_much=429)
