"""The web server as one unit among others: its socket, its signals, its slow readers.

Not here: what it serves (`app`). Invariant: a socket that is closed for slowness is gone some seconds later,
whether its client reads or not.
"""

import asyncio
import contextlib
import errno
import json
import re
import secrets
import socket
from collections.abc import Generator, Iterable
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.edge import HEADERS
from api.problems import MEDIA_TYPE, problem_content
from api.stream.connection import HEARTBEAT_S
from parley.errors import UserError

_ABORT_AFTER_S: Final = 10.0
_LARGEST_MESSAGE: Final = 16 << 10
_BACKLOG: Final = 256
_SEND_BUFFER: Final = 128 << 10
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base 64
_TOKENS: Final = re.compile(rb"[\w!#$%&'*+.^`|~-]+(\s*,\s*[\w!#$%&'*+.^`|~-]+)*")


class StreamProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with an end for clients that do not read."""

    async def send(self, message: Any) -> None:
        """Send, but let the word that closes pass what waits for a stalled reader."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give a stalled reader some seconds to take the close, then hang up."""
        super().on_task_complete(task)
        self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP, whose one error of its own is a problem too, and which opens no stream by halves."""

    def _should_upgrade(self) -> bool:
        # A handshake that is none would be answered without an id by the library behind, or, with a body,
        # not at all; as a plain request it is answered like any other.
        return super()._should_upgrade() and self.scope["method"] == "GET" and is_handshake(self.headers)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        trace_id = secrets.token_hex(16)
        body = json.dumps(problem_content("bad-request", "this is no HTTP/1.1", "/", trace_id)).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body)),
            (b"x-request-id", trace_id.encode()), (b"connection", b"close"), *HEADERS,
        ]  # fmt: skip
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def is_handshake(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers of a request, by lower-case names, open a WebSocket, and nothing else is meant."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    if b"transfer-encoding" in found or found.get(b"content-length", [b"0"]) != [b"0"]:
        return False
    if found.get(b"sec-websocket-version") != [b"13"] or len(found.get(b"upgrade", ())) != 1:
        return False
    keys = found.get(b"sec-websocket-key", [])
    tokens = [*found.get(b"connection", []), *found.get(b"sec-websocket-protocol", [])]
    return len(keys) == 1 and bool(_KEY.fullmatch(keys[0])) and all(map(_TOKENS.fullmatch, tokens))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # The unit's own handlers say when to end.
        yield


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises
    ------
    UserError
        When the port is taken, or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by every connection: what waits for a slow client waits in its bounded queue, not here.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is taken by another program: end it, or choose another port"
            ) from None
        raise UserError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def make_server(app: Any) -> uvicorn.Server:
    """Make a server that answers with an ASGI application until `should_exit` is set."""
    config = uvicorn.Config(
        app, http=HttpProtocol, ws=StreamProtocol, ws_max_size=_LARGEST_MESSAGE, ws_ping_interval=HEARTBEAT_S,
        ws_ping_timeout=HEARTBEAT_S, ws_per_message_deflate=False, access_log=False, log_config=None,
        lifespan="off", server_header=False, proxy_headers=False, timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=32 << 10,
    )  # fmt: skip
    return _Server(config)
