"""What a client sends over a WebSocket, as JSON objects.

Not here: what it means (each protocol). Invariant: whatever comes is an object or None; nothing raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

MAX_MESSAGE = 256 * 1024
Json = dict[str, Any]


async def texts(socket: web.WebSocketResponse) -> AsyncIterator[str]:
    """Text messages; a binary one counts as broken JSON and gets the error for it."""
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            yield message.data
        elif message.type is WSMsgType.BINARY:
            yield ""


def decode(text: str) -> Json | None:
    """The object a text says, None when it says none."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
