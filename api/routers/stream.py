"""`/stream`: the WebSocket of new rounds, orders and fills."""

from typing import Final

from fastapi import APIRouter, WebSocket

from api.document import BASE
from api.services import Parts
from api.stream.connection import BAD_MESSAGE, PROTOCOL, TOO_MANY, Connection

router = APIRouter(prefix=BASE)
MOST_STREAMS: Final = 50


@router.websocket("/stream", name="stream")
async def stream(socket: WebSocket, parts: Parts) -> None:
    """Serve one client."""
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    if offered and PROTOCOL not in offered:
        await socket.close(BAD_MESSAGE, f"the protocol must be {PROTOCOL}")
        return
    if parts.streams >= MOST_STREAMS:
        await socket.close(TOO_MANY, "too-many-streams")
        return
    parts.streams += 1
    parts.metrics.connections.set(parts.streams)
    try:
        await Connection(socket, parts.broker, parts.metrics, parts.tenant_name).serve()
    finally:
        parts.streams -= 1
        parts.metrics.connections.set(parts.streams)
